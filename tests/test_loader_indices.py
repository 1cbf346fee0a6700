"""Indices that a sampler gives again, changed, while batches of them are still to be made."""

from __future__ import annotations

import array
import collections
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest
import torch
from torch.utils.data import DataLoader, Dataset

from datasets_impl.loaders.loader import ThreadedLoader
from datasets_impl.loaders.own_indices import own
from tests.samples import everywhere


class Told(Dataset[str]):
    """It says which index it was asked for."""

    def __len__(self) -> int:
        return 12

    def __getitem__(self, index: Any) -> str:
        return flat(index)


class ToldMany(Told):
    def __getitems__(self, indices: Any) -> list[str]:
        return [flat(index) for index in indices]


@dataclass
class Place:
    at: list[int]


def flat(index: Any) -> str:
    if isinstance(index, torch.Tensor | np.ndarray):
        return str(index.tolist())
    if isinstance(index, dict):
        return str({key: flat(value) for key, value in index.items()})
    if isinstance(index, set):
        return str(sorted(index))
    if isinstance(index, list | tuple | collections.deque):
        return str([flat(each) for each in index])
    return str(index)


def refill(held: Any, first: int) -> None:
    """Change what `held` holds in place."""
    if isinstance(held, dict):
        held["at"] = first
        refill(held["rows"], first)
    elif isinstance(held, set):
        held.clear()
        held.update([first, first + 1])
    elif isinstance(held, tuple):
        refill(held[1], first)
    elif isinstance(held, Place):
        refill(held.at, first)
    elif isinstance(held[0], int | np.integer) or isinstance(held, torch.Tensor):
        held[0], held[1] = first, first + 1
    else:
        for each in held:
            refill(each, first)


class Reusing:
    """Six times the same object."""

    def __init__(self, make: Callable[[], Any]) -> None:
        self.make = make

    def __len__(self) -> int:
        return 6

    def __iter__(self) -> Iterator[Any]:
        held = self.make()
        for number in range(6):
            refill(held, 2 * number)
            yield held


KINDS: dict[str, Callable[[], Any]] = {
    "list": lambda: [0, 1],
    "array": lambda: np.array([0, 1]),
    "tensor": lambda: torch.tensor([0, 1]),
    "dict": lambda: {"at": 0, "rows": [0, 1]},
    "set": lambda: {0, 1},
    "deque": lambda: collections.deque([0, 1]),
    "array.array": lambda: array.array("l", [0, 1]),
    "in a tuple": lambda: ("one", [0, 1]),
    "nested": lambda: [[0, 1], [0, 1]],
    "arrays": lambda: [np.array([0, 1]), np.array([0, 1])],
    "tensors": lambda: [torch.tensor([0, 1])],
    "own": lambda: Place([0, 1]),
}
IN_BATCHES = [name for name in KINDS if name not in ("dict", "in a tuple", "own")]


@everywhere
@pytest.mark.parametrize("kind", KINDS)
def test_an_index_that_is_given_again_is_read_as_it_was(kind: str, where: str) -> None:
    sampler: Any = Reusing(KINDS[kind])
    expected = list(DataLoader(Told(), batch_size=None, sampler=sampler))
    assert len(set(expected)) == 6
    with ThreadedLoader(Told(), None, sampler=sampler, where=where, threads=2) as made:
        assert list(made) == expected


@everywhere
@pytest.mark.parametrize("dataset", [Told, ToldMany])
@pytest.mark.parametrize("kind", IN_BATCHES)
def test_a_batch_that_is_given_again_is_read_as_it_was(kind: str, dataset: Any, where: str) -> None:
    sampler: Any = Reusing(KINDS[kind])
    expected = list(DataLoader(dataset(), batch_sampler=sampler))
    assert len(set(map(str, expected))) == 6
    with ThreadedLoader(dataset(), batch_sampler=sampler, where=where, threads=2) as made:
        assert list(made) == expected


class Key:
    """Equal to itself alone."""


def test_what_is_looked_up_by_itself_is_found_in_the_trainers_process() -> None:
    """So an object that can be hashed is handed on, and no copy of it."""
    keys = [Key() for _ in range(4)]
    dataset: Any = {key: number for number, key in enumerate(keys)}
    options: Any = {"where": "trainer", "threads": 2}
    assert list(ThreadedLoader(dataset, None, sampler=keys, **options)) == [0, 1, 2, 3]
    batches = ThreadedLoader(dataset, batch_sampler=[keys[:2], keys[2:]], **options)
    assert [batch.tolist() for batch in batches] == [[0, 1], [2, 3]]


def test_only_what_may_change_is_copied() -> None:
    key = Key()
    for same in (3, "three", (1, "two", key), range(4), key, frozenset([1]), None):
        assert own(same) is same
    given = [1, 2, key]
    assert own(given) == given and own(given) is not given

    class Kept(list[int]):
        def __deepcopy__(self, memo: Any) -> Any:
            raise TypeError("no copies")

    kept = Kept([1])
    assert own(kept) is kept, "what cannot be copied is handed on"
    pair = collections.namedtuple("pair", "at rows")
    assert own(pair(1, [2])) == pair(1, [2]) and type(own(pair(1, [2]))) is pair
