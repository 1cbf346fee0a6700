"""A small asv results folder with known numbers, written through asv's own API; read again."""

from __future__ import annotations

import itertools
import json
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
from asv import util
from asv.benchmarks import Benchmarks
from asv.machine import Machine
from asv.results import Results
from standard_suite import standard_suite

from scripts.judging.evidence import Evidence, evidence_of
from scripts.judging.runs import find_runs

SKIPPED = math.nan  # what asv stores for a cell that was skipped
FAILED = None  # and for one that failed
COMMIT = "0123456789abcdef0123456789abcdef01234567"

Value = float | Sequence[float] | None  # samples, one value for all blocks, skipped or failed


@dataclass(frozen=True)
class Bench:
    """One asv benchmark: `value(factors)` gives a cell's samples, `SKIPPED` or `FAILED`."""

    name: str  # for example "item.ByStage.track_item"
    levels: dict[str, Sequence[Any]]
    value: Callable[[dict[str, Any]], Value]
    unit: str = "us"
    version: str = "1"

    @property
    def entry(self) -> dict[str, Any]:
        return {
            "name": self.name,
            "param_names": list(self.levels),
            "params": [[repr(level) for level in levels] for levels in self.levels.values()],
            "unit": self.unit,
            "type": "track",
            "version": self.version,
        }


def write_results(
    folder: Path,
    benches: Sequence[Bench],
    *,
    machine: str = "lab",
    commit: str = COMMIT,
    environment: str = "existing-py3.11",
    sampled: bool = True,
    started: int = 1_700_000_000,
    observations: Sequence[dict[str, Any]] = (),
    provenance: dict[str, Any] | None = None,
    params: dict[str, str] | None = None,
) -> Path:
    """Write one machine's result file and everything beside it; return the result file."""
    home = folder / machine
    home.mkdir(parents=True, exist_ok=True)
    util.write_json(str(home / "machine.json"), {"machine": machine}, Machine.api_version)
    util.write_json(
        str(folder / "benchmarks.json"),
        {bench.name: bench.entry for bench in benches},
        Benchmarks.api_version,
    )
    results = Results(
        {"machine": machine, "cpu": "a CPU", "num_cpu": "2", "python": "3.11", **(params or {})},
        {},
        commit,
        1000 * started,
        "3.11",
        environment,
        {},
    )
    when = datetime.fromtimestamp(started, UTC)
    for bench in benches:
        results.add_result(bench.entry, _measured(bench), when, 1.0, record_samples=sampled)
    results.save(str(folder))
    path = home / f"{commit[:8]}-{environment}.json"
    if observations:
        log = path.with_name(path.stem + ".observations.jsonl")
        log.write_text("".join(json.dumps(entry) + "\n" for entry in observations))
    if provenance is not None:
        path.with_name(path.stem + ".provenance.jsonl").write_text(json.dumps(provenance))
    return path


def load_evidence(folders: Sequence[Path]) -> Evidence:
    """What is judged of everything below `folders`."""
    return evidence_of(find_runs(folders))


def _measured(bench: Bench) -> SimpleNamespace:
    values, samples = [], []
    for levels in itertools.product(*bench.levels.values()):
        value = bench.value(dict(zip(bench.levels, levels, strict=True)))
        if isinstance(value, int | float) and not math.isnan(value):
            value = [value]
        if value is None or isinstance(value, float):
            values.append(value)
            samples.append(None)
        else:
            values.append(0.0)  # asv computes it from the samples
            samples.append([float(sample) for sample in value])
    return SimpleNamespace(
        result=values,
        samples=samples,
        number=[1 if cell else None for cell in samples],
        stderr="",
        errcode=0,
        profile=None,
    )


PX = [64, 256]
IMPL = ["naive", "preloaded", "mapped"]


def items(
    value: Callable[[dict[str, Any]], Value], name: str = "item.ByImplementation.track_item"
) -> Bench:
    return Bench(name, {"px": PX, "impl": IMPL}, value)


def steady(factors: dict[str, Any]) -> list[float]:
    """Distinct samples for every cell, so that none can be mistaken for another."""
    base = 1000.0 * factors["px"] + 100 * IMPL.index(factors["impl"])
    return [base + block for block in (0.25, 1.5, 3.0)]


def observation(px: int, impl: str, **more: str) -> dict[str, Any]:
    return {"benchmark": "item.ByImplementation", "factors": {"impl": impl, "px": px}, **more}


def edit_json(path: Path, change: Callable[[Any], None]) -> None:
    """Change a JSON file in place, as a careless hand or a cut copy would."""
    data = json.loads(path.read_text())
    change(data)
    path.write_text(json.dumps(data))


class Noise:
    """Blocks around a true value: a drift shared by all arms, and a little noise of each arm."""

    def __init__(self, blocks: int = 6, spread: float = 0.004, drift: float = 0.2, seed: int = 1):
        self.random = np.random.default_rng(seed)
        self.spread = spread
        self.drift = np.exp(self.random.normal(0, drift, blocks))

    def around(self, value: float) -> list[float]:
        noise = np.exp(self.random.normal(0, self.spread, len(self.drift)))
        return [float(sample) for sample in value * self.drift * noise]


def whole_suite(value: Callable[[str, dict[str, Any]], Value]) -> list[Bench]:
    """Every benchmark of the real suite with its factors and levels in the standard profile."""
    benches = []
    for name, benchmark in standard_suite().items():
        for metric, unit in benchmark.units.items():
            full = f"{name}.track_{metric}"
            measured = lambda factors, full=full: value(full, factors)  # noqa: E731
            benches.append(Bench(full, benchmark.levels, measured, unit))
    return benches
