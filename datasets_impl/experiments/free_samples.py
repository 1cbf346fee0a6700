"""Samples that cost nothing to make, so that only handing them over is left to measure (X03).

A worker hands a tensor over in shared memory and a NumPy array through a pipe, pickled.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch
from torch.utils.data import DataLoader, Dataset

from datasets_impl.errors import Unsupported
from datasets_impl.loading import PREFETCH_FACTOR, ending_workers
from datasets_impl.system.shared_memory import lacking_room
from datasets_impl.variants.whole_batches import as_it_comes

CARRIERS = ("tensor", "numpy")
ENDLESS = 2**40  # samples in an epoch: nobody reads that far
IN_FLIGHT = PREFETCH_FACTOR + 2  # samples in shared memory at once: waiting, read, being written


class FreeSamples(Dataset[Any]):
    """Always the same `kib` KiB of uint8, as a tensor or as an array; an access copies nothing.

    The tensor is wrapped anew at each access. Sending a tensor moves it into shared memory where
    it is, so one that was sent before would travel for free, which no fresh sample does.

    Raises:
        ValueError: no such carrier.
    """

    def __init__(self, kib: int, carrier: str) -> None:
        if carrier not in CARRIERS:
            raise ValueError(f"unknown carrier {carrier!r}; known: {', '.join(CARRIERS)}")
        self.carrier = carrier
        self.array = np.random.default_rng(0).integers(0, 256, kib * 1024, dtype=np.uint8)

    def __len__(self) -> int:
        return ENDLESS

    def __getitem__(self, index: int) -> Any:
        return torch.from_numpy(self.array) if self.carrier == "tensor" else self.array


@contextmanager
def free_samples(kib: int, carrier: str, num_workers: int) -> Iterator[Iterator[Any]]:
    """An endless stream of samples of `kib` KiB, one by one (automatic batching is off).

    Samples arrive as they were sent: the default for single samples would make tensors of arrays in
    the worker already.

    Raises:
        Unsupported: shared memory is too small for the samples on their way.
    """
    if num_workers and carrier == "tensor":
        lacking = lacking_room(kib * 1024 * IN_FLIGHT * num_workers)
        if lacking:
            raise Unsupported(f"{lacking} for samples of this size")
    torch.set_num_threads(1)
    made: DataLoader[Any] = DataLoader(
        FreeSamples(kib, carrier),
        batch_size=None,
        collate_fn=as_it_comes,
        num_workers=num_workers,
        multiprocessing_context="fork" if num_workers else None,
        prefetch_factor=PREFETCH_FACTOR if num_workers else None,
        persistent_workers=num_workers > 0,
    )
    with ending_workers(made):
        yield iter(made)


def touch_sample(sample: Any) -> None:
    """Read one byte of every page, of an array as of a tensor."""
    torch.as_tensor(sample)[::4096].sum()
