"""A claim's grid in words, and one sentence where a single factor tells where the claim holds."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from scripts.judging.grid import deciding, order, outcome, threshold
from scripts.judging.model import Cell, GridRow, Outcome
from scripts.report import level_words, wording
from scripts.report.sentences import span

OUTCOMES: dict[Outcome, str] = {
    "for": "for", "against": "against", "unclear": "unclear", "skipped": "not measured",
}  # fmt: skip
KINDS = {  # of squares, as `judging.grid.outcome` names them
    "for": "for", "against": "against", "mixed": "both", "unclear": "unclear",
    "skipped": OUTCOMES["skipped"],
}  # fmt: skip


@dataclass(frozen=True)
class Square:
    """What a machine found at a place: `kind` as in `judging.grid.outcome`, the rest in words."""

    kind: str
    outcome: str  # for example "for", or "for in 2, unclear in 1"
    effect: str  # with its interval, or the range of several


def boundary(cells: Sequence[Cell], holds: str = "It holds") -> str:
    """ "It holds from 256 px on, not at 64 px." if one factor tells it on all machines, else ""."""
    found = deciding(cells)
    if found is None:
        return ""
    factor, sides = found
    flip = threshold(cells, factor)
    if flip is None:
        words = {name: level_words.among(factor, side) for name, side in sides.items()}
        return f"{holds} {words['for']}, not {words['against']}."
    below, above, low = flip
    high = "against" if low == "for" else "for"
    words = {
        low: level_words.upto(factor, below, alone=len(sides[low]) == 1),
        high: level_words.onward(factor, above, alone=len(sides[high]) == 1),
    }
    ends = order(factor, below), order(factor, above)
    open_ = any(ends[0] < order(factor, cell.factors.get(factor)) < ends[1] for cell in cells)
    return f"{holds} {words['for']}, not {words['against']}{'; undecided between' * open_}."


def in_words(row: GridRow) -> str:
    """Where the row stands, "" for a whole test: "with mapped, for single items"."""
    return ", ".join(level_words.at(name, value) for name, value in row.levels.items())


def in_a_line(rows: Sequence[GridRow]) -> str:
    """The whole grid as text, for a table that has one place for it."""
    told = []
    for row in rows:
        found = {machine: square(cells).outcome for machine, cells in row.cells.items()}
        if len(set(found.values())) > 1:
            found = {name: f"{words} ({name})" for name, words in found.items()}
        where = ", ".join(filter(None, (row.test, in_words(row))))
        told.append(f"{where}: {', '.join(dict.fromkeys(found.values()))}")
    return "; ".join(told)


def square(cells: Sequence[Cell]) -> Square:
    """The cells of one machine in a row."""
    found = Counter(cell.outcome for cell in cells)
    counts = {words: found[name] for name, words in OUTCOMES.items() if found[name]}
    told = deciding(cells)
    if told and len(counts) == 2:
        parts = [f"{name} {level_words.among(told[0], side)}" for name, side in told[1].items()]
    elif len(counts) > 1:
        parts = [f"{name} in {count}" for name, count in counts.items()]
    else:
        parts = list(counts) or [OUTCOMES["skipped"]]
    return Square(outcome(cells), ", ".join(parts), _effect(cells))


def counted(row: GridRow, machines: Iterable[str]) -> list[tuple[str, list[str]]]:
    """(kind, machines whose square is of it), every kind in the order of `KINDS`."""
    found: dict[str, list[str]] = {kind: [] for kind in KINDS}
    for name in machines:
        found[outcome(row.cells.get(name, []))].append(name)
    return list(found.items())


def _effect(cells: Sequence[Cell]) -> str:
    measured = [cell for cell in cells if cell.estimate is not None]
    if readings := sorted({cell.reading for cell in measured if cell.quantity == "value"} - {""}):
        return ", ".join(readings)
    if len(measured) == 1:
        return wording.with_interval(measured[0])
    return span(measured) if measured else ""
