"""What to use instead: every loader of the three tasks beside its ceiling and its best rival.

Shares and ratios are taken inside each block, as everywhere; what an arm costs besides time was
measured once and stands in the log beside the results.
"""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd

from datasets_impl.contest.code import with_setting
from datasets_impl.contest.model import Arm, Task
from datasets_impl.contest.registry import ARMS
from scripts.judging import inference
from scripts.judging.evidence import Evidence
from scripts.judging.inference import Interval
from scripts.judging.ladder import ladder
from scripts.judging.model import LoaderRow, Loaders, ScaleRow
from scripts.judging.noise import AGAIN
from scripts.judging.pairing import Row, records
from scripts.report import wording
from scripts.report.tables import clean

TASKS: tuple[Task, ...] = ("decode", "raw", "train")
CEILING: dict[Task, str] = {
    "decode": "ceiling-decode",
    "raw": "ceiling-gather",
    "train": "ceiling-decode",
}
FAST = "ceiling-decode-fast"  # of arms that use the fast DCT
PREFIX = "ceiling-"
SWEEPS = {  # benchmark -> its factor in words, and by name
    "arms.ByThreads": ("threads or workers, decode", "workers"),
    "arms.ByBatch": ("images a batch, decode", "batch"),
    "arms.ByResolution": ("pixels a side, decode", "px"),
    "arms.ByCount": ("images of 16 px, raw", "n"),
    "arms.ByPlace": ("turned and normalised, raw", "impl"),
}


def loaders(evidence: Evidence, confidence: float) -> list[Loaders]:
    """Of each machine and task that was measured, its arms, fastest first."""
    found = []
    cells = evidence.cells
    chosen = cells[cells["metric"].isin(TASKS) & (cells["status"] == "ok")]
    logs = {each.name: _Log(each.observations) for each in evidence.machines}
    for machine in sorted(chosen["machine"].unique()):
        for task in TASKS:
            bench = f"arms.{task.title()}"
            part = chosen[(chosen["machine"] == machine) & (chosen["benchmark"] == bench)]
            for count in sorted(part["n"].unique()):
                rows = {
                    str(row["impl"]): row
                    for row in records(part[part["n"] == count])
                    if not str(row["impl"]).endswith(AGAIN)
                }
                if any((task, name) in ARMS for name in rows):
                    found.append(_task(machine, task, rows, logs[machine], confidence))
    return found


class _Log:
    """The verified state of the last measurement of each arm, by benchmark and name."""

    def __init__(self, observations: Sequence[dict[str, Any]]) -> None:
        self.state: dict[tuple[str, str, Any], dict[str, Any]] = {}
        self.later: dict[tuple[str, str, Any], dict[int, float]] = {}
        for entry in observations:
            name = str(entry.get("benchmark", ""))
            if name.startswith("arms.") and "value" in entry:
                factors = entry["factors"]
                key = name, factors["impl"], factors["n"]
                self.state[key] = entry
                if entry.get("us_after_first"):
                    blocks = self.later.setdefault(key, {})
                    # NaN stands for a block that other programs disturbed, as in the evidence.
                    us = math.nan if entry.get("loaded") else float(entry["us_after_first"])
                    blocks[int(entry.get("round", len(blocks)))] = us

    def of(self, task: Task, arm: str, count: Any, what: str = "") -> dict[str, Any]:
        return self.state.get((f"arms.{task.title()}{what}", arm, count), {})

    def after_first(self, task: Task, arm: str, count: Any) -> dict[int, float]:
        """Microseconds per image after each epoch's first batch, by block."""
        return self.later.get((f"arms.{task.title()}", arm, count), {})


def _task(machine: str, task: Task, rows: dict[str, Row], log: _Log, confidence: float) -> Loaders:
    arms = {name: row for name, row in rows.items() if (task, name) in ARMS}
    some = next(iter(rows.values()))
    made = [_row(ARMS[task, name], row, rows, log, confidence) for name, row in arms.items()]
    return Loaders(
        machine=machine,
        task=task,
        images=int(some["n"]),
        px=int(some["px"]),
        cores=max(int(log.of(task, name, some["n"]).get("cores", 1)) for name in rows),
        ceilings={
            name.removeprefix(PREFIX): 1e6 / _time(row, confidence).estimate
            for name, row in rows.items()
            if name.startswith(PREFIX)
        },
        rows=sorted(made, key=lambda row: -row.images_per_second),
        ladder=ladder(task, {name: row["samples"] or [] for name, row in rows.items()}, confidence),
    )


def _row(arm: Arm, row: Row, rows: dict[str, Row], log: _Log, confidence: float) -> LoaderRow:
    name, count = arm.name, row["n"]
    state, costs = (log.of(arm.task, name, count, what) for what in ("", "Costs"))
    time = _time(row, confidence)
    limit = rows.get(CEILING[arm.task] if arm.exact or arm.task == "raw" else FAST)
    rival = _best_rival(arm, rows, confidence)
    rival_later, times_later = _after_first(arm, rows, log, confidence)
    return LoaderRow(
        arm=name,
        origin=arm.origin,
        about=arm.about,
        exact=arm.exact,
        order=arm.order,
        code=with_setting(arm.code, state.get("setting", {})),
        images_per_second=1e6 / time.estimate,
        low=None if time.high is None else 1e6 / time.high,
        high=None if time.low is None else 1e6 / time.low,
        blocks=time.blocks,
        share_of_ceiling=_ratio(limit, row, confidence),
        rival=rival,
        times_rival=_ratio(rows[rival], row, confidence) if rival else None,
        rival_later=rival_later,
        times_rival_later=times_later,
        memory_mb=costs.get("value"),
        conversion_seconds=costs.get("conversion_seconds"),
        bytes_on_disk=costs.get("bytes_on_disk"),
        mean_difference=costs.get("mean_difference"),
        psnr=costs.get("psnr"),
        setting=state.get("setting", {}),
        tried=state.get("tried", {}),
        first_batch_ms=state.get("first_batch_ms"),
        us_after_first=state.get("us_after_first"),
    )


def _best_rival(arm: Arm, rows: dict[str, Row], confidence: float) -> str:
    """The fastest specialised loader of equal or better fidelity; "" where none was measured."""
    return min(
        _rivals(arm, rows), key=lambda name: _time(rows[name], confidence).estimate, default=""
    )


def _rivals(arm: Arm, rows: dict[str, Row]) -> list[str]:
    return [
        name
        for name in rows
        if (arm.task, name) in ARMS
        and ARMS[arm.task, name].origin == "peer"
        and name != arm.name
        and (ARMS[arm.task, name].exact or not arm.exact)
    ]


def _after_first(
    arm: Arm, rows: dict[str, Row], log: _Log, confidence: float
) -> tuple[str, Interval | None]:
    """The rival that is fastest when no epoch's start is counted, and how far behind it is then."""
    count = rows[arm.name]["n"]
    own = log.after_first(arm.task, arm.name, count)
    others = {name: log.after_first(arm.task, name, count) for name in _rivals(arm, rows)}
    others = {
        name: blocks
        for name, blocks in others.items()
        if own
        and blocks.keys() == own.keys()
        and inference.undisturbed([*blocks.values()], [own[number] for number in blocks])[0].size
    }
    if not others:
        return "", None
    best = min(others, key=lambda name: float(np.nanmedian([*others[name].values()])))
    blocks = sorted(own)
    return best, inference.ratio(
        [others[best][block] for block in blocks], [own[block] for block in blocks], confidence
    )


def _time(row: Row, confidence: float) -> Interval:
    """Microseconds per image."""
    return inference.amount(row["samples"] or [row["median"]], confidence)


def _ratio(above: Row | None, below: Row, confidence: float) -> Interval | None:
    if above is None:
        return None
    upper, lower = (row["samples"] or [row["median"]] for row in (above, below))
    if len(upper) != len(lower) or not inference.undisturbed(upper, lower)[0].size:
        return None
    return inference.ratio(upper, lower, confidence)


def scale(evidence: Evidence, confidence: float) -> list[ScaleRow]:
    """Every measured point of the sweeps, in the order of the sweep."""
    cells = evidence.cells
    found = []
    for benchmark, (what, factor) in SWEEPS.items():
        own = cells[(cells["benchmark"] == benchmark) & (cells["status"] == "ok")]
        for row in records(own):
            time = _time(row, confidence)
            found.append(
                ScaleRow(
                    machine=row["machine"],
                    what=what,
                    level=level if isinstance(level := row[factor], str) else wording.number(level),
                    arm=row["impl"] if factor != "impl" else "gathered",
                    images_per_second=1e6 / time.estimate,
                    low=None if time.high is None else 1e6 / time.high,
                    high=None if time.low is None else 1e6 / time.low,
                )
            )
    return found


def ceilings_json(found: Sequence[Loaders]) -> str:
    """`ceilings.json`: of each machine and task the ceilings, and every arm beside them."""
    return json.dumps([_record(each) for each in found], indent=1, sort_keys=True) + "\n"


def _record(each: Loaders) -> dict[str, Any]:
    return {
        "machine": each.machine,
        "task": each.task,
        "images": each.images,
        "px": each.px,
        "cores": each.cores,
        "ceilings_images_per_second": {name: clean(v) for name, v in each.ceilings.items()},
        "arms": [_arm_record(row) for row in each.rows],
        "steps_us_per_image": [
            {
                "arm": step.arm,
                "adds": step.adds,
                "us": clean(step.us),
                "added": clean(step.added),
                "low": clean(step.low),
                "high": clean(step.high),
            }
            for step in each.ladder
        ],
    }


def _arm_record(row: LoaderRow) -> dict[str, Any]:
    plain = (
        "arm", "origin", "about", "exact", "order", "images_per_second", "low", "high", "blocks",
        "rival", "memory_mb", "conversion_seconds", "bytes_on_disk", "mean_difference", "psnr",
        "first_batch_ms", "us_after_first", "rival_later",
    )  # fmt: skip
    return {
        **{name: clean(getattr(row, name)) for name in plain},
        "share_of_ceiling": _interval_record(row.share_of_ceiling),
        "times_rival": _interval_record(row.times_rival),
        "times_rival_later": _interval_record(row.times_rival_later),
        "setting": row.setting,
        "tried_us_per_image": row.tried,
    }


def _interval_record(interval: Interval | None) -> dict[str, Any] | None:
    if interval is None:
        return None
    return {name: clean(getattr(interval, name)) for name in ("estimate", "low", "high")}


def table(found: Sequence[Loaders]) -> pd.DataFrame:
    """A row for each machine, task and arm, for the figure's data."""
    return pd.DataFrame(
        [
            {
                "machine": each.machine,
                "task": each.task,
                "px": each.px,
                "images": each.images,
                "arm": row.arm,
                "origin": row.origin,
                "exact": row.exact,
                "images_per_second": row.images_per_second,
                "low": row.low,
                "high": row.high,
                "share_of_ceiling": row.share_of_ceiling and row.share_of_ceiling.estimate,
                "memory_mb": row.memory_mb,
                "conversion_seconds": row.conversion_seconds,
            }
            for each in found
            for row in each.rows
        ]
    )
