"""From a judged cell to what the log says of its arms: load, and verified state."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, TypeVar

from scripts.claims import Test
from scripts.model import Cell

T = TypeVar("T")
Place = tuple[str, tuple[tuple[str, Any], ...]]  # benchmark, its factor levels sorted by name


def place_of(entry: Mapping[str, Any]) -> Place:
    """Where a record of the log belongs, in the form the evidence looks cells up by."""
    return entry["benchmark"], tuple(sorted(entry["factors"].items()))


def of_cell(cell: Cell, test: Test, known: Mapping[Place, T]) -> Iterator[T]:
    """What is known of either arm of the cell; of a slope, at any level."""
    benchmark = cell.benchmark.rpartition(".")[0]
    baseline = {name: level for name, level in test.baseline.items() if level != "*"}
    arms = [cell.factors, {**cell.factors, **baseline}]
    if test.over is not None:
        arms = [{name: level for name, level in arm.items() if name != test.over} for arm in arms]
    for (name, levels), found in known.items():
        place = {factor: level for factor, level in levels if factor != test.over}
        if name == benchmark and place in arms:
            yield found
