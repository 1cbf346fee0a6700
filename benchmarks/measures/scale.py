"""How throughput changes with threads or workers, batch size and image count."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch

from datasets_impl.contest.model import Arm, Task
from datasets_impl.contest.plain import data_loader
from datasets_impl.contest.registry import ARMS
from datasets_impl.errors import Unsupported
from datasets_impl.experiments.augment import AugmentedBatches, FlipAndNormalise
from datasets_impl.experiments.loops import cores
from datasets_impl.files.paths import cache_dir
from datasets_impl.formats import ensure_stored
from datasets_impl.formats.conversion import Plan, convert_plan
from datasets_impl.formats.pack import PackFormat, PackImages
from datasets_impl.loaders.loader import ThreadedLoader
from datasets_impl.loaders.stored_pixels import StoredPixels
from datasets_impl.variants.stored_pixels import BatchedStoredDataset
from datasets_impl.variants.whole_batches import as_it_comes

from ..common import Measured
from ..grids import Cell
from .arms import home_of, whole_epochs
from .epochs import warmed


def scaled(cell: Cell, task: Task) -> Measured:
    """Microseconds per image of an arm with `cell.workers` threads or workers (without a search)
    and batches of `cell.batch` images.

    Raises:
        Unsupported: what the arm needs is not installed.
    """
    arm, root = ARMS[task, cell.impl], home_of(cell)
    if not arm.available:
        raise Unsupported(f"the package {arm.package} is not installed")
    torch.set_num_threads(cores())
    state: dict[str, Any] = {"cores": cores()}
    files = arm.prepare(root)
    with arm.open(root, batch_size=cell.batch, **{parallel_by(arm): cell.workers}) as batches:
        warmed(files, state)
        return whole_epochs(batches, state)


def parallel_by(arm: Arm) -> str:
    """The name of the setting that says how many threads or workers there are."""
    (name,) = {name for setting in arm.settings for name in setting}
    return name


def counted(cell: Cell) -> Measured:
    """Microseconds per image of `cell.n` made-up images of `cell.px` pixels, stored in a pack."""
    torch.set_num_threads(cores())
    images = made_up_pack(cell.n, cell.px)
    state: dict[str, Any] = {"cores": cores()}
    if cell.impl == "gathered":
        opened: Any = gathering(images, cell.batch)
    else:
        opened = data_loader(
            images.folder,
            dataset=lambda folder: BatchedStoredDataset(PackImages(folder)),
            batch_size=cell.batch,
            collate_fn=as_it_comes,
        )
    with opened as batches:
        warmed(images.files, state)
        return whole_epochs(batches, state)


def augmented(cell: Cell) -> Measured:
    """Microseconds per image gathered from a pack of pixels, turned and normalised in one place.

    Raises:
        Unsupported: the place is a device, and there is none.
    """
    torch.set_num_threads(cores())
    place = cell.impl
    if place == "on-device" and not torch.cuda.is_available():
        raise Unsupported("no CUDA device")
    root = home_of(cell)
    pack: Any = ensure_stored(root, "pixels", "pack")
    loader = gathering(pack, cell.batch, pin_memory=place == "on-device")
    transform = FlipAndNormalise(device="cuda" if place == "on-device" else "cpu")
    state: dict[str, Any] = {"cores": cores()}
    warmed(pack.files, state)
    batches = AugmentedBatches(_Numbered(loader), transform, each=place == "per-item")
    return whole_epochs(batches, state)


def gathering(
    pack: PackImages, batch: int, pin_memory: bool = False
) -> ThreadedLoader[torch.Tensor]:
    """Rows of a pack in a true shuffle, each batch gathered when it is asked for."""
    return ThreadedLoader(
        StoredPixels(pack),
        batch,
        shuffle=True,
        seed=0,
        where="trainer",
        pin_memory=pin_memory,
        prefetch_factor=0,
    )


class _Numbered:
    """Batches, channels last, with made-up indices: which images are turned costs the same."""

    def __init__(self, loader: ThreadedLoader[torch.Tensor]) -> None:
        self.loader = loader

    def __iter__(self) -> Iterator[tuple[torch.Tensor, range]]:
        first = 0
        for batch in self.loader:
            yield batch.permute(0, 2, 3, 1), range(first, first + len(batch))
            first += len(batch)


class MadeUp(Plan):
    """Images of noise: a million photographs would be a million files."""

    @classmethod
    def images(cls, count: int, px: int) -> MadeUp:
        name = hashlib.sha256(f"{count} {px}".encode()).hexdigest()
        lengths = np.full(count, 3 * px * px, np.uint64)
        return cls([""] * count, "pixels", name, (px, px, 3), lengths, chunk_size=4096)

    def content(self, index: int) -> bytes:
        return np.random.default_rng(index).bytes(int(self.lengths[index]))


def made_up_pack(count: int, px: int) -> PackImages:
    home = cache_dir() / "arms" / f"made-up-{count}-{px}"
    home.mkdir(parents=True, exist_ok=True)
    return PackImages(convert_plan(MadeUp.images(count, px), PackFormat(), Path(home / "pack")))
