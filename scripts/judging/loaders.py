"""What to use instead: every loader of the three tasks beside its ceiling and its best rival.

Shares and ratios are taken inside each block, as everywhere; what an arm costs besides time was
measured once and stands in the log beside the results.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np

from datasets_impl.factors import LOCAL_TASKS, Task, is_second_name
from scripts.judging import inference
from scripts.judging.arms import Arm, arms
from scripts.judging.evidence import Evidence
from scripts.judging.inference import Interval
from scripts.judging.ladder import ladder
from scripts.judging.model import LoaderRow, Loaders, ScaleRow
from scripts.judging.pairing import Row, records

CEILING: dict[Task, str] = {
    "decode": "ceiling-decode",
    "raw": "ceiling-gather",
    "train": "ceiling-decode",
}
FAST = "ceiling-decode-fast"  # of arms that use the fast DCT
PREFIX = "ceiling-"
SWEEPS = {  # benchmark -> its factor
    "arms.ByThreads": "workers",
    "arms.ByBatch": "batch",
    "arms.ByResolution": "px",
    "arms.ByCount": "n",
    "arms.ByPlace": "impl",
}


def loaders(evidence: Evidence, confidence: float) -> list[Loaders]:
    """Of each machine and task that was measured, its arms, fastest first."""
    found = []
    cells = evidence.cells
    chosen = cells[cells["metric"].isin(LOCAL_TASKS) & (cells["status"] == "ok")]
    logs = {each.name: _Log(each.observations) for each in evidence.machines}
    for machine in sorted(chosen["machine"].unique()):
        for task in LOCAL_TASKS:
            bench = f"arms.{task.title()}"
            part = chosen[(chosen["machine"] == machine) & (chosen["benchmark"] == bench)]
            for count in sorted(part["n"].unique()):
                rows = {
                    str(row["impl"]): row
                    for row in records(part[part["n"] == count])
                    if not is_second_name(row["impl"])
                }
                told = logs[machine].arms(task, rows, count)
                if told:
                    found.append(_task(machine, told, rows, logs[machine], confidence))
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

    def arms(self, task: Task, names: Iterable[str], count: Any) -> dict[str, Arm]:
        logged = {name: self.of(task, name, count, "Costs").get("arm", {}) for name in names}
        return arms(task, names, logged)

    def after_first(self, task: Task, arm: str, count: Any) -> dict[int, float]:
        """Microseconds per image after each epoch's first batch, by block."""
        return self.later.get((f"arms.{task.title()}", arm, count), {})


def _task(
    machine: str, own: dict[str, Arm], rows: dict[str, Row], log: _Log, confidence: float
) -> Loaders:
    task = next(iter(own.values())).task
    some = next(iter(rows.values()))
    made = [_row(arm, own, rows, log, confidence) for arm in own.values()]
    limits = {
        name.removeprefix(PREFIX): speed_of(image_time(row, confidence))
        for name, row in rows.items()
        if name.startswith(PREFIX)
    }
    return Loaders(
        machine=machine,
        task=task,
        images=int(some["n"]),
        px=int(some["px"]),
        cores=max(int(log.of(task, name, some["n"]).get("cores", 1)) for name in rows),
        ceilings={name: speed for name, (speed, _, _) in limits.items()},
        ceiling_ends={name: (low, high) for name, (_, low, high) in limits.items()},
        rows=sorted(made, key=lambda row: -row.images_per_second),
        ladder=ladder(task, {name: row["samples"] or [] for name, row in rows.items()}, confidence),
    )


def _row(
    arm: Arm, own: dict[str, Arm], rows: dict[str, Row], log: _Log, confidence: float
) -> LoaderRow:
    name, row = arm.name, rows[arm.name]
    count = row["n"]
    state, costs = (log.of(arm.task, name, count, what) for what in ("", "Costs"))
    time = image_time(row, confidence)
    ceiling = CEILING[arm.task] if arm.exact or arm.task == "raw" else FAST
    limit = rows.get(ceiling)
    speed, low, high = speed_of(time)
    rivals = _rivals(arm, own)
    # The fastest specialised loader of equal or better fidelity; "" where none was measured.
    rival = min(rivals, key=lambda peer: image_time(rows[peer], confidence).estimate, default="")
    rival_later, times_later = _after_first(arm, rivals, count, log, confidence)
    return LoaderRow(
        arm=name,
        origin=arm.origin,
        about=arm.about,
        exact=arm.exact,
        order=arm.order,
        code=arm.code,
        uses=arm.uses,
        images_per_second=speed,
        low=low,
        high=high,
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
        cpu_us=state.get("cpu_us"),
        ceiling=ceiling.removeprefix(PREFIX) if limit else "",
    )


def _rivals(arm: Arm, own: dict[str, Arm]) -> list[str]:
    """Specialised loaders of equal or better fidelity."""
    return [
        name
        for name, other in own.items()
        if other.origin == "peer" and name != arm.name and (other.exact or not arm.exact)
    ]


def _after_first(
    arm: Arm, rivals: Sequence[str], count: Any, log: _Log, confidence: float
) -> tuple[str, Interval | None]:
    """The rival that is fastest when no epoch's start is counted, and how far behind it is then."""
    own = log.after_first(arm.task, arm.name, count)
    others = {name: log.after_first(arm.task, name, count) for name in rivals}
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


def image_time(row: Row, confidence: float) -> Interval:
    """Microseconds per image."""
    return inference.amount(row["samples"] or [row["median"]], confidence)


def speed_of(time: Interval) -> tuple[float, float | None, float | None]:
    """Images per second with the ends of its interval, from microseconds per image."""
    low, high = (None if end is None else 1e6 / end for end in (time.high, time.low))
    return 1e6 / time.estimate, low, high


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
    for benchmark, factor in SWEEPS.items():
        own = cells[(cells["benchmark"] == benchmark) & (cells["status"] == "ok")]
        for row in records(own):
            speed, low, high = speed_of(image_time(row, confidence))
            found.append(
                ScaleRow(
                    machine=row["machine"],
                    benchmark=benchmark,
                    level=row[factor],
                    arm=row["impl"] if factor != "impl" else "gathered",
                    images_per_second=speed,
                    low=low,
                    high=high,
                )
            )
    return found
