"""What the time beyond the ceiling is spent on: from the ceiling down, each step adds one thing."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from datasets_impl.contest.model import Task
from scripts.judging import inference
from scripts.judging.model import LadderStep

# Arm, and what it does that the one before it does not.
LADDERS: dict[Task, tuple[tuple[str, str], ...]] = {
    "decode": (
        ("ceiling-decode", "decode, all threads, bytes in memory, nothing else"),
        ("threaded-pack", "shuffled order, batches, bytes from one mapped file"),
        ("threaded-files", "open and read a file for each image"),
        ("batched-simplejpeg", "worker processes, and batches handed from them to the trainer"),
        ("dataloader-simplejpeg", "an array for each image, collated"),
        ("dataloader-pil", "Pillow as the decoder"),
    ),
    "raw": (
        ("ceiling-gather", "copy rows in memory to one place, all threads, nothing else"),
        ("gathered-preloaded", "shuffled order, batches, a trainer that touches them"),
        ("gathered-overwrite", "the pixels in a mapped file"),
        ("gathered", "batches that the trainer may keep"),
        ("pack-batched", "the DataLoader, its collating, memory that is new each time"),
        ("pack-items", "item by item"),
        ("raw-files", "a file for each image"),
    ),
    "train": (
        ("threaded-regions", "decode the region, crop, resize, in threads"),
        ("threaded-crops", "decode the whole picture"),
        ("threaded-crops-files", "open and read a file for each image"),
        ("dataloader-simplejpeg", "worker processes, the hand-over, torchvision's transforms"),
        ("dataloader-pil", "Pillow as the decoder"),
    ),
}


def ladder(task: Task, times: Mapping[str, Sequence[float]], confidence: float) -> list[LadderStep]:
    """The steps that were measured; `times` are microseconds per image of each arm by block.

    What a step adds is the mean difference within blocks, with Student's t interval. It can be
    below zero: a step that pays for itself.
    """
    steps: list[LadderStep] = []
    before: Sequence[float] = ()
    for arm, adds in LADDERS[task]:
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
        steps.append(LadderStep(arm, adds, float(np.nanmean(own)), added, low, high))
        before = own
    return steps if len(steps) > 1 else []
