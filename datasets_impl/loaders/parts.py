"""A part of a dataset, as `torch.utils.data.random_split` makes it, with all that the whole can do.

A `Subset` passes on single samples alone. Seen through, it writes samples into a batch where its
dataset does, and hears of epochs.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

from torch.utils.data import Subset


def seen_through(dataset: Any) -> Any:
    """The dataset; a `Subset`, or one of another, as a `Part`."""
    if type(dataset) is Subset:
        return Part(seen_through(dataset.dataset), dataset.indices)
    return dataset


class Part:
    """The samples at `indices` of a dataset, with those of its methods that loaders know."""

    def __init__(self, dataset: Any, indices: Sequence[int]) -> None:
        self.dataset, self.indices = dataset, indices
        self._take("sample_layout", _of_one)
        self._take("read_into", _of_one)
        self._take("name", _of_one)
        self._take("read_many_into", _of_many)
        self._take("__getitems__", _of_many)
        if hasattr(dataset, "set_epoch"):
            self.set_epoch = dataset.set_epoch

    def _take(self, name: str, how: Callable[..., Any]) -> None:
        if hasattr(self.dataset, name):
            setattr(self, name, partial(how, getattr(self.dataset, name), self.indices))

    def __copy__(self) -> Part:
        return Part(copy.copy(self.dataset), self.indices)

    def __len__(self) -> int:
        return len(self.indices)

    def __getitem__(self, index: int) -> Any:
        return self.dataset[self.indices[index]]


def _of_one(method: Any, indices: Sequence[int], index: int, *more: Any) -> Any:
    return method(indices[index], *more)


def _of_many(method: Any, indices: Sequence[int], chosen: Sequence[int], *more: Any) -> Any:
    return method([indices[index] for index in chosen], *more)
