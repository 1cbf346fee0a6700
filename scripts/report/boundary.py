"""Where a conditional verdict flips, in terms of the factors, in a reader's words.

`boundary(cells)` gives a few sentences, the most telling first.
A sentence names one test, the factor that decides in it, and the levels on both sides of the flip.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from datasets_impl import factors
from scripts.judging.model import Cell
from scripts.report import level_words
from scripts.report.regions import Region, regions

# What a cell is beside its test; the machine comes last, as a factor of the data says more.
NAMES = (*factors.NAMES, "machine")
MOST_REGIONS = 3  # more of them are no boundary any more: the table shows them
MOST_LENGTH = 320  # characters of one test's sentence, so that no list runs away
OTHER = {"for": "against", "against": "for"}


def boundary(cells: Sequence[Cell]) -> str:
    """Sentences on where the cells turn from for to against; "" if they do not.

    Undecided cells only show where a flip could not be placed exactly.
    """
    decided = _decided(cells)
    if len({cell.outcome for cell in decided}) < 2:
        return ""
    tests = list(dict.fromkeys(cell.test for cell in decided))
    if len(tests) == 1:
        return _sentence(_within(cells, decided))
    if found := [name for name in _tell(decided) if _seen_inside_a_test(decided, name)]:
        return _sentence(_both_sides(cells, decided, found))
    short = _shared_start_removed(tests)
    flips: list[str] = []
    same: dict[str, list[str]] = {"for": [], "against": []}
    for test in tests:
        own = [cell for cell in cells if cell.test == test]
        outcomes = {cell.outcome for cell in _decided(own)}
        if len(outcomes) == 1:
            same[outcomes.pop()].append(short[test])
        else:
            flips.append(_sentence(f"{short[test]}: {_within(own, _decided(own))}"))
    whole = [f"Only {outcome}: {_first(names)}." for outcome, names in same.items() if names]
    return " ".join([*flips, *whole])


def threshold(cells: Sequence[Cell], factor: str) -> tuple[Any, Any, str] | None:
    """(last level below, first level above, outcome below) if a numeric `factor` alone decides."""
    sides = _sides(_decided(cells), factor)
    if sides is None or not all(level_words.is_number(x) for side in sides.values() for x in side):
        return None
    ordered = {name: sorted(side, key=lambda x: level_words.order(factor, x))
               for name, side in sides.items()}  # fmt: skip
    for low, high in (("for", "against"), ("against", "for")):
        below, above = ordered[low][-1], ordered[high][0]
        if level_words.order(factor, below) < level_words.order(factor, above):
            return below, above, low
    return None


def _decided(cells: Sequence[Cell]) -> list[Cell]:
    return [cell for cell in cells if cell.outcome in ("for", "against")]


def level(cell: Cell, name: str) -> Any:
    """The cell's level of a factor, of its machine or of its benchmark; None if it has none."""
    return getattr(cell, name) if name in ("machine", "benchmark") else cell.factors.get(name)


def _names(cells: Sequence[Cell]) -> list[str]:
    """Factors with two levels or more, and the benchmark where only it tells two cells apart."""
    names = [name for name in NAMES if len({str(level(cell, name)) for cell in cells}) > 1]
    told: dict[tuple[str, ...], set[str]] = {}
    for cell in cells:
        place = (cell.test, *(str(level(cell, name)) for name in names))
        told.setdefault(place, set()).add(cell.outcome)
    return names if all(len(found) == 1 for found in told.values()) else [*names, "benchmark"]


def _sides(cells: Sequence[Cell], factor: str) -> dict[str, list[Any]] | None:
    """Levels by outcome if `factor`, which every cell has, alone tells the outcome."""
    found: dict[Any, str] = {}
    for cell in cells:
        value = level(cell, factor)
        if value is None or found.setdefault(value, cell.outcome) != cell.outcome:
            return None
    sides: dict[str, list[Any]] = {"for": [], "against": []}
    for value, outcome in found.items():
        sides[outcome].append(value)
    return sides if all(sides.values()) else None


def _tell(cells: Sequence[Cell]) -> list[str]:
    """Factors that alone tell the outcome: thresholds, all of them, else the first other one."""
    names = _names(cells)
    thresholds = [name for name in names if threshold(cells, name)]
    return thresholds or [name for name in names if _sides(cells, name)][:1]


def _seen_inside_a_test(cells: Sequence[Cell], factor: str) -> bool:
    """Does `factor` also flip inside one test?

    Tests differ in factors that nobody varied (256 images here, 1,024 there), so a factor that
    changes only from test to test explains nothing.
    """
    tests = dict.fromkeys(cell.test for cell in cells)
    return any(_sides([cell for cell in cells if cell.test == test], factor) for test in tests)


def _both_sides(cells: Sequence[Cell], decided: Sequence[Cell], found: list[str]) -> str:
    """ "against up to 128 px, for from 512 px on, undecided between"."""
    phrases = [_flip(cells, decided, name) for name in found]
    if len(phrases) == 1:
        return phrases[0]
    return f"{phrases[0]}; or, as they change together, {'; or '.join(phrases[1:])}"


def _flip(cells: Sequence[Cell], decided: Sequence[Cell], factor: str) -> str:
    sides = _sides(decided, factor)
    assert sides is not None  # the factor tells the outcome
    found = threshold(decided, factor)
    if found is None:
        return ", ".join(
            f"{outcome} {level_words.among(factor, side)}" for outcome, side in sides.items()
        )
    below, above, low = found
    words = [
        f"{low} {level_words.upto(factor, below, alone=len(sides[low]) == 1)}",
        f"{OTHER[low]} {level_words.onward(factor, above, alone=len(sides[OTHER[low]]) == 1)}",
    ]
    low_end, high_end = level_words.order(factor, below), level_words.order(factor, above)
    between = [
        value for cell in cells if level_words.is_number(value := level(cell, factor))
        and low_end < level_words.order(factor, value) < high_end
    ]  # fmt: skip
    return ", ".join(words + ["undecided between"] * bool(between))


def _within(cells: Sequence[Cell], decided: Sequence[Cell]) -> str:
    """The flip inside one test: of one factor, else as regions of one outcome, else as counts."""
    if found := _tell(decided):
        return _both_sides(cells, decided, found)
    names = sorted(_names(decided), key=lambda name: name != "impl")  # who, then under what
    rows = [({name: level(cell, name) for name in names}, cell.outcome) for cell in decided]
    told = {outcome: regions(rows, outcome) for outcome in ("for", "against")}
    outcome = min(told, key=lambda name: (len(told[name]), name == "against"))
    text = f"{outcome} {'; '.join(_words(region) for region in told[outcome])}"
    text += f"; otherwise {OTHER[outcome]}"
    if told[outcome] and len(told[outcome]) <= MOST_REGIONS and len(text) <= MOST_LENGTH:
        return text
    counts = [
        f"{outcome} in {sum(cell.outcome == outcome for cell in decided)}" for outcome in OTHER
    ]
    by = level_words.join([level_words.title(name) for name in names])
    return f"{' and '.join(counts)} cells, with no one place where it flips by {by}"


def _words(region: Region) -> str:
    return ", ".join(
        level_words.bounded(name, levels, region.all_levels[name])
        for name, levels in region.levels.items()
    )


def _first(names: list[str], most: int = 4) -> str:
    """The names, a long list cut to a count."""
    rest = f"; and {len(names) - most} more" if len(names) > most else ""
    return "; ".join(names[:most]) + rest


def _sentence(text: str) -> str:
    return f"{text[0].upper()}{text[1:]}."


def _shared_start_removed(tests: list[str]) -> dict[str, str]:
    """Labels without the start that all share, cut at a comma: "item", "epoch by storage"."""
    parts = [test.split(", ") for test in tests]
    shared = 0
    while len(tests) > 1 and all(len(p) > shared + 1 for p in parts) and (
        len({p[shared] for p in parts}) == 1
    ):  # fmt: skip
        shared += 1
    return {test: ", ".join(p[shared:]) for test, p in zip(tests, parts, strict=True)}
