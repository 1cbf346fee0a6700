"""Where a claim holds: a small grid of the factors that tell its outcome, and flips along one.

The rows of a test are the levels of at most two factors, of those that best part for from against;
one row where its outcome is the same throughout. The columns are the machines.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Mapping, Sequence
from typing import Any, Literal

from datasets_impl.factors import FACTORS
from scripts.judging.model import Cell, GridRow, Outcome

MOST_FACTORS = 2  # of the rows of a test; a third is said in the square
UNLIMITED = {row.name: row.unlimited for row in FACTORS if row.unlimited is not None}
Levels = tuple[tuple[str, Any], ...]  # (factor, level) of each
Sides = dict[str, list[Any]]  # levels of a factor at which cells are for, and against


def grid(cells: Sequence[Cell], places: Mapping[str, str] | None = None) -> list[GridRow]:
    """Rows in the order of the tests, then of their levels. Every cell that counts is in one.

    `places` has the test in whose rows another's cells stand: one that measures the same, where
    machines were measured before and after it took its place.
    """
    places = places or {}
    counted = [cell for cell in cells if cell.counts]
    rows = []
    for test in dict.fromkeys(places.get(cell.test, cell.test) for cell in counted):
        own = [cell for cell in counted if places.get(cell.test, cell.test) == test]
        groups = _grouped(own, _telling(own))
        for levels in sorted(groups, key=lambda levels: [order(*each) for each in levels]):
            rows.append(GridRow(test, dict(levels), _by_machine(groups[levels])))
    return rows


def outcome(cells: Sequence[Cell]) -> Outcome | Literal["mixed"]:
    """What a square says: "unclear" where no more than half of its measured cells are decided."""
    holds, fails, unclear = (_count(cells, name) for name in ("for", "against", "unclear"))
    if holds and fails:
        return "mixed"
    if holds + fails > unclear:
        return "for" if holds else "against"
    return "unclear" if unclear else "skipped"


def deciding(cells: Sequence[Cell]) -> tuple[str, Sides] | None:
    """The factor that alone tells every decided cell's outcome; None if none does, or several do.

    It also has to flip inside a test: tests differ in factors that nobody varied (256 images here,
    1,024 there), so one that changes only from test to test explains nothing.
    """
    found = {
        name: both for name in _factors(cells) if (both := sides(cells, name)) and any(
            sides([cell for cell in cells if cell.test == test], name)
            for test in dict.fromkeys(cell.test for cell in cells)
        )
    }  # fmt: skip
    return found.popitem() if len(found) == 1 else None


def sides(cells: Sequence[Cell], factor: str) -> Sides | None:
    """Levels by outcome if `factor`, which every decided cell has, alone tells it."""
    found: dict[Any, str] = {}
    for cell in cells:
        if cell.outcome in ("for", "against"):
            value = cell.factors.get(factor)
            if value is None or found.setdefault(value, cell.outcome) != cell.outcome:
                return None
    both: Sides = {"for": [], "against": []}
    for value in sorted(found, key=lambda value: order(factor, value)):
        both[found[value]].append(value)
    return both if all(both.values()) else None


def threshold(cells: Sequence[Cell], factor: str) -> tuple[Any, Any, str] | None:
    """(last level below, first level above, outcome below) if a numeric `factor` alone decides."""
    both = sides(cells, factor)
    if both is None or not all(is_number(level) for side in both.values() for level in side):
        return None
    for low, high in itertools.permutations(both):
        below, above = both[low][-1], both[high][0]
        if order(factor, below) < order(factor, above):
            return below, above, low
    return None


def is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def order(factor: str, value: Any) -> tuple[int, float, str]:
    """Sort key: numbers by size, no limit above them, then words, then nothing."""
    if value is None:
        return (2, 0.0, "")
    if not is_number(value):
        return (1, 0.0, str(value))
    return (0, math.inf if value == UNLIMITED.get(factor) else float(value), "")


def _factors(cells: Sequence[Cell]) -> list[str]:
    """Names of the factors that vary, the implementation first: who, then under what."""
    names = dict.fromkeys(name for cell in cells for name in cell.factors)
    varied = [name for name in names if len({str(cell.factors.get(name)) for cell in cells}) > 1]
    return sorted(varied, key=lambda name: name != "impl")


def _telling(cells: Sequence[Cell]) -> tuple[str, ...]:
    """The factors that leave the fewest cells in mixed squares; of such, the fewest rows."""
    names = _factors(cells)
    choices = [
        some for size in range(MOST_FACTORS + 1) for some in itertools.combinations(names, size)
    ]

    def rank(some: tuple[str, ...]) -> tuple[int, int, int]:
        groups = _grouped(cells, some)
        squares = [own for group in groups.values() for own in _by_machine(group).values()]
        mixed = sum(len(own) for own in squares if outcome(own) == "mixed")
        return mixed, len(some), len(groups)

    return min(choices, key=rank)


def _grouped(cells: Sequence[Cell], names: tuple[str, ...]) -> dict[Levels, list[Cell]]:
    groups: dict[Levels, list[Cell]] = {}
    for cell in cells:
        groups.setdefault(tuple((name, cell.factors.get(name)) for name in names), []).append(cell)
    return groups


def _by_machine(cells: Sequence[Cell]) -> dict[str, list[Cell]]:
    found: dict[str, list[Cell]] = {}
    for cell in cells:
        found.setdefault(cell.machine, []).append(cell)
    return found


def _count(cells: Sequence[Cell], name: str) -> int:
    return sum(cell.outcome == name for cell in cells)
