"""A `Subset` that is changed between epochs, wherever its batches are made."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from torch.utils.data import (
    DataLoader,
    Dataset,
    StackDataset,
    Subset,
    TensorDataset,
    get_worker_info,
)

from datasets_impl.loaders.loader import ThreadedLoader
from tests.samples import Made, ManyAtOnce, Written, everywhere, same


class Numbers(Dataset[int]):
    def __init__(self, first: int = 0) -> None:
        self.first = first

    def __len__(self) -> int:
        return 32

    def __getitem__(self, index: int) -> int:
        return self.first + index


class Many(Numbers):
    def __getitems__(self, indices: list[int]) -> list[int]:
        return [self.first + index for index in indices]


def numbers(batches: Any) -> list[int]:
    return [int(number) for batch in batches for number in batch]


def change(part: Any, how: str) -> None:
    if how == "indices":
        part.indices = [8, 9, 10]
    elif how == "longer":
        part.indices = list(range(8, 16))
    elif how == "shorter":
        part.indices = [8]
    elif how == "dataset":
        part.dataset = type(part.dataset)(100)
    elif how == "in place":
        part.indices[0] = 20
    elif how == "grown":
        part.indices += [20, 21, 22, 23]


HOW = ["indices", "longer", "shorter", "dataset", "in place", "grown", "not at all"]


@everywhere
@pytest.mark.parametrize("kind", [Numbers, Many])
@pytest.mark.parametrize("how", HOW)
def test_what_is_set_in_a_part_reaches_the_next_epoch(how: str, kind: Any, where: str) -> None:
    part = Subset(kind(), [0, 1, 2])
    with ThreadedLoader(part, 3, where=where, threads=2) as made:
        assert numbers(made) == [0, 1, 2]
        place = made._places.now
        change(part, how)
        assert numbers(made) == numbers(DataLoader(part, 3))
        if how == "not at all":
            assert made._places.now is place, "nothing has changed, so nothing starts anew"


@everywhere
@pytest.mark.parametrize("how", HOW)
def test_a_part_of_a_part_is_looked_at_too(how: str, where: str) -> None:
    inner = Subset(Numbers(), [0, 1, 2])
    part = Subset(inner, [0])
    with ThreadedLoader(part, 3, where=where, threads=2) as made:
        assert numbers(made) == [0]
        change(inner, how)
        assert numbers(made) == numbers(DataLoader(part, 3))


@everywhere
@pytest.mark.parametrize("kind", [np.array, torch.tensor])
def test_indices_that_are_no_list_may_change_in_place(kind: Any, where: str) -> None:
    part = Subset(Numbers(), kind([0, 1, 2]))
    with ThreadedLoader(part, 3, where=where) as made:
        assert numbers(made) == [0, 1, 2]
        place = made._places.now
        assert numbers(made) == [0, 1, 2] and made._places.now is place
        part.indices[0] = 20
        assert numbers(made) == [20, 1, 2]


@everywhere
def test_a_part_of_a_dataset_of_another_kind_is_read_as_that_is(where: str) -> None:
    """While an epoch of the one before is under way."""
    part: Any = Subset(Written(many=True), range(8))
    with ThreadedLoader(part, 2, where=where, threads=2, prefetch_factor=1) as made:
        under_way = iter(made)
        first = next(under_way)
        part.dataset = Made("tuple")
        expected = list(DataLoader(Subset(part.dataset, range(8)), 2))
        same(list(made), expected)
        labels = [batch["label"][0].tolist() for batch in [first, *under_way]]
        assert labels == [[0, 1], [2, 3], [4, 5], [6, 7]]


class ManyStacked(StackDataset[Any]):
    """A wrapper that reads many at once, and does not hear of epochs, as `StackDataset`'s does."""

    def __getitems__(self, indices: Any) -> Any:
        return [self[index] for index in indices]


@everywhere
@pytest.mark.parametrize("depth", [1, 2])
def test_a_part_hears_of_epochs_while_another_is_under_way(depth: int, where: str) -> None:
    """Else its crops would be those of the first epoch for as long as an iterator is kept."""
    held: Any = ManyStacked(Written(8))
    for _ in range(depth):
        held = Subset(held, range(8))

    def epoch_of(batch: Any) -> int:
        return int(batch[0]["image"][0, 0, 1, 0] - batch[0]["label"][0][0]) // 16

    with ThreadedLoader(held, 4, where=where) as made:
        probe = iter(made)
        assert epoch_of(next(probe)) == 0
        assert [[epoch_of(batch) for batch in made] for _ in range(3)] == [
            [1] * 2,
            [2] * 2,
            [3] * 2,
        ]
        assert [epoch_of(batch) for batch in probe] == [0]
        assert [epoch_of(batch) for batch in made] == [4] * 2


def choose(worker: int) -> None:
    info: Any = get_worker_info()
    assert type(info.dataset) is Subset
    info.dataset.indices = [3, 2]


def halve(worker: int) -> None:
    """What it sets holds for one epoch, as each has new workers in a `DataLoader`."""
    info: Any = get_worker_info()
    info.dataset.indices = [*info.dataset.indices[1:], 9]


def replace_whole(worker: int) -> None:
    info: Any = get_worker_info()
    info.dataset.dataset.first = 100


def leave(worker: int) -> None:
    assert isinstance(get_worker_info().dataset.dataset, Dataset)  # type: ignore[union-attr]


@pytest.mark.parametrize("kind", [Numbers, Many])
@pytest.mark.parametrize("init", [choose, halve, replace_whole, leave])
def test_what_worker_init_fn_sets_in_a_part_is_read(init: Any, kind: Any) -> None:
    part = Subset(kind(), [0, 1])
    workers: Any = {"num_workers": 1, "multiprocessing_context": "fork"}
    expected = numbers(DataLoader(part, 2, worker_init_fn=init, **workers))
    with ThreadedLoader(part, 2, worker_init_fn=init, start_method="fork") as made:
        under_way = iter(made)
        assert [numbers(made) for _ in range(2)] == [expected] * 2
        assert numbers(under_way) == expected


def test_what_one_epoch_sets_in_a_part_is_not_seen_by_another() -> None:
    given = iter(range(100, 10_000, 100))

    def init(worker: int) -> None:
        info: Any = get_worker_info()
        info.dataset.dataset.first = next(given)

    part = Subset(Many(), range(6))
    options: Any = {"start_method": "fork", "prefetch_factor": 0, "threads": 1}
    with ThreadedLoader(part, 3, worker_init_fn=init, **options) as made:
        under_way = iter(made)
        assert numbers([next(under_way)]) == [100, 101, 102]
        assert numbers(made) == list(range(200, 206))
        assert numbers(under_way) == [103, 104, 105]


@everywhere
def test_a_part_of_what_reads_many_at_once_is_read_so(where: str) -> None:
    for whole in (ManyAtOnce("nested"), TensorDataset(torch.arange(12))):
        part: Any = Subset(whole, [5, 3, 9, 0])
        same(list(ThreadedLoader(part, 2, where=where)), list(DataLoader(part, 2)))
