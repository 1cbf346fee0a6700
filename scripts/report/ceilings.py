"""Every loader beside its ceiling as data: `ceilings.json`, and a table for the figures."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

import pandas as pd

from scripts.judging.inference import Interval
from scripts.judging.model import LoaderRow, Loaders
from scripts.report import wording
from scripts.report.fields import clean
from scripts.report.instead import STEPS

ARMS = {  # another name where one says too little beside the others, or says something else there
    ("raw", "preloaded"): "one tensor, DataLoader",
}
WORDS = {
    "decode": "decoding, all threads",
    "decode-1": "decoding, one thread",
    "decode-fast": "decoding with the fast DCT, all threads",
    "read": "reading the files from the page cache",
    "read-cold": "reading the files from the disk",
    "gather": "copying rows in random order, all threads",
    "gather-1": "copying rows in random order, one thread",
    "copy": "copying rows in order, all threads",
    "copy-1": "copying rows in order, one thread",
}


def called(task: str, arm: str) -> str:
    """An arm's name in the figure and the table of its task."""
    return ARMS.get((task, arm), arm)


def passing(each: Loaders) -> list[str]:
    """A sentence for each loader whose speed is estimated above its own ceiling, and why it is."""
    told = []
    for row in each.rows:
        share = row.share_of_ceiling
        if share is None or share.estimate <= 1:
            continue
        ratio = wording.estimate(share.estimate, "ratio")
        ends = wording.interval(share.estimate, share.low, share.high, "ratio")
        why = (
            "The interval lies above 1: the ceiling is too low here, and no limit for it."
            if share.low is not None and share.low > 1
            else "The interval holds 1: that is the noise of two measurements."
        )
        told.append(f"{row.arm} comes out above its ceiling, {ratio} {ends}. {why}")
    return told


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
                "adds": STEPS[each.task, step.arm],
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
        "first_batch_ms", "us_after_first", "rival_later", "cpu_us",
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
                "cpu_us": row.cpu_us,
                "memory_mb": row.memory_mb,
                "conversion_seconds": row.conversion_seconds,
            }
            for each in found
            for row in each.rows
        ]
    )
