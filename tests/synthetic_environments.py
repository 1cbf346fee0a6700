"""Three environments of one machine, with known numbers: as files, and in a synthetic study."""

from __future__ import annotations

import itertools
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from scripts.judging.across import PLACES
from scripts.judging.environment_changes import Across, Change
from scripts.judging.inference import Interval
from scripts.report.model import Study
from tests.synthetic_results import Bench, Noise, write_results
from tests.synthetic_study import MACHINES

REFERENCE, OLDER = "Python 3.11, torch 2.14", "Python 3.11, torch 2.9"
LATER = "Python 3.14, torch 2.14"
PARAMS = {
    REFERENCE: {"python": "3.11", "torch": "2.14.1"},
    OLDER: {"python": "3.11", "torch": "2.9.1"},
    LATER: {"python": "3.14", "torch": "2.14.1"},
}
COUNTS = {"quick": 256, "standard": 1024}  # the centre, which differs
US = {"naive": 2600.0, "preloaded": 60.0}


def benches(profile: str, times: Mapping[str, float], seed: int, version: str = "1") -> list[Bench]:
    """The centre of the star; `times`: by how much a metric exceeds that of the reference."""
    noise, impl = Noise(blocks=6, spread=0.01, drift=0.0, seed=seed), list(US)

    def bench(name: str, unit: str, value: float | None = None, **levels: Any) -> Bench:
        metric = name.partition("track_")[2]
        most = times.get(metric, 1.0)
        return Bench(
            name,
            levels,
            lambda factors: noise.around(most * (value or US[factors["impl"]])),
            unit,
            version,
        )

    star = {"n": [COUNTS[profile]], "px": [256], "workers": [0, 2], "start_method": ["fork"]}
    return [
        bench("item.ByImplementation.track_item", "us",
              n=[256], px=[256], medium=["disk-warm"], stage=["item"], impl=impl),
        bench("epoch.ByWorkers.track_epoch", "us",
              **star, medium=["disk-warm"], transform=["none", "heavy"], impl=impl),
        bench("startup.ByWorkers.track_first_batch", "ms", **star, impl=impl),
        bench("memory.RecordsTree.track_tree", "MB", 400.0,
              n=[100 * COUNTS[profile]], start_method=["fork"], structure=["list-str"]),
    ]  # fmt: skip


def write_run(
    folder: Path,
    environment: str,
    profile: str,
    *,
    started: int,
    version: str = "1",
    **times: float,
) -> Path:
    """A run of `profile` in one of the environments, begun at `started` seconds."""
    params = PARAMS[environment]
    facts = {"profile": profile, "partial": False, "rounds": []}
    return write_results(
        folder,
        benches(profile, times, started, version),
        environment=f"existing-py{params['python']}-torch{params['torch']}-{profile}",
        commit=f"{started % 16:x}" * 40,
        started=1_700_000_000 + started,
        params=params,
        provenance=facts,
    )


def with_environments(study: Study, machines: int = 1) -> Study:
    """`study` with an older torch and a later Python beside each of its first machines."""
    found = []
    for machine, (at, environment) in itertools.product(
        [one.name for one in study.machines[:machines]] or list(MACHINES[:1]),
        enumerate((OLDER, LATER)),
    ):
        changes = []
        for number, place in enumerate(PLACES):
            who = ("list-str", "numpy-bytes") if place.key == "records" else tuple(US)
            name = "structure" if place.key == "records" else "impl"
            for shift, level in enumerate(who):
                ratio = 1 + 0.09 * at * number - 0.05 * shift
                ends = Interval(ratio, ratio * 0.96, ratio * 1.04, 4, paired=False)
                changed = ends.low is not None and ends.low > 1.05
                changes.append(
                    Change(place.key, place.benchmark, "us", {"n": 256, "px": 256, name: level},
                           100.0, 100.0 * ratio, ends, changed)
                )  # fmt: skip
        found.append(
            Across(machine, environment, "quick", "a" * 40, REFERENCE, "quick", "a" * 40, 1.2, 34,
                   33 + at, changes)
        )  # fmt: skip
    return replace(study, across=found)
