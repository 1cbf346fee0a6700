"""Cells of benchmarks, also of those that the profile of the tests leaves out; what they log."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from conftest import COUNT, PX

from benchmarks.common import _Benchmark
from benchmarks.grids import Cell


def with_cells(benchmark: type[_Benchmark]) -> Any:
    """One of `benchmark`, which is abstract where the profile gives it no cells."""
    body = {"__module__": benchmark.__module__, "params": [[None]] * len(benchmark.param_names)}
    return type(benchmark.__name__, (benchmark,), body)()


def cell(**levels: Any) -> Cell:
    return Cell.at(list(levels), tuple(levels.values()))


def tiny(**levels: Any) -> Cell:
    """Of the few photographs that all tests share."""
    return cell(**{"n": COUNT, "px": PX} | levels)


def records(log: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in log.read_text().splitlines()]
