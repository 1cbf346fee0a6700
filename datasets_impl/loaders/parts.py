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

from datasets_impl.errors import BadArgument
from datasets_impl.loaders.layout import writes_many, writes_samples


def seen_through(dataset: Any, above: tuple[Any, ...] = ()) -> Any:
    """The dataset; a `Subset`, or one of another, as a `Part`.

    Raises:
        BadArgument: a `Subset` that holds itself.
    """
    if any(dataset is each for each in above):
        raise BadArgument("dataset is a Subset of itself; give it what it is to be a part of.")
    if type(dataset) is Subset:
        return Part(seen_through(dataset.dataset, (*above, dataset)), dataset.indices)
    return dataset


class Part:
    """The samples at `indices` of a dataset, with those of its methods that loaders know."""

    def __init__(self, dataset: Any, indices: Sequence[int]) -> None:
        self.dataset, self.indices = dataset, indices
        self._take("name", _of_one)
        self._take("__getitems__", _of_many)
        if writes_samples(dataset):
            self._take("sample_layout", _of_one)
            self._take("read_into", _of_one)
            if writes_many(dataset):
                self._take("read_many_into", _of_many)
        if hasattr(dataset, "set_epoch"):
            self.set_epoch = dataset.set_epoch
        if hasattr(dataset, "require_whole"):
            self.require_whole = dataset.require_whole

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
