"""The same records in a list, a NumPy array and a tensor, and how each is read (C10).

A record is an integer label, or an image: uint8, 64 x 64 x 3, 0-255. A list holds Python integers
or one array for each image; the other two hold all records in one block of memory.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

RECORDS = ("label", "image")
IMAGE_SHAPE = (64, 64, 3)
CLASSES = 1000  # labels are below it, as in ImageNet-1k
Array = np.ndarray[Any, np.dtype[Any]]


def records(kind: str, count: int, seed: int = 0) -> Array:
    """`count` random records, the source of every structure: int64, or uint8 of `IMAGE_SHAPE`.

    Raises:
        ValueError: no such kind of record.
    """
    random = np.random.default_rng(seed)
    if kind == "label":
        return random.integers(0, CLASSES, count)
    if kind == "image":
        return random.integers(0, 256, (count, *IMAGE_SHAPE), dtype=np.uint8)
    raise ValueError(f"unknown record {kind!r}; known: {', '.join(RECORDS)}")


@dataclass(frozen=True)
class Structure:
    """`build(records)` holds the records; `gather(held, indices)` is one contiguous batch of them.

    `indices(positions)` gives a batch's positions in the form that the structure takes, prepared
    beforehand, since a sampler can draw them in any form. Each gather is the fastest of the usual
    ways that we tried, so that no structure loses by how it is asked.
    """

    name: str
    build: Callable[[Array], Any]
    gather: Callable[[Any, Any], Any]
    indices: Callable[[Sequence[int]], Any]


def _held_by_list(source: Array) -> list[Any]:
    if source.ndim == 1:
        found: list[Any] = source.tolist()
        return found
    return [record.copy() for record in source]  # not views: each is an object of its own


def _from_list(held: list[Any], indices: list[int]) -> Array:
    # Faster here than np.stack, and than torch.stack over a list of tensors.
    return np.array([held[index] for index in indices])


def _from_numpy(held: Array, indices: Array) -> Array:
    found: Array = held[indices]  # faster here than np.take
    return found


def _from_tensor(held: torch.Tensor, indices: torch.Tensor) -> torch.Tensor:
    return torch.index_select(held, 0, indices)  # several times faster than held[indices]


_ROWS = (
    Structure("list", _held_by_list, _from_list, list),
    Structure("numpy", np.copy, _from_numpy, np.array),
    Structure("tensor", lambda source: torch.from_numpy(source.copy()), _from_tensor, torch.tensor),
)
STRUCTURES: dict[str, Structure] = {row.name: row for row in _ROWS}
