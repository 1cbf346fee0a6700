"""The suite as a profile has it, whatever the profile of the tests is.

The benchmarks read the profile when they are imported, so they are imported again.
"""

from __future__ import annotations

import functools
import importlib
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from types import ModuleType
from typing import Any

import pytest

from datasets_impl.factors import APART

PROFILE_VARIABLE = "DATASET_STUDY_PROFILE"


@dataclass(frozen=True)
class Benchmark:
    levels: dict[str, list[Any]]
    units: dict[str, str]  # by metric
    also: tuple[str, ...] = ()  # further metrics, which the log has


@contextmanager
def imported(profile: str) -> Iterator[ModuleType]:
    """`benchmarks.prepare` as imported under a profile; the modules of before come back."""

    def ours() -> dict[str, ModuleType]:
        return {
            name: sys.modules[name] for name in sys.modules if name.split(".")[0] == "benchmarks"
        }

    before = ours()
    for name in before:
        del sys.modules[name]
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv(PROFILE_VARIABLE, profile)
        yield importlib.import_module("benchmarks.prepare")
    for name in ours():
        del sys.modules[name]
    sys.modules.update(before)


@functools.cache
def standard_suite() -> dict[str, Benchmark]:
    """Each class of the standard profile and of those apart, by its name in asv, such as
    "epoch.ByResolution"."""
    found = {}
    for profile in ("standard", *APART):
        with imported(profile) as prepare:
            for one in prepare.benchmark_classes():
                name = f"{one.__module__.rpartition('.')[2]}.{one.__name__}"
                levels = dict(zip(one.param_names, map(list, one.params), strict=True))
                metrics = [metric for metric in dir(one) if metric.startswith("track_")]
                units = {m.removeprefix("track_"): getattr(one, m).unit for m in metrics}
                found[name] = Benchmark(levels, units, tuple(one.also))
    return found
