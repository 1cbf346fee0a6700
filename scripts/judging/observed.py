"""From a judged cell to what the log says of its arms: load, and verified state."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, TypeVar

from scripts.judging.claims import Paired, Slope, Test
from scripts.judging.model import Cell

T = TypeVar("T")
Place = tuple[str, tuple[tuple[str, Any], ...]]  # benchmark, its factor levels sorted by name


def place_of(entry: Mapping[str, Any]) -> Place:
    """Where a record of the log belongs, in the form the evidence looks cells up by."""
    return entry["benchmark"], tuple(sorted(entry["factors"].items()))


def of_cell(cell: Cell, test: Test, known: Mapping[Place, T]) -> Iterator[T]:
    """What is known of either arm of the cell; of a slope, at any level."""
    benchmark = cell.benchmark.rpartition(".")[0]
    levels_of = test.baseline if isinstance(test, Paired) else {}
    baseline = {name: level for name, level in levels_of.items() if level != "*"}
    over = test.over if isinstance(test, Slope) else None
    arms = [
        {name: level for name, level in arm.items() if name != over}
        for arm in (cell.factors, {**cell.factors, **baseline})
    ]
    for (name, levels), found in known.items():
        place = {factor: level for factor, level in levels if factor != over}
        if name == benchmark and place in arms:
            yield found
