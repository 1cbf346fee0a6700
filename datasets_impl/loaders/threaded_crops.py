"""Threads for the usual training input: decode, random resized crop, flip, into the batch (X08).

A batch is a uint8 tensor, images x 3 x size x size, 0-255, of the crops of `RandomCrops`.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

from datasets_impl.loaders.crops import RATIO, SCALE
from datasets_impl.loaders.random_crops import RandomCrops
from datasets_impl.loaders.threaded import ThreadedBatches
from datasets_impl.sources import Source


class ThreadedCropsLoader(ThreadedBatches):
    """Random resized crops of JPEG images, from a folder or a `Source`.

    Args:
        source: a folder of JPEG files, or a stored set of them.
        batch_size: images in a batch.
        size, scale, ratio, seed, scaled, fast: see `RandomCrops`.
        sampler, threads, ahead, drop_last, pinned: see `ThreadedBatches`.

    Pillow reads what the decoder refuses, whole.

    Raises:
        BadArgument: an argument that cannot be meant.
        BadImage (while iterating): an image cannot be decoded; names it.
    """

    def __init__(
        self,
        source: Source | str | Path,
        batch_size: int = 64,
        *,
        size: int = 224,
        scale: tuple[float, float] = SCALE,
        ratio: tuple[float, float] = RATIO,
        scaled: bool = False,
        fast: bool = False,
        sampler: Iterable[int] | None = None,
        seed: int = 0,
        threads: int | None = None,
        ahead: int = 2,
        drop_last: bool = False,
        pinned: bool = False,
    ) -> None:
        super().__init__(
            source,
            batch_size,
            sampler=sampler,
            seed=seed,
            threads=threads,
            ahead=ahead,
            drop_last=drop_last,
            pinned=pinned,
        )
        self.crops = RandomCrops(
            self.source,
            False,
            size=size,
            scale=scale,
            ratio=ratio,
            seed=seed,
            scaled=scaled,
            fast=fast,
        )
        self.crops.left_to_pillow = self.left_to_pillow  # type: ignore[method-assign]

    def image_shape(self, first: int) -> tuple[int, ...]:
        return (3, self.crops.size, self.crops.size)

    def fill(self, row: Any, index: int, epoch: int) -> None:
        self.crops.write_crop(index, row, epoch)
