"""The suite as the standard profile has it, and the loaders, each asked in a process of its own.

The benchmarks read the profile when they are imported, and tests import the quick one.
"""

from __future__ import annotations

import functools
import json
import os
import subprocess
import sys
from dataclasses import dataclass
from typing import Any

from conftest import ROOT

ASK = """
import json
from benchmarks.prepare import benchmark_classes
print(json.dumps([
    [f"{c.__module__.rpartition('.')[2]}.{c.__name__}", list(c.param_names),
     [list(levels) for levels in c.params],
     {m.removeprefix("track_"): getattr(c, m).unit for m in dir(c) if m.startswith("track_")},
     list(c.also)]
    for c in benchmark_classes()
]))
"""


@dataclass(frozen=True)
class Benchmark:
    levels: dict[str, list[Any]]
    units: dict[str, str]  # by metric
    also: tuple[str, ...] = ()  # further metrics, which the log has


@functools.cache
def standard_suite() -> dict[str, Benchmark]:
    """Each benchmark class by its name in asv, such as "epoch.ByResolution"."""
    return {
        name: Benchmark(dict(zip(factors, levels, strict=True)), units, tuple(also))
        for profile in ("standard", "loaders")
        for name, factors, levels, units, also in _asked(profile)
    }


def _asked(profile: str) -> list[Any]:
    answer = subprocess.run(
        [sys.executable, "-c", ASK],
        cwd=ROOT,
        env={**os.environ, "DATASET_STUDY_PROFILE": profile},
        check=True,
        capture_output=True,
        text=True,
    )
    found: list[Any] = json.loads(answer.stdout)
    return found
