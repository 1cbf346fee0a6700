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
from pathlib import Path
from typing import Any

import torch

from datasets_impl import arguments
from datasets_impl.errors import StudyError
from datasets_impl.files.pictures import reason, unreadable
from datasets_impl.loaders.order import IndexBatches
from datasets_impl.loaders.recycled import LentMemory, RecycledBatches
from datasets_impl.loaders.threads import MOST_THREADS, lone_threads, require_process
from datasets_impl.sources import Source, as_source
from datasets_impl.system.cores import cores

TASK = 8  # images a thread takes at once: handing over a task costs some 10 us
Pending = deque[tuple[torch.Tensor, list[Future[None]]]]


class ThreadedBatches(IndexBatches, ABC):
    """Shuffled uint8 batches; a subclass says what shape a batch has and how an image is made.

    Args:
        source: where the encoded images come from: a folder of JPEG files, or a `Source`.
        batch_size: images in a batch.
        sampler: the order of the next epoch; a true shuffle by `seed` when it is left out.
        drop_last: leave out the last batch where it is smaller.
        threads: as many as there are cores by default.
        ahead: batches that are being made while the trainer works on one; memory holds two more.
        pinned: batches in page-locked memory, for a CUDA device; they may be copied there with
            `non_blocking=True`, see `RecycledBatches`.

    Raises:
        BadArgument: an argument that cannot be meant.
        BadImage (while iterating): an image cannot be read; names it.
        StudyError: in a process that was forked in mid-epoch, when the epoch is to go on there.
    """

    def __init__(
        self,
        source: Source | str | Path,
        batch_size: int = 64,
        *,
        sampler: Iterable[int] | None = None,
        seed: int = 0,
        threads: int | None = None,
        ahead: int = 2,
        drop_last: bool = False,
        pinned: bool = False,
    ) -> None:
        self.source = as_source(source)
        super().__init__(len(self.source), batch_size, sampler, seed, drop_last)
        self.threads = cores()
        if threads is not None:
            hint = ", or None for one a core"
            self.threads = arguments.positive_int("threads", threads, MOST_THREADS, hint)
        self.ahead = arguments.whole_number("ahead", ahead, 0)
        self.memory = LentMemory(pinned)
        self.epoch = 0  # of the next iteration
        self.refused: dict[str, str] = {}  # images that the decoder left to Pillow, and why
        self._warned = False
        self._pool: ThreadPoolExecutor | None = None
        self._owner = 0  # the process whose threads these are: they do not survive a fork

    @abstractmethod
    def image_shape(self, first: int) -> tuple[int, ...]:
        """Shape of an image in a batch; `first` is the index of one. Raises what `fill` does."""

    @abstractmethod
    def fill(self, row: Any, index: int, epoch: int) -> None:
        """Make image `index` in `row`, an array of `image_shape`.

        Raises:
            StudyError: it cannot be made; names it.
            Exception: any other reason, to which the loader adds the name.
        """

    def __getstate__(self) -> dict[str, Any]:
        # A copy of what threads may write to meanwhile.
        return {**self.__dict__, "_pool": None, "_owner": 0, "refused": dict(self.refused)}

    def set_epoch(self, epoch: int) -> None:
        """Which epoch comes next, for the order (if the sampler knows epochs) and all else."""
        super().set_epoch(epoch)
        self.epoch = arguments.whole_number("epoch", epoch, 0)

    def __iter__(self) -> Iterator[torch.Tensor]:
        epoch, owner = self.epoch, os.getpid()
        self.epoch += 1
        pending: Pending = deque()
        with self.memory.lent() as memory:
            try:
                for indices in self.index_batches():
                    pending.append(self._start(memory, indices, epoch))
                    if len(pending) > self.ahead:
                        yield self._finished(pending)
                        require_process(owner)
                while pending:
                    yield self._finished(pending)
                    require_process(owner)
            finally:
                if os.getpid() == owner:  # in a fork nobody would ever finish the tasks
                    _end([task for _, tasks in pending for task in tasks])

    def _threads(self) -> ThreadPoolExecutor:
        if self._pool is None or self._owner != os.getpid():
            self._pool = lone_threads(self.threads, "fill-batch")
            self._owner = os.getpid()
        return self._pool

    def _start(
        self, memory: RecycledBatches, indices: Sequence[int], epoch: int
    ) -> tuple[torch.Tensor, list[Future[None]]]:
        pool = self._threads()
        try:
            shape = self.image_shape(indices[0])
        except Exception as error:
            raise self._named(indices[0], error) from error
        batch = memory.take((len(indices), *shape))
        rows = batch.numpy()
        tasks = [
            pool.submit(self._fill, rows[at : at + TASK], indices[at : at + TASK], epoch)
            for at in range(0, len(indices), TASK)
        ]
        return batch, tasks

    def _finished(self, pending: Pending) -> torch.Tensor:
        for task in pending[0][1]:
            task.result()
        self._warn_of_refused()
        return pending.popleft()[0]

    def left_to_pillow(self, index: int, error: Exception) -> None:
        """Remember that Pillow had to decode an image, which is slower."""
        self.refused[self.source.name(index)] = reason(error)

    def _warn_of_refused(self) -> None:
        """Once, and in the trainer's thread, where a filter may turn a warning into an error."""
        if self._warned or not self.refused:
            return
        self._warned = True
        name, why = next(iter(list(self.refused.items())))
        warnings.warn(
            f"{name}: {why}; Pillow decodes it, which takes longer. "
            "All such images are listed in `refused`.",
            RuntimeWarning,
            stacklevel=4,  # where the trainer asks for the batch
        )

    def _fill(self, rows: Any, indices: Sequence[int], epoch: int) -> None:
        for row, index in zip(rows, indices, strict=True):
            try:
                self.fill(row, index, epoch)
            except Exception as error:
                raise self._named(index, error) from error

    def _named(self, index: int, error: Exception) -> StudyError:
        if isinstance(error, StudyError):  # of a stored set, which has named it already
            return error
        return unreadable(self.source.name(index), error)


def _end(tasks: Sequence[Future[None]]) -> None:
    """A trainer that stops early leaves no thread at work in memory that is used again."""
    for task in tasks:
        task.cancel()
    for task in tasks:
        if not task.cancelled():
            task.exception()
