"""Where a conditional verdict flips, in terms of the factors."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from scripts import wording
from scripts.evidence import FACTORS
from scripts.model import Cell

# Tests come first, as they ask different things.
ORDER = ("test", *FACTORS, "machine", "benchmark")


def boundary(cells: Sequence[Cell]) -> str:
    """One sentence on where the decided cells turn from for to against; "" if they do not."""
    decided = [cell for cell in cells if cell.outcome in ("for", "against")]
    if len({cell.outcome for cell in decided}) < 2:
        return ""
    factors = _varying(decided)
    for factor in factors:
        if split := _split(decided, factor):
            return _sentence(factor, *split)
    for first in factors:
        parts = _by_level(decided, first, [name for name in factors if name != first])
        if parts:
            return "; ".join(parts) + "."
    for_, against = (_listing(decided, outcome, factors) for outcome in ("for", "against"))
    return f"For: {for_}. Against: {against}."


def _level(cell: Cell, factor: str) -> Any:
    if factor in ("test", "machine", "benchmark"):
        return str(getattr(cell, factor))
    return cell.factors.get(factor)


def _varying(cells: Sequence[Cell]) -> list[str]:
    """Factors with two levels or more."""
    names = [name for name in ORDER if len({str(_level(cell, name)) for cell in cells}) > 1]
    # Benchmarks overlap in some cells; which one it was matters only where they disagree.
    factors = [name for name in names if name != "benchmark"]
    told: dict[tuple[str, ...], set[str]] = {}
    for cell in cells:
        told.setdefault(tuple(str(_level(cell, f)) for f in factors), set()).add(cell.outcome)
    return factors if all(len(outcomes) == 1 for outcomes in told.values()) else names


def _split(cells: Sequence[Cell], factor: str) -> tuple[list[Any], list[Any]] | None:
    """Levels for and levels against, if `factor` alone tells the outcome."""
    levels: dict[Any, set[str]] = {}
    for cell in cells:
        if _level(cell, factor) is None:
            return None
        levels.setdefault(_level(cell, factor), set()).add(cell.outcome)
    if any(len(outcomes) > 1 for outcomes in levels.values()):
        return None
    return (
        [level for level, outcomes in levels.items() if outcomes == {"for"}],
        [level for level, outcomes in levels.items() if outcomes == {"against"}],
    )


def _sentence(factor: str, for_: list[Any], against: list[Any]) -> str:
    return f"For: {_levels(factor, for_, against)}. Against: {_levels(factor, against, for_)}."


def _levels(factor: str, mine: list[Any], others: list[Any]) -> str:
    """ "at 256 px and more", when the levels are numbers on one side of the others; else a list."""
    numeric = all(isinstance(level, int | float) for level in [*mine, *others])
    if numeric and min(mine) > max(others):
        return f"{wording.factor(factor, min(mine))} and more"
    if numeric and max(mine) < min(others):
        return f"{wording.factor(factor, max(mine))} and less"
    return _join([wording.factor(factor, level) for level in sorted(mine, key=_order)])


def _order(level: Any) -> tuple[int, float, str]:
    if isinstance(level, int | float):
        return (0, float(level), "")
    return (1, 0.0, str(level))


def _join(words: list[str]) -> str:
    return words[0] if len(words) == 1 else f"{', '.join(words[:-1])} and {words[-1]}"


def _by_level(cells: Sequence[Cell], first: str, others: list[str]) -> list[str]:
    """One phrase for each level of `first`, if within each another factor tells the outcome."""
    groups: dict[Any, list[Cell]] = {}
    for cell in cells:
        groups.setdefault(_level(cell, first), []).append(cell)
    if len(groups) > 6:
        return []
    phrases = []
    for level, group in sorted(groups.items(), key=lambda entry: _order(entry[0])):
        outcomes = {cell.outcome for cell in group}
        name = wording.factor(first, level) if level is not None else "elsewhere"
        if len(outcomes) == 1:
            phrases.append(f"{name}: {outcomes.pop()}")
            continue
        split = next((found for o in others if (found := _named_split(group, o))), None)
        if split is None:
            return []
        phrases.append(f"{name}: {split}")
    return phrases


def _named_split(cells: Sequence[Cell], factor: str) -> str:
    split = _split(cells, factor)
    if not split:
        return ""
    return f"for {_levels(factor, *split)} and against {_levels(factor, split[1], split[0])}"


def _listing(cells: Sequence[Cell], outcome: str, factors: list[str]) -> str:
    """The cells with `outcome`, by the factors that vary; long lists end in a count."""
    names = sorted(factors, key=lambda factor: factor != "impl")  # who, then under what
    named = [
        " ".join(wording.factor(f, _level(cell, f)) for f in names if _level(cell, f) is not None)
        for cell in cells
        if cell.outcome == outcome
    ]
    shown = 6
    rest = len(named) - shown
    return "; ".join(named[:shown]) + (f"; and {rest} more" if rest > 0 else "")
