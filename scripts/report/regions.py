"""Regions of factor levels in which only one outcome occurs, by sequential covering.

The cells of a test lie in a grid of levels. A region allows some levels of each factor. Beginning
at one cell, it grows factor by factor as long as no cell of the other outcome falls inside;
regions are added until every cell of the outcome is covered.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from scripts.report.level_words import order

Row = tuple[dict[str, Any], str]  # levels by factor, and the outcome


@dataclass(frozen=True)
class Region:
    """`levels`: the factors the region restricts; `all_levels`: what each factor could be."""

    levels: dict[str, list[Any]]
    all_levels: dict[str, list[Any]]


def regions(rows: Sequence[Row], outcome: str) -> list[Region]:
    """Regions that hold every row with `outcome` and no other; [] if equal rows contradict."""
    names = list(rows[0][0]) if rows else []
    every = {
        name: sorted({row[name] for row, _ in rows}, key=lambda value: order(name, value))
        for name in names
    }
    others = [row for row, found in rows if found != outcome]
    left = [row for row, found in rows if found == outcome]
    if any(row == other for row in left for other in others):
        return []
    found_regions = []
    while left:
        grown = [_grow(left[0], first, names, every, others) for first in names]
        best = max(grown, key=lambda levels: sum(_inside(row, levels) for row in left))
        left = [row for row in left if not _inside(row, best)]
        kept = {name: levels for name, levels in best.items() if len(levels) < len(every[name])}
        found_regions.append(Region(kept, every))
    return found_regions


def _grow(
    seed: dict[str, Any],
    first: str,
    names: list[str],
    every: dict[str, list[Any]],
    others: list[dict[str, Any]],
) -> dict[str, list[Any]]:
    """The seed's region after every factor took what levels it could, `first` before the rest."""
    levels = {name: [seed[name]] for name in names}
    for name in sorted(names, key=lambda other: other != first):
        for value in every[name]:
            wider = {**levels, name: [x for x in every[name] if x in levels[name] or x == value]}
            if not any(_inside(other, wider) for other in others):
                levels = wider
    return levels


def _inside(row: dict[str, Any], levels: dict[str, list[Any]]) -> bool:
    return all(row[name] in allowed for name, allowed in levels.items())
