"""Many paths in two blocks of memory.

A list of a million strings is a million Python objects: it takes seconds to pickle for a worker,
and a forked worker copies each page that it counts references on.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from typing import overload

import numpy as np

from datasets_impl.files.pictures import digest


class PackedPaths(Sequence[str]):
    """Paths, in order; what all begin with is kept once."""

    def __init__(self, paths: Iterable[str]) -> None:
        encoded = [os.fsencode(path) for path in paths]
        self._prefix = _beginning(min(encoded, default=b""), max(encoded, default=b""))
        skip = len(self._prefix)
        lengths = np.fromiter((len(path) - skip for path in encoded), np.int64, len(encoded))
        self._ends = np.concatenate([np.zeros(1, np.int64), np.cumsum(lengths)])
        self._bytes = b"".join(path[skip:] for path in encoded)

    def __len__(self) -> int:
        return len(self._ends) - 1

    def digest(self) -> int:
        """Of 64 bits, over all in order, from the innermost folder that all of them are in."""
        tail = self._prefix.rpartition(b"/")[2]
        return digest(b"".join([tail, b"/", self._ends.astype("<i8").tobytes(), self._bytes]))

    @overload
    def __getitem__(self, index: int) -> str: ...
    @overload
    def __getitem__(self, index: slice) -> list[str]: ...
    def __getitem__(self, index: int | slice) -> str | list[str]:
        if isinstance(index, slice):
            return [self[each] for each in range(*index.indices(len(self)))]
        if index < 0:
            index += len(self)
        if not 0 <= index < len(self):
            raise IndexError(index)
        start, end = self._ends[index : index + 2]
        return os.fsdecode(self._prefix + self._bytes[start:end])


def _beginning(first: bytes, last: bytes) -> bytes:
    """What both begin with, and so everything that is sorted between them."""
    same = 0
    for one, other in zip(first, last, strict=False):
        if one != other:
            break
        same += 1
    return first[:same]
