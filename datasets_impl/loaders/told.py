"""Which epoch a trainer tells its dataset, past the loader that would tell it another."""

from __future__ import annotations

import contextlib
import weakref
from collections.abc import Iterator
from typing import Any

import torch
from torch.utils.data import Dataset

from datasets_impl import optional
from datasets_impl.loaders.position import MOST_EPOCH
from datasets_impl.loaders.reading import _are_data as are_data

# What a loader told a dataset in this process: to another loader it is no word of the trainer's.
_BY_LOADERS: weakref.WeakKeyDictionary[Any, int] = weakref.WeakKeyDictionary()


def said_epoch(held: Any) -> int | None:
    """The `epoch` of a sampler or dataset that can be told one, None where it does not say it."""
    if not optional.has(held, "set_epoch"):
        return None
    found = optional.value(held, "epoch")
    if isinstance(found, torch.Tensor) and found.numel() == 1 and not found.is_floating_point():
        found = int(found)  # as all workers of a `DataLoader` see it
    return int(found) if isinstance(found, int) and not isinstance(found, bool) else None


class Told:
    """What the dataset, or those inside of it, say of the epoch; at first that it is epoch 0.

    By what it is, since nobody is told of a call: who says the same epoch twice says it once.
    """

    def __init__(self, dataset: Any) -> None:
        self._dataset = dataset
        self._heard: list[int] = []
        self.last = -1  # the loader's last epoch, which another process may tell the dataset

    def epoch(self) -> int | None:
        """What it was told from outside since the loader knew of it, None where nothing."""
        now = list(_hearing(self._dataset))
        heard = self._heard if len(self._heard) == len(now) else [0] * len(now)
        for (holder, epoch), before in zip(now, heard, strict=True):
            known = (before, self.last, _by_loaders(holder))
            if epoch not in known and 0 <= epoch <= MOST_EPOCH:
                return epoch
        return None

    def know(self) -> None:
        self._heard = [epoch for _, epoch in _hearing(self._dataset)]

    def begun(self) -> None:
        """The loader has begun an epoch, and told the dataset if that is read in this process."""
        for (holder, now), before in zip(_hearing(self._dataset), self._heard, strict=False):
            if now != before:
                with contextlib.suppress(TypeError):  # it has no hash, or no weak references
                    _BY_LOADERS[holder] = now
        self.know()


def _by_loaders(holder: Any) -> int | None:
    try:
        return _BY_LOADERS.get(holder)
    except TypeError:
        return None


def _hearing(dataset: Any, above: tuple[Any, ...] = ()) -> Iterator[tuple[Any, int]]:
    """The outermost that say their epoch, as the loader tells it (`Reading.at_epoch`)."""
    if any(dataset is each for each in above):  # one that holds itself
        return
    if optional.has(dataset, "set_epoch"):
        epoch = said_epoch(dataset)
        if epoch is not None:
            yield dataset, epoch
        return
    for name, value in optional.attributes(dataset).items():
        several = list(value.values()) if type(value) is dict else value
        if name == "dataset" or isinstance(value, Dataset):
            yield from _hearing(value, (*above, dataset))
        elif type(several) in (list, tuple) and several and are_data(name, several):
            for each in several:
                yield from _hearing(each, (*above, dataset))
