"""Batch memory that is used again, but never while somebody still holds it.

A fresh batch of 12 MB pays a page fault for every 4 KiB; one that is used again does not. The usual
ring of batches overwrites what the trainer kept after a fixed number of steps. Here a batch's
memory is free only when no tensor, view or array into it is left, which its reference count tells:
a tensor made by `torch.from_numpy` holds a reference to the array for as long as its storage lives.

A copy to a CUDA device with `non_blocking=True` goes on when no tensor is left. Hence page-locked
memory is not kept here: PyTorch's own allocator keeps it, and gives it out again only when every
copy that PyTorch began from it, on whatever stream and in whatever thread, is done. See
https://docs.pytorch.org/docs/stable/notes/cuda.html#use-pinned-memory-buffers.
"""

from __future__ import annotations

import contextlib
import math
import sys
from collections.abc import Iterator
from typing import Any

import numpy as np
import torch

from datasets_impl import arguments
from datasets_impl.errors import BadArgument, StudyError

MOST_IDLE = 2
Array = np.ndarray[Any, np.dtype[np.uint8]]


def _holders(arrays: list[Array], position: int) -> int:
    return sys.getrefcount(arrays[position])


# What the list and the call itself hold; it differs between Python versions, so it is measured.
_IDLE = _holders([np.empty(1, np.uint8)], 0)


class RecycledBatches:
    """Uninitialised uint8 batches, from memory that earlier ones gave back.

    Args:
        pinned: page-locked memory, for faster copies to a CUDA device, from PyTorch's allocator.
            What another library reads from it without PyTorch must be read before the batch goes.
        most: how many pieces of memory are kept; a trainer that holds more batches than that gets
            fresh memory for each further one, and nothing of it is overwritten.
        overwrite: give the same memory each time, whoever still holds it.

    Take from one thread at a time.

    Raises:
        BadArgument: pinned without a CUDA device, or with `overwrite`.
    """

    def __init__(self, pinned: bool = False, most: int = 16, overwrite: bool = False) -> None:
        self.pinned = arguments.flag("pinned", pinned)
        self.most = arguments.positive_int("most", most)
        self.overwrite = arguments.flag("overwrite", overwrite)
        if self.pinned and self.overwrite:
            raise BadArgument(
                "overwrite=True would fill memory that a copy to the device still reads; "
                "leave overwrite or pinned out."
            )
        if self.pinned and not torch.cuda.is_available():
            raise BadArgument("pinned=True needs a CUDA device, and there is none; leave it out.")
        self._arrays: list[Array] = []

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_arrays": []}

    def take(self, shape: tuple[int, ...]) -> torch.Tensor:
        """A uint8 tensor of `shape`, contiguous, with whatever was in its memory before.

        Raises:
            StudyError: there is not so much memory.
        """
        try:
            return self._pinned(shape) if self.pinned else self._recycled(shape)
        except (MemoryError, ValueError, RuntimeError) as error:
            raise StudyError(
                f"A batch of {math.prod(shape):,} bytes cannot be allocated ({error}); "
                "take a smaller batch_size."
            ) from error

    @staticmethod
    def _pinned(shape: tuple[int, ...]) -> torch.Tensor:
        return torch.empty(shape, dtype=torch.uint8, device="cpu", pin_memory=True)

    def _recycled(self, shape: tuple[int, ...]) -> torch.Tensor:
        size = math.prod(shape)
        for position in range(len(self._arrays)):  # a name for the array would count as a holder
            large_enough = self._arrays[position].size >= size
            free = self.overwrite or _holders(self._arrays, position) == _IDLE
            if large_enough and free:
                return torch.from_numpy(self._arrays[position][:size]).view(shape)
        array = np.empty(size, np.uint8)
        if len(self._arrays) < self.most:
            self._arrays.append(array)
        return torch.from_numpy(array[:size]).view(shape)


class LentMemory:
    """Batch memory of a loader: one `RecycledBatches` for each of its iterators that is alive.

    Two iterators at once, perhaps in two threads, never take from the same memory; the next epoch
    has that of the last. Of many iterators only the memory of `MOST_IDLE` is kept. Arguments are
    those of `RecycledBatches`.
    """

    def __init__(self, pinned: bool = False, overwrite: bool = False) -> None:
        self.pinned, self.overwrite = pinned, overwrite
        self._idle = [self._new()]

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_idle": []}

    def _new(self) -> RecycledBatches:
        return RecycledBatches(self.pinned, overwrite=self.overwrite)

    @contextlib.contextmanager
    def lent(self) -> Iterator[RecycledBatches]:
        try:
            memory = self._idle.pop()
        except IndexError:
            memory = self._new()
        try:
            yield memory
        finally:
            if len(self._idle) < MOST_IDLE:
                self._idle.append(memory)
