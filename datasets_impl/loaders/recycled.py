"""Batch memory that is used again, but never while somebody still holds it.

A fresh batch of 12 MB pays a page fault for every 4 KiB; one that is used again does not. The usual
ring of batches overwrites what the trainer kept after a fixed number of steps. Here a batch's
memory is free only when no tensor, view or array into it is left, which its reference count tells:
a tensor made by `torch.from_numpy` holds a reference to the array for as long as its storage lives.
"""

from __future__ import annotations

import math
import sys
from typing import Any

import numpy as np
import torch

Array = np.ndarray[Any, np.dtype[np.uint8]]


def _holders(arrays: list[Array], position: int) -> int:
    return sys.getrefcount(arrays[position])


# What the list and the call itself hold; it differs between Python versions, so it is measured.
_IDLE = _holders([np.empty(1, np.uint8)], 0)


class RecycledBatches:
    """Uninitialised uint8 batches, from memory that earlier ones gave back.

    Args:
        pinned: allocate in page-locked memory, for faster copies to a CUDA device.
        most: how many pieces of memory are kept; a trainer that holds more batches than that gets
            fresh memory for each further one, and nothing of it is overwritten.
        overwrite: give the same memory each time, whoever still holds it.

    Take from one thread at a time.
    """

    def __init__(self, pinned: bool = False, most: int = 16, overwrite: bool = False) -> None:
        self.pinned = pinned
        self.most = most
        self.overwrite = overwrite
        self._arrays: list[Array] = []

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_arrays": []}

    def take(self, shape: tuple[int, ...]) -> torch.Tensor:
        """A uint8 tensor of `shape`, contiguous, with whatever was in its memory before."""
        size = math.prod(shape)
        for position in range(len(self._arrays)):  # a name for the array would count as a holder
            large_enough = self._arrays[position].size >= size
            free = self.overwrite or _holders(self._arrays, position) == _IDLE
            if large_enough and free:
                return torch.from_numpy(self._arrays[position][:size]).view(shape)
        array = self._allocate(size)
        if len(self._arrays) < self.most:
            self._arrays.append(array)
        return torch.from_numpy(array[:size]).view(shape)

    def _allocate(self, size: int) -> Array:
        if self.pinned:
            return torch.empty(size, dtype=torch.uint8, pin_memory=True).numpy()
        return np.empty(size, np.uint8)
