"""How the throughput of an arm is made: the fastest setting, whole epochs, the start apart."""

from __future__ import annotations

import os
import time
from pathlib import Path
from typing import Any

import torch

from datasets_impl.arms import ARMS
from datasets_impl.arms.ceilings import CEILINGS
from datasets_impl.arms.model import Task
from datasets_impl.arms.tuning import tuned
from datasets_impl.loading import touch
from datasets_impl.loops import cores
from datasets_impl.observe.page_cache import Unsupported
from datasets_impl.paths import cache_dir
from datasets_impl.registry import AGAIN

from .common import Measured
from .grids import Cell
from .measure import corpus_of, repeated, timed, warmed

LEAST_BATCHES = 200  # start-up would weigh too much in fewer
ARM_SECONDS = 0.5


def home_of(cell: Cell) -> Path:
    """A folder that keeps the cell's photographs, as hard links, and what arms made of them."""
    corpus = corpus_of(cell)
    home = cache_dir() / "arms" / corpus.root.parent.name
    folder = home / "images"
    folder.mkdir(parents=True, exist_ok=True)
    for source in corpus.root.iterdir():
        target = folder / source.name
        if not target.exists():
            try:
                os.link(source, target)
            except OSError:  # another file system, or one without hard links
                target.write_bytes(source.read_bytes())
    return folder


def throughput(cell: Cell, task: Task) -> Measured:
    """Microseconds per image of an arm, or of a ceiling, over at least 200 batches.

    Every arm may use all cores, with threads or processes as its setting says; the trainer touches
    every page of a batch. The state tells the time without the start of epochs.

    Raises:
        Unsupported: what the arm needs is not installed.
    """
    name, root = cell.impl.removesuffix(AGAIN), home_of(cell)
    torch.set_num_threads(cores())
    if name in CEILINGS:
        once = CEILINGS[name](root)
        once()
        count = once()
        times = repeated(lambda: timed(once), ARM_SECONDS)
        return 1e6 * sum(times) / len(times) / count, {"passes": len(times)}
    arm = ARMS[task, name]
    if not arm.available:
        raise Unsupported(f"the package {arm.package} is not installed")
    before = time.perf_counter()
    files = arm.prepare(root)
    state: dict[str, Any] = {"prepared_seconds": round(time.perf_counter() - before, 3)}
    setting, tried = tuned(arm, root, root.parent / "tuned")
    state |= {"setting": setting, "tried": {name: round(us, 2) for name, us in tried.items()}}
    with arm.open(root, **setting) as batches:
        warmed(files, state)
        _epoch(batches)
        images = batches_seen = epochs = 0
        starts = rests = 0.0
        while batches_seen < LEAST_BATCHES or starts + rests < ARM_SECONDS:
            start, rest, count, many = _epoch(batches)
            starts, rests = starts + start, rests + rest
            images, batches_seen, epochs = images + count, batches_seen + many, epochs + 1
    state |= {
        "epochs": epochs,
        "batches": batches_seen,
        "first_batch_ms": round(1e3 * starts / epochs, 4),
        "us_after_first": round(1e6 * rests / (images - epochs * 64), 4),
    }
    return 1e6 * (starts + rests) / images, state


def _epoch(batches: Any) -> tuple[float, float, int, int]:
    """Seconds to the first batch, seconds of the rest, images, batches."""
    begun = time.perf_counter()
    arriving = iter(batches)
    images, many = touch(next(arriving)), 1
    first = time.perf_counter()
    for batch in arriving:
        images += touch(batch)
        many += 1
    return first - begun, time.perf_counter() - first, images, many
