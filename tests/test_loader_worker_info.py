"""A dataset is told in the separate process what the one worker of a `DataLoader` tells it."""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Any

import pytest
import torch
from torch.utils.data import DataLoader, Dataset, IterableDataset, default_collate, get_worker_info

from datasets_impl.loaders.loader import ThreadedLoader
from tests.samples import everywhere, same

FORK: dict[str, Any] = {"start_method": "fork"}


def told() -> Any:
    info: Any = get_worker_info()
    return info and (info.id, info.num_workers, info.seed, type(info.dataset).__name__)


class Telling(Dataset[Any]):
    """Samples that say what they are told; `begun` is set by a `worker_init_fn`."""

    begun: Any = None

    def __len__(self) -> int:
        return 12

    def __getitem__(self, index: int) -> Any:
        info: Any = get_worker_info()
        return str(told()), str(self.begun), str(info and info.dataset is self)


class Split(IterableDataset[int]):
    """It gives each worker a part, and all of it to the only one."""

    def __iter__(self) -> Iterator[int]:
        info: Any = get_worker_info()
        first, step = (0, 1) if info is None else (info.id, info.num_workers)
        return iter(range(first, 12, step))


def begin(worker: int) -> None:
    info: Any = get_worker_info()
    info.dataset.begun = worker, told()


def as_told(samples: list[Any]) -> Any:
    return default_collate(samples), str(torch.utils.data.get_worker_info() is None), str(told())


@pytest.mark.parametrize("threads", [1, 3])
@pytest.mark.parametrize("init", [None, begin])
@pytest.mark.parametrize("collate", [None, as_told])
def test_what_a_worker_is_told(threads: int, init: Any, collate: Any) -> None:
    given: dict[str, Any] = {"batch_size": 4, "worker_init_fn": init, "collate_fn": collate}
    torch.manual_seed(3)
    workers: Any = {"num_workers": 1, "multiprocessing_context": "fork"}
    expected = list(DataLoader(Telling(), **given, **workers))
    torch.manual_seed(3)
    with ThreadedLoader(Telling(), **given, **FORK, threads=threads) as made:
        same(list(made), expected)
    assert "(0, 1, " in str(expected), "a worker is told"


class Slow(Telling):
    """The first epoch still reads when the next one begins."""

    def __getitem__(self, index: int) -> Any:
        time.sleep(0.02)
        return super().__getitem__(index)


def test_each_epoch_is_told_its_own_seed_and_copy() -> None:
    with ThreadedLoader(Slow(), 4, worker_init_fn=begin, **FORK, threads=1) as made:
        first = iter(made)
        one = next(first)
        other = list(made)
        assert other[0] != one, "another seed"
        assert {begun for batch in first for begun in batch[1]} == set(one[1])


@everywhere
def test_a_stream_that_splits_itself_gives_all(where: str) -> None:
    made: Any = ThreadedLoader(Split(), 4, where=where)
    assert [value for batch in made for value in batch.tolist()] == list(range(12))


def test_nobody_is_told_in_the_trainers_process() -> None:
    made: Any = ThreadedLoader(Telling(), 4, where="trainer", threads=2)
    assert {said for batch in made for said in batch[0]} == {"None"}
    assert get_worker_info() is None and torch.utils.data.get_worker_info is get_worker_info


class Small(Dataset[torch.Tensor]):
    """Samples too small for a slot."""

    def __len__(self) -> int:
        return 64

    def __getitem__(self, index: int) -> torch.Tensor:
        return torch.tensor(index)


def shared(samples: list[torch.Tensor]) -> bool:
    return bool(default_collate(samples).is_shared())


def test_what_is_collated_takes_no_shared_memory_of_its_own() -> None:
    """As it does in a `DataLoader`'s worker, and costs a descriptor there."""
    with ThreadedLoader(Small(), 4, collate_fn=shared, **FORK, threads=2) as made:
        assert set(made) == {False}
