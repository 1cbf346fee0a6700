"""What changes from one environment to another on the same machine, over what both measured.

Two environments are two runs, one after the other. A claim's cells are ratios within a run, so
their outcomes are compared. Times and sizes at the centre of the star are compared as they stand,
of the same benchmark in the same version with the same levels.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pandas as pd

from datasets_impl import factors
from scripts.judging import inference
from scripts.judging.claims import Rules
from scripts.judging.environment_changes import Across, Change
from scripts.judging.evidence import Evidence, MachineResults
from scripts.judging.judgement import Judgement
from scripts.judging.pairing import Row, factors_of, records
from scripts.judging.repeat import AGREES, DIFFERS, rows_of

WHO = ("impl", "structure")  # whose times and sizes are compared
CENTRE = {name: level for name, level in factors.CENTRE.items() if name not in WHO}


@dataclass(frozen=True)
class Place:
    """A point of the star: every factor stands at its centre, but for those in `levels`."""

    key: str
    benchmark: str  # with its metric, as asv names it
    levels: Mapping[str, Any] = field(default_factory=dict)


PLACES = (
    Place("item", "item.ByImplementation.track_item"),
    Place("epoch", "epoch.ByWorkers.track_epoch"),
    Place("epoch, workers", "epoch.ByWorkers.track_epoch", {"workers": 2}),
    Place("first batch", "startup.ByWorkers.track_first_batch", {"workers": 2}),
    Place("records", "memory.RecordsTree.track_tree"),
    Place("photographs", "memory.StartMethod.track_tree"),
)


def across(first: Judgement, other: Judgement, quick: Evidence | None) -> list[Across]:
    """`other`, of one environment, beside the reference of each of its machines.

    `quick` has the quick runs of references that were judged by a wider one: the base of what was
    measured in that profile, side by side with it. Without one it is the wider run, over the few
    times and sizes that both profiles have.
    """
    return [_beside(machine, first, other, quick) for machine in other.evidence.machines]


def _beside(
    machine: MachineResults, first: Judgement, other: Judgement, quick: Evidence | None
) -> Across:
    bases = [
        (one, evidence)
        for evidence in (first.evidence, quick)
        if evidence
        for one in evidence.machines
        if one.name == machine.name
    ]
    alike = (both for both in bases if _profile(both[0]) == _profile(machine))
    base, evidence = next(alike, bases[0])
    outcomes = _outcomes(first, other, machine.name)
    return Across(
        machine=machine.name,
        environment=machine.environment,
        profile=_profile(machine),
        commit=machine.commit,
        base=base.environment,
        base_profile=_profile(base),
        base_commit=base.commit,
        hours=abs(machine.measured - base.measured) / 3.6e6,
        cells=len(outcomes),
        agreeing=outcomes.count(AGREES),
        changes=[
            change
            for place in PLACES
            for change in _changes(
                place,
                _centre(place, evidence.cells, machine.name),
                _centre(place, other.evidence.cells, machine.name),
                first.known.rules,
            )
        ],
    )


def _profile(machine: MachineResults) -> str:
    return str(machine.provenance.get("profile", ""))


def _outcomes(first: Judgement, other: Judgement, machine: str) -> list[str]:
    """How each counted cell compares that both decide, in one version of its benchmark."""
    versions: list[set[tuple[str, str | None]]] = []
    for each in (first, other):
        cells = each.evidence.cells
        own = cells[cells["machine"] == machine]
        versions.append(set(zip(own["name"], own["version"], strict=True)))
    same = {name for name, _ in versions[0] & versions[1]}
    return [
        row["comparison"]
        for row in rows_of(first, other, {machine: machine})
        if row["counts"] and row["benchmark"] in same and row["comparison"] in (AGREES, DIFFERS)
    ]


def _centre(place: Place, cells: pd.DataFrame, machine: str) -> dict[tuple[Any, ...], Row]:
    """Measured rows of a machine at `place`, by version and levels."""
    chosen = cells[(cells["machine"] == machine) & (cells["name"] == place.benchmark)]
    wanted = CENTRE | dict(place.levels)
    found = {}
    for row in records(chosen):
        levels = factors_of(row)
        central = all(wanted.get(name, level) == level for name, level in levels.items())
        if central and row["status"] == "ok" and row["samples"]:
            found[(row["version"], *levels.items())] = row
    return found


def _changes(
    place: Place,
    base: Mapping[tuple[Any, ...], Row],
    other: Mapping[tuple[Any, ...], Row],
    rules: Rules,
) -> list[Change]:
    """What both have; of several counts of images, which have no centre, the largest."""
    both = [(base[at], other[at]) for at in base if at in other]
    most = max((row["n"] or 0 for row, _ in both), default=0)
    pairs = [pair for pair in both if (pair[0]["n"] or 0) == most]
    return [
        _change(place, *pair, rules)
        for pair in pairs
        if all(len(run) and run.min() > 0 for run in map(_blocks, pair))
    ]


def _change(place: Place, base: Row, other: Row, rules: Rules) -> Change:
    ratio = inference.apart(other["samples"], base["samples"], rules.confidence)
    low, high, margin = ratio.low, ratio.high, rules.margin
    return Change(
        place=place.key,
        benchmark=place.benchmark,
        unit=base["unit"],
        factors=factors_of(base),
        base=_mean(_blocks(base)),
        other=_mean(_blocks(other)),
        ratio=ratio,
        changed=low is not None and high is not None and (low > 1 + margin or high < 1 - margin),
    )


def _blocks(row: Row) -> np.ndarray:
    (blocks,) = inference.undisturbed(row["samples"])
    return blocks


def _mean(blocks: np.ndarray) -> float:
    return float(np.exp(np.log(blocks).mean()))
