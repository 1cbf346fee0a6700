"""Memory of batches that is used again, but never while somebody still holds some of it.

A fresh batch of 12 MB pays a page fault for every 4 KiB; one that is used again does not. The
usual ring of batches overwrites what the trainer kept after a fixed number of steps. Here each
batch lies in a lease of a block: an array that every tensor, view and slice of the batch keeps
alive. When the last of them goes, the lease goes, and only then is the block used again.

A copy to a CUDA device with `non_blocking=True` goes on when no tensor is left. Hence page-locked
memory is not kept here: PyTorch's own allocator keeps it, and gives it out again only when every
copy that PyTorch began from it, on whatever stream and in whatever thread, is done. See
https://docs.pytorch.org/docs/stable/notes/cuda.html#use-pinned-memory-buffers.
"""

from __future__ import annotations

import contextlib
import threading
import weakref
from collections import deque
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, Protocol

import numpy as np
import torch

from datasets_impl import arguments
from datasets_impl.errors import StudyError
from datasets_impl.loaders.layout import Leaf

ALIGNED = 64  # bytes: a line of the processor's cache
SMALL = 2**16  # bytes; a trainer that keeps every target would else keep every picture with it
Bytes = np.ndarray[Any, np.dtype[np.uint8]]


class Memory(Protocol):
    """Where the tensors of one batch come from, uninitialised.

    `overwrite`: those of the last call are overwritten by those of the next.
    """

    @property
    def overwrite(self) -> bool: ...

    def tensors(self, leaves: Sequence[Leaf]) -> list[torch.Tensor]: ...


def lease(buffer: Any, nbytes: int, give_back: Callable[[], None]) -> Bytes:
    """The first `nbytes` of `buffer`; `give_back` is called once nothing made from it is left.

    It may be called in any thread, between any two lines of Python: it must take no lock.
    """
    array: Bytes = np.frombuffer(buffer, np.uint8, nbytes)
    # A buffer that is no array itself stays the array's base, so what is made from a part of the
    # array refers to the array and not past it.
    held = weakref.ref(array, _gone)
    _leases[id(held)] = held, give_back
    return array


def _gone(held: weakref.ref[Bytes]) -> None:
    _leases.pop(id(held))[1]()


# What `weakref.finalize` does, at a third of its cost: there is one for each batch.
_leases: dict[int, tuple[weakref.ref[Bytes], Callable[[], None]]] = {}


def aligned(nbytes: int) -> int:
    return -(-nbytes // ALIGNED) * ALIGNED


def laid_out(leaves: Sequence[Leaf], take: Callable[[int], Bytes]) -> list[torch.Tensor]:
    """Tensors for all leaves: the large ones in one piece of memory from `take`."""
    large = sum([aligned(leaf.nbytes) for leaf in leaves if leaf.nbytes >= SMALL])
    held = take(large) if large else None
    tensors, at = [], 0
    for leaf in leaves:
        if held is None or leaf.nbytes < SMALL:
            memory = torch.empty(leaf.nbytes, dtype=torch.uint8, device="cpu")
        else:
            memory = torch.from_numpy(held[at : at + leaf.nbytes])
            at += aligned(leaf.nbytes)
        tensors.append(leaf.over(memory))
    return tensors


class RecycledMemory:
    """Memory of this process. Any number of threads and iterators may take from it at once.

    Args:
        pinned: page-locked, for faster copies to a CUDA device, from PyTorch's allocator. What
            another library reads from it without PyTorch must be read before the batch goes.
        most: how many free blocks are kept. A trainer that holds on to batches gets fresh memory
            for each further one.
        overwrite: the same block each time, whoever still holds it.
    """

    def __init__(self, pinned: bool = False, most: int = 4, overwrite: bool = False) -> None:
        self.pinned = arguments.flag("pinned", pinned)
        self.most = arguments.positive_int("most", most)
        self.overwrite = arguments.flag("overwrite", overwrite)
        self._new()

    def __getstate__(self) -> dict[str, Any]:
        return {"pinned": self.pinned, "most": self.most, "overwrite": self.overwrite}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)
        self._new()

    def _new(self) -> None:
        self._free: deque[memoryview] = deque(maxlen=self.most)  # what is too many falls out
        self._taking = threading.Lock()

    def tensors(self, leaves: Sequence[Leaf]) -> list[torch.Tensor]:
        """
        Raises:
            StudyError: there is not so much memory.
        """
        try:
            if self.pinned:
                return [leaf.over(self._page_locked(leaf.nbytes)) for leaf in leaves]
            return laid_out(leaves, self._taken)
        except (MemoryError, RuntimeError) as error:
            raise StudyError(
                f"A batch of {sum(leaf.nbytes for leaf in leaves):,} bytes cannot be allocated "
                f"({error}); take a smaller batch_size."
            ) from error

    @staticmethod
    def _page_locked(nbytes: int) -> torch.Tensor:
        return torch.empty(nbytes, dtype=torch.uint8, device="cpu", pin_memory=True)

    def _taken(self, nbytes: int) -> Bytes:
        with self._taking:
            block = self._block(nbytes)
            if self.overwrite:
                self._free.append(block)
                return np.frombuffer(block, np.uint8, nbytes)
        return lease(block, nbytes, partial(self._free.append, block))

    def _block(self, nbytes: int) -> memoryview:
        """The smallest free block that is large enough."""
        free: list[memoryview] = []
        with contextlib.suppress(IndexError):  # mostly it is the one that came back last
            last = self._free.pop()
            if last.nbytes == nbytes:
                return last
            free.append(last)
        with contextlib.suppress(IndexError):  # others may come back meanwhile
            while True:
                free.append(self._free.popleft())
        fitting = [block for block in free if block.nbytes >= nbytes]
        best = min(fitting, key=lambda block: block.nbytes, default=None)
        self._free.extend(block for block in free if block is not best)
        return np.empty(nbytes, np.uint8).data if best is None else best
