"""Samples of uneven cost: one of them may hold up its batch, and the batches behind it (X12).

*slow-samples*: one photograph in a hundred takes fifty times as long to decode. *mixed-sizes*:
random crops of photographs of 64 to 1,024 px a side, each size half as often as the one below it.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from torch.utils.data import Dataset, Sampler

from datasets_impl.corpus import CorpusSpec, ensure_corpus
from datasets_impl.experiments.ways import Opened, by_threads, by_workers
from datasets_impl.files.paths import images_dir
from datasets_impl.loaders.decoded_images import DecodedImages
from datasets_impl.loaders.random_crops import RandomCrops

EVERY, TIMES = 100, 50  # one sample in so many takes so many times as long
SIZES = (64, 128, 256, 512, 1024)  # pixels a side


class SlowImages(DecodedImages):
    """Every `EVERY`-th image is decoded `TIMES` times; only the last counts."""

    def _decoded(self, index: int, out: Any) -> np.ndarray[Any, Any]:
        for _ in range(TIMES - 1 if index % EVERY == 0 else 0):
            super()._decoded(index, None)
        return super()._decoded(index, out)


def slow_samples(count: int, px: int) -> DecodedImages:
    """`count` photographs of `px` pixels a side, some of which are slow."""
    return SlowImages(_corpus(count, px))


def mixed_sizes(count: int, px: int) -> RandomCrops:
    """Random crops of `px` pixels a side; of the largest size there is one in `count` / 32."""
    fewest = max(1, count // 2 ** len(SIZES))
    paths = [
        path
        for place, side in enumerate(reversed(SIZES))
        for path in sorted(_corpus(fewest * 2**place, side).iterdir())
    ]
    return RandomCrops(paths, size=px)


def _corpus(count: int, px: int) -> Path:
    return ensure_corpus(CorpusSpec(count=count, resolution=px, images=images_dir())).root


MIXES: dict[str, Callable[[int, int], Any]] = {
    "slow-samples": slow_samples,
    "mixed-sizes": mixed_sizes,
}
LOADERS: dict[str, Callable[[Dataset[Any], Sampler[int]], Opened]] = {
    "dataloader": by_workers,
    "dataloader-unordered": partial(by_workers, in_order=False),
    "threads-by-sample": by_threads,  # any thread takes the next sample of any batch
}
