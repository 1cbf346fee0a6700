"""Threads that fill batches in one process, a bounded number of batches in advance.

No worker process, so no batch is copied from one to another; no collating: each image is made in
its place in a batch whose memory was used before. For work that releases the GIL.
"""

from __future__ import annotations

import os
import warnings
from abc import ABC, abstractmethod
from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any

import torch

from datasets_impl.loaders.order import ShardedShuffle, batch_count, batched
from datasets_impl.loaders.recycled import RecycledBatches
from datasets_impl.loaders.threads import lone_threads
from datasets_impl.sources import Source

TASK = 8  # images a thread takes at once: handing over a task costs some 10 us
Pending = deque[tuple[torch.Tensor, list[Future[None]]]]


class ThreadedLoader(ABC):
    """Shuffled uint8 batches; a subclass says what shape a batch has and how an image is made.

    Args:
        source: where the encoded images come from.
        sampler: the order of the next epoch; a true shuffle by `seed` when it is left out.
        threads: as many as there are cores by default.
        ahead: batches that are being made while the trainer works on one; memory holds two more.
        pinned: batches in page-locked memory, for a CUDA device.
    """

    def __init__(
        self,
        source: Source,
        batch_size: int = 64,
        *,
        sampler: Iterable[int] | None = None,
        seed: int = 0,
        threads: int | None = None,
        ahead: int = 2,
        drop_last: bool = False,
        pinned: bool = False,
    ) -> None:
        self.source, self.seed = source, seed
        self.batch_size, self.drop_last = batch_size, drop_last
        self.sampler = ShardedShuffle(len(source), seed) if sampler is None else sampler
        self.threads = threads or len(os.sched_getaffinity(0))
        self.ahead = ahead
        self.batches = RecycledBatches(pinned)
        self.epoch = 0  # of the next iteration
        self.refused: dict[str, str] = {}  # images that the decoder left to Pillow, and why
        self._pool: ThreadPoolExecutor | None = None
        self._owner = 0  # the process whose threads these are: they do not survive a fork

    @abstractmethod
    def image_shape(self, first: int) -> tuple[int, ...]:
        """Shape of an image in a batch; `first` is the index of one."""

    @abstractmethod
    def fill(self, row: Any, index: int, epoch: int) -> None:
        """Make image `index` in `row`, an array of `image_shape`.

        Raises:
            OSError, RuntimeError, ValueError: it cannot be made; the loader adds its name.
        """

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_pool": None, "_owner": 0}

    def __len__(self) -> int:
        images = len(self.sampler)  # type: ignore[arg-type]
        return batch_count(images, self.batch_size, self.drop_last)

    def set_epoch(self, epoch: int) -> None:
        """Which epoch comes next, for the order (if the sampler knows epochs) and all else."""
        self.epoch = epoch
        if hasattr(self.sampler, "set_epoch"):
            self.sampler.set_epoch(epoch)

    def __iter__(self) -> Iterator[torch.Tensor]:
        pool, epoch = self._threads(), self.epoch
        self.epoch += 1
        pending: Pending = deque()
        try:
            for indices in batched(self.sampler, self.batch_size, self.drop_last):
                pending.append(self._start(pool, indices, epoch))
                if len(pending) > self.ahead:
                    yield self._finished(pending)
            while pending:
                yield self._finished(pending)
        finally:  # a trainer that stops early leaves no thread at work in memory that is used again
            tasks = [task for _, own in pending for task in own]
            for task in tasks:
                task.cancel()
            for task in tasks:
                if not task.cancelled():
                    task.exception()

    def _threads(self) -> ThreadPoolExecutor:
        if self._pool is None or self._owner != os.getpid():
            self._pool = lone_threads(self.threads, "fill-batch")
            self._owner = os.getpid()
        return self._pool

    def _start(
        self, pool: ThreadPoolExecutor, indices: Sequence[int], epoch: int
    ) -> tuple[torch.Tensor, list[Future[None]]]:
        batch = self.batches.take((len(indices), *self.image_shape(indices[0])))
        rows = batch.numpy()
        tasks = [
            pool.submit(self._fill, rows[at : at + TASK], indices[at : at + TASK], epoch)
            for at in range(0, len(indices), TASK)
        ]
        return batch, tasks

    @staticmethod
    def _finished(pending: Pending) -> torch.Tensor:
        for task in pending[0][1]:
            task.result()
        return pending.popleft()[0]

    def left_to_pillow(self, index: int, error: Exception) -> None:
        """Remember that Pillow has to decode an image, which is slower, and say so once."""
        first = not self.refused
        self.refused[self.source.name(index)] = str(error)
        if first:
            warnings.warn(
                f"{self.source.name(index)}: {error}; Pillow decodes it, which takes longer. "
                "All such images are listed in `refused`.",
                RuntimeWarning,
                stacklevel=2,
            )

    def _fill(self, rows: Any, indices: Sequence[int], epoch: int) -> None:
        for row, index in zip(rows, indices, strict=True):
            try:
                self.fill(row, index, epoch)
            except (OSError, RuntimeError, ValueError) as error:
                raise ValueError(f"{self.source.name(index)}: {error}") from error
