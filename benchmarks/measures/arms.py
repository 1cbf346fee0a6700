"""How the throughput of an arm is made: the fastest setting, whole epochs, the start apart."""

from __future__ import annotations

import gc
import os
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from datasets_impl.contest.ceilings import CEILINGS
from datasets_impl.contest.model import Task
from datasets_impl.contest.registry import ARMS
from datasets_impl.contest.tuning import tuned
from datasets_impl.errors import Unsupported
from datasets_impl.experiments.loops import cores
from datasets_impl.files.paths import cache_dir
from datasets_impl.loading import touch
from datasets_impl.observe.load import tree_seconds
from datasets_impl.observe.page_cache import evict, large_pages, resident_share

from ..common import Measured
from ..grids import Cell
from .epochs import PASS_BATCHES, corpus_of, repeated, timed, warmed

LEAST_BATCHES = 200  # of several epochs; a slow arm needs only `PASS_BATCHES`
ARM_SECONDS = 0.5
SLOW_SECONDS = 4.0  # an arm that needs longer for `LEAST_BATCHES` is slow


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
    """Microseconds per image of an arm, or of a ceiling, over at least 200 batches, a slow one 100.

    Every arm may use all cores, with threads or processes as its setting says; the trainer touches
    every page of a batch. The state tells the time without the start of epochs.

    Raises:
        Unsupported: what the arm needs is not installed.
    """
    name, root = cell.impl, home_of(cell)
    torch.set_num_threads(cores())
    if name in CEILINGS:
        once = CEILINGS[name](root)
        once()
        count = once()

        def pass_time() -> float:
            once.before()
            return timed(once)

        cpu = tree_seconds()
        times = repeated(pass_time, ARM_SECONDS)
        cpu_us = 1e6 * (tree_seconds() - cpu) / len(times) / count
        state = {"passes": len(times), "cores": cores(), "cpu_us": round(cpu_us, 4)}
        return 1e6 * sum(times) / len(times) / count, state
    arm = ARMS[task, name]
    if not arm.available:
        raise Unsupported(f"the package {arm.package} is not installed")
    before = time.perf_counter()
    files = arm.prepare(root)
    state: dict[str, Any] = {
        "cores": cores(),
        "prepared_seconds": round(time.perf_counter() - before, 3),
    }
    setting, tried = tuned(arm, root, root.parent / "tuned")
    state |= {"setting": setting, "tried": {name: round(us, 2) for name, us in tried.items()}}
    if task == "raw":
        _evicted(files, state)
    with arm.open(root, **setting) as batches:
        _epoch(batches)
        warmed(files, state)
        made = whole_epochs(batches, state)
        state["large_page_mb"] = round(large_pages() / 1e6, 1)
        return made


def _evicted(files: list[Path], state: dict[str, Any]) -> None:
    """Let the arm itself bring its file into memory, as after a start of the machine.

    What reads a file first decides how large the pages are in which it stays there, and arms that
    map it are faster the larger they are.
    """
    gc.collect()  # a mapping that is left would hold pages
    try:
        evict(files)
        state["resident_when_opened"] = round(resident_share(files), 3)
    except Unsupported:
        state["resident_when_opened"] = None


def whole_epochs(batches: Iterable[torch.Tensor], state: dict[str, Any]) -> Measured:
    """Microseconds per image over whole epochs of `LEAST_BATCHES` batches, or fewer of a slow arm.

    An epoch's start is a part of it. Few batches an epoch make it weigh more than in a real
    training, so the state has the time after each epoch's first batch too, and the CPU time of all
    processes per image, those included that end meanwhile.
    """
    _epoch(batches)
    seen: list[_Epoch] = []
    cpu = tree_seconds()
    while not _enough(seen):
        seen.append(_epoch(batches))
    cpu = tree_seconds() - cpu
    images = sum(epoch.images for epoch in seen)
    later = sum(epoch.images - epoch.first_images for epoch in seen)
    rest = sum(epoch.seconds - epoch.first_seconds for epoch in seen)
    state |= {
        "epochs": len(seen),
        "batches": sum(epoch.batches for epoch in seen),
        "first_batch_ms": round(1e3 * sum(e.first_seconds for e in seen) / len(seen), 4),
        "us_after_first": round(1e6 * rest / later, 4) if later else None,
        "cpu_us": round(1e6 * cpu / images, 4),
    }
    return 1e6 * sum(epoch.seconds for epoch in seen) / images, state


@dataclass(frozen=True)
class _Epoch:
    """Seconds of the whole and to its first batch; images of the whole and in its first batch."""

    seconds: float
    first_seconds: float
    images: int
    first_images: int
    batches: int


def _enough(seen: Sequence[_Epoch]) -> bool:
    batches, seconds = (
        sum(each) for each in ([e.batches for e in seen], [e.seconds for e in seen])
    )
    least = PASS_BATCHES if seconds >= SLOW_SECONDS else LEAST_BATCHES
    return batches >= least and seconds >= ARM_SECONDS


def _epoch(batches: Iterable[torch.Tensor]) -> _Epoch:
    begun = time.perf_counter()
    arriving = iter(batches)
    images = first_images = touch(next(arriving))
    first, many = time.perf_counter() - begun, 1
    for batch in arriving:
        images += touch(batch)
        many += 1
    return _Epoch(time.perf_counter() - begun, first, images, first_images, many)
