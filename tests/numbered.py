"""Datasets whose samples say which they are, for loaders with a separate process."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import psutil
import torch
from torch.utils.data import Dataset

from datasets_impl.loaders.loader import ThreadedLoader

COUNT = 24


class Numbered(Dataset[Any]):
    """A picture and an array that say which sample and epoch they are of, and a word."""

    def __init__(self) -> None:
        self.epoch = 0

    def __len__(self) -> int:
        return COUNT

    def set_epoch(self, epoch: int) -> None:
        self.epoch = epoch

    def __getitem__(self, index: int) -> Any:
        value = index + 100 * self.epoch
        return torch.full((3, 160, 160), value), value, f"{value}"


class Raising(Numbered):
    def __init__(self, error: Callable[[], BaseException]) -> None:
        super().__init__()
        self.error = error

    def __getitem__(self, index: int) -> Any:
        if index == 1:
            raise self.error()
        return index


class Waiting(Numbered):
    def __getitem__(self, index: int) -> Any:
        if index >= 2:
            time.sleep(600)
        return super().__getitem__(index)


def child_of(loader: ThreadedLoader[Any]) -> psutil.Process:
    place: Any = loader._places.now
    return psutil.Process(place.process.pid)
