"""Ways to load beside a trainer: worker processes, threads here, threads in a process (X10, X11).

They read the same files with the same decoder in the same order, with as many workers or threads as
there are cores at most, and make equally many batches in advance. Of DataLoaders with workers the
one is taken that is the fastest beside the trainer.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

from torch.utils.data import Sampler

from datasets_impl.contest.model import CROP, Task
from datasets_impl.contest.plain import jpegs, stored
from datasets_impl.contest.registry import ARMS
from datasets_impl.experiments.ways import AHEAD, Opened, by_threads
from datasets_impl.formats import ensure_stored
from datasets_impl.loaders.decoded_images import DecodedImages
from datasets_impl.loaders.images import ImageDataset
from datasets_impl.loaders.random_crops import RandomCrops
from datasets_impl.loaders.stored_pixels import StoredPixels
from datasets_impl.system.cores import cores

Setting = dict[str, Any]
DATALOADERS: dict[Task, tuple[str, ...]] = {
    "decode": ("dataloader-simplejpeg", "batched-simplejpeg"),
    "raw": ("pack-items", "pack-batched"),
    "train": ("dataloader-simplejpeg",),
}


def files_of(task: Task, root: Path) -> list[Path]:
    """What an epoch reads: the photographs in `root`, or a pack of their pixels, made beside it."""
    return stored(root, "pixels", "pack") if task == "raw" else jpegs(root)


def settings(task: Task, impl: str) -> list[Setting]:
    """What is tried to find the fastest setting."""
    if impl != "dataloader":
        return [{"threads": cores()}]
    return [
        {"arm": arm, "num_workers": workers}
        for arm in DATALOADERS[task]
        for workers in range(1, cores() + 1)
    ]


def opened(task: Task, impl: str, root: Path, order: Sampler[int], setting: Setting) -> Opened:
    """Batches in the order given; workers and threads are gone after the block."""
    return WAYS[impl](task, root, order, **setting)


def _dataloader(task: Task, root: Path, order: Sampler[int], arm: str, num_workers: int) -> Opened:
    return ARMS[task, arm].open(
        root,
        num_workers=num_workers,
        sampler=order,
        prefetch_factor=-(-AHEAD // num_workers),
    )


def dataset(task: Task, root: Path) -> ImageDataset:
    """The photographs in `root` as the one loader reads them: straight into the batch."""
    if task == "raw":
        return StoredPixels(ensure_stored(root, "pixels", "pack"))
    return RandomCrops(root, size=CROP) if task == "train" else DecodedImages(root)


def _threads(task: Task, root: Path, order: Sampler[int], threads: int, where: str) -> Opened:
    return by_threads(dataset(task, root), order, where, threads)


WAYS: dict[str, Callable[..., Opened]] = {
    "dataloader": _dataloader,
    "threads": partial(_threads, where="trainer"),
    "process": partial(_threads, where="process"),
}
