"""What a dataset in another file asks for: a transform, a collate function, a decorator. Each marks
its costly line."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import torch
from torch.utils.data import Sampler


class Smooth:
    """A transform of the user's, in a file of its own."""

    def __call__(self, row: Any) -> Any:
        row = np.asarray(row)
        return np.sort(np.tile(row, 40))[: len(row)]  # costly transform


def batched(samples: list[Any]) -> Any:
    rows = [np.sort(np.tile(one, 40)) for one in samples]  # costly collate
    return torch.from_numpy(np.stack(rows))


def logged(method: Callable[..., Any]) -> Callable[..., Any]:
    """A decorator around `__getitem__`."""

    @functools.wraps(method)
    def wrapped(self: Any, index: int) -> Any:
        return method(self, index)

    return wrapped


class Slowly(Sampler[int]):
    """Works through all weights for each order."""

    def __init__(self, count: int) -> None:
        self.count = count

    def __iter__(self) -> Iterator[int]:
        order = np.sort(np.random.default_rng(0).random(400_000)).argsort()  # costly sampler
        yield from (int(one) for one in order[: self.count] % self.count)

    def __len__(self) -> int:
        return self.count
