"""What datasets do, as facts that are exact and need no interval.

Each function answers one question about an implementation on a small folder of its own, and
returns a number; `claims.toml` says which number stands for which outcome.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch.utils.data import DataLoader, Dataset
from torchvision.transforms import v2

from datasets_impl import registry
from datasets_impl.corrected.preloaded import PreloadedDataset
from datasets_impl.documented import ImprovedDataset, InefficientDataset
from datasets_impl.observe.files_opened import counting_opened_images
from datasets_impl.transforms import ToUint8

READS = 20
PHASES = ("construction", "epoch", "second construction")
RIGHT, REFUSED, WRONG = 0, 1, 2  # outcomes of reading images of mixed shapes
# (width, height) of the first image in the folder's order, and of the one after it.
SHAPE_MIXES: dict[str, tuple[tuple[int, int], tuple[int, int]]] = {
    "equal shapes": ((48, 32), (48, 32)),
    "portrait after landscape": ((48, 32), (32, 48)),
    "larger after smaller": ((32, 32), (48, 48)),
    "smaller after larger": ((48, 48), (32, 32)),
    "same height, other width": ((48, 32), (40, 32)),
    "1x1 after larger": ((48, 32), (1, 1)),
    "1 pixel wide after larger": ((48, 32), (1, 32)),
    "1 pixel high after larger": ((48, 32), (48, 1)),
    "larger after 1x1": ((1, 1), (48, 32)),
}


def images_opened(name: str, folder: Path, phase: str) -> float:
    """Image files opened per image of `folder` while the dataset is in `phase`."""
    with counting_opened_images(folder) as counter:
        dataset = registry.build(name, folder)
        if phase == "epoch":
            counter.count = 0
            for index in range(len(dataset)):  # type: ignore[arg-type]
                dataset[index]
        elif phase == "second construction":
            counter.count = 0
            registry.build(name, folder)
    return counter.count / len(dataset)  # type: ignore[arg-type]


def disk_ratio(name: str, folder: Path) -> float:
    """Bytes the dataset writes to disk for each byte of JPEG it was built from."""
    encoded = sum(path.stat().st_size for path in folder.iterdir())
    dataset = registry.build(name, folder)
    written = {path for path in registry.IMPLEMENTATIONS[name].files(dataset)}
    return sum(path.stat().st_size for path in written if path.suffix != ".jpg") / encoded


def mixed_shapes(name: str, folder: Path, mix: str) -> int:
    """`RIGHT`, `REFUSED` or `WRONG`: what becomes of the pixels of the second image of a mix.

    `folder` must be empty. The documented datasets take the order of `os.listdir`, so the images
    are written in that order.
    """
    for label in ("a.jpg", "b.jpg"):
        (folder / label).touch()
    order = os.listdir(folder)  # noqa: PTH208 - the datasets' own order
    random = np.random.default_rng(0)
    for label, (width, height) in zip(order, SHAPE_MIXES[mix], strict=True):
        pixels = random.integers(0, 256, (height, width, 3), dtype=np.uint8)
        Image.fromarray(pixels).save(folder / label, quality=95)
    with Image.open(folder / order[1]) as picture:
        expected = np.array(picture.convert("RGB"))
    try:
        dataset = registry.build(name, folder)
        position = [Path(path).name for path in registry.listed(dataset, folder)].index(order[1])
        found = registry.pixels(registry.IMPLEMENTATIONS[name], dataset[position])
    except Exception:  # any refusal counts; which one is the implementation's own business
        return REFUSED
    return RIGHT if np.array_equal(found, expected) else WRONG


def distinct_reads(name: str, folder: Path, num_workers: int) -> int:
    """How many of `READS` epochs see a different version of item 0 under a random crop."""
    side = 16
    crop = _CropChannelsLast(side)
    makers: dict[str, Callable[[], Dataset[Any]]] = {
        "naive": lambda: InefficientDataset(folder, crop),
        "preloaded": lambda: ImprovedDataset(folder, v2.Compose([ToUint8(), crop])),
        "preloaded-fixed": lambda: PreloadedDataset(folder, crop),
    }
    torch.manual_seed(0)
    # Forked whatever the Python: a forkserver's workers import torch anew in each of the epochs.
    loader = DataLoader(
        makers[name](),
        batch_size=1,
        num_workers=num_workers,
        multiprocessing_context="fork" if num_workers else None,
    )
    seen = set()
    for _ in range(READS):
        first = list(loader)[0]  # noqa: RUF015 - a whole epoch: workers left half-way leave files
        tensor = first[0] if isinstance(first, list | tuple) else first
        seen.add(tensor.numpy().tobytes())
    return len(seen)


class _CropChannelsLast:
    def __init__(self, side: int) -> None:
        self.crop = v2.RandomCrop(side)

    def __call__(self, pixels: torch.Tensor) -> torch.Tensor:
        cropped: torch.Tensor = self.crop(pixels.permute(2, 0, 1))
        return cropped


def changed_by_training(name: str, folder: Path, access: str, where: str) -> int:
    """1 when zeroing a received sample in place changes what is stored, else 0.

    `access`: "item" takes the sample from the dataset, "batch" from a DataLoader that collates,
    "unbatched" from a DataLoader with automatic batching off. `where`: "memory" reads the item
    again, "disk" compares every file beside and below the folder.
    """
    dataset = registry.build(name, folder)
    entry = registry.IMPLEMENTATIONS[name]
    before_pixels = registry.pixels(entry, dataset[0]).copy()
    before_files = _digest(folder.parent)
    received = _receive(dataset, access)
    tensor = received[0] if isinstance(received, list | tuple) else received
    tensor.zero_()
    if where == "disk":
        return int(_digest(folder.parent) != before_files)
    return int(not np.array_equal(registry.pixels(entry, dataset[0]), before_pixels))


def _receive(dataset: Dataset[Any], access: str) -> Any:
    if access == "item":
        return dataset[0]
    return next(iter(DataLoader(dataset, batch_size=4 if access == "batch" else None)))


def _digest(home: Path) -> str:
    """Hash of every file below `home`, as another process would read it."""
    digest = hashlib.sha256()
    for path in sorted(path for path in home.rglob("*") if path.is_file()):
        digest.update(path.name.encode() + b"\0" + path.read_bytes())
    return digest.hexdigest()
