"""What the time beyond the ceiling is spent on: from the ceiling down, each step adds one thing."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from datasets_impl.factors import Task
from scripts.judging import inference
from scripts.judging.model import LadderStep

# Each arm does one thing more than the one before it; `report/instead.py` says which.
LADDERS: dict[Task, tuple[str, ...]] = {
    "decode": (
        "ceiling-decode", "threaded-pack", "threaded-files", "batched-simplejpeg",
        "dataloader-simplejpeg", "dataloader-pil",
    ),
    "raw": (
        "ceiling-gather", "gathered-preloaded", "gathered-overwrite", "gathered", "pack-batched",
        "pack-items", "raw-files",
    ),
    "train": (
        "threaded-regions", "threaded-crops", "threaded-crops-files", "dataloader-simplejpeg",
        "dataloader-pil",
    ),
}  # fmt: skip


def ladder(task: Task, times: Mapping[str, Sequence[float]], confidence: float) -> list[LadderStep]:
    """The steps that were measured; `times` are microseconds per image of each arm by block.

    What a step adds is the mean difference within blocks, with Student's t interval. It can be
    below zero: a step that pays for itself.
    """
    steps: list[LadderStep] = []
    before: Sequence[float] = ()
    for arm in LADDERS[task]:
        own = times.get(arm, ())
        if not own or (before and len(own) != len(before)):
            continue
        both = inference.undisturbed(own, before or [0.0] * len(own))
        more = (both[0] - both[1]).tolist()
        if not more:
            continue
        added, low, high = float(np.mean(more)), None, None
        if before and len(more) > 1:
            added, low, high = inference.mean_interval(more, confidence)
        steps.append(LadderStep(arm, float(np.nanmean(own)), added, low, high))
        before = own
    return steps if len(steps) > 1 else []
