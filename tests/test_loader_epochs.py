"""Which epoch comes next, where the trainer tells it to the loader, its sampler or its dataset."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch.utils.data import ConcatDataset, Dataset, DistributedSampler, Subset

from datasets_impl.loaders.loader import ThreadedLoader
from tests.samples import everywhere

COUNT = 24


class Told(Dataset[Any]):
    """A sample is its index and the epoch."""

    def __init__(self, epoch: Any = 0) -> None:
        self.epoch = epoch

    def set_epoch(self, epoch: int) -> None:
        self.epoch = epoch

    def __len__(self) -> int:
        return COUNT

    def __getitem__(self, index: int) -> Any:
        return index, int(self.epoch)


def build(data: Any = None, **given: Any) -> Any:
    return ThreadedLoader(data or Told(), 4, **{"threads": 1, "where": "trainer", **given})


def order(batches: Any) -> list[int]:
    return [int(index) for batch in batches for index in batch[0]]


def epochs(batches: Any) -> set[int]:
    return {int(epoch) for batch in batches for epoch in batch[1]}


def state_of(made: Any) -> Any:
    batches = iter(made)
    next(batches), next(batches)
    return made.state_dict()


def by_loader(made: Any, epoch: int) -> None:
    made.set_epoch(epoch)


def by_sampler(made: Any, epoch: int) -> None:
    made.sampler.set_epoch(epoch)


def by_dataset(made: Any, epoch: int) -> None:
    made.dataset.set_epoch(epoch)


tellers = pytest.mark.parametrize("tell", [by_loader, by_sampler, by_dataset])
GIVEN: list[Any] = [
    lambda: {"shuffle": True, "seed": 3},
    lambda: {"sampler": DistributedSampler(Told(), 1, 0)},
]


@everywhere
@tellers
@pytest.mark.parametrize("given", GIVEN)
def test_another_epoch_after_a_state_begins_whole(tell: Any, given: Any, where: str) -> None:
    state = state_of(build(**given()))
    with build(**given(), where=where) as made:
        made.load_state_dict(state)
        tell(made, 1)
        found = list(made)
        assert sorted(order(found)) == list(range(COUNT)) and epochs(found) == {1}
        assert made.epoch == 2


@everywhere
@tellers
@pytest.mark.parametrize("given", GIVEN)
def test_the_same_epoch_after_a_state_goes_on(tell: Any, given: Any, where: str) -> None:
    made = build(**given())
    by_loader(made, 3)
    whole = order(made)
    made = build(**given())
    tell(made, 3)
    if tell is by_dataset and isinstance(made.sampler, DistributedSampler):
        by_sampler(made, 3)
    state = state_of(made)
    with build(**given(), where=where) as made:
        made.load_state_dict(state)
        tell(made, 3)
        found = list(made)
        assert order(found) == whole[8:] and epochs(found) == {3}


def test_a_state_asked_for_after_another_epoch_was_told_is_of_that() -> None:
    made = build(shuffle=True, seed=3)
    made.load_state_dict(state_of(build(shuffle=True, seed=3)))
    made.set_epoch(2)
    state = made.state_dict()
    assert state["epoch"] == 2 and not state["begun"]


@everywhere
@pytest.mark.parametrize("inside", ["itself", "subset", "concat"])
def test_an_epoch_told_to_the_dataset_comes_next(inside: str, where: str) -> None:
    data = Told()
    whole: Any = {"itself": data, "subset": Subset(data, range(12)),
                  "concat": ConcatDataset([data, data])}[inside]  # fmt: skip
    with build(whole, where=where) as made:
        data.set_epoch(5)
        assert [epochs(made) for _ in range(2)] == [{5}, {6}]
        data.set_epoch(9)
        assert [epochs(made), made.epoch] == [{9}, 10]


@everywhere
def test_an_epoch_told_before_the_loader_was_made_comes_first(where: str) -> None:
    data = Told()
    data.set_epoch(5)
    with build(data, where=where) as made:
        assert [epochs(made) for _ in range(2)] == [{5}, {6}]


@everywhere
def test_an_epoch_told_to_the_sampler_is_that_of_the_dataset(where: str) -> None:
    sampler: Any = DistributedSampler(Told(), 1, 0)
    with build(sampler=sampler, where=where) as made:
        for epoch in (5, 6, 2):
            sampler.set_epoch(epoch)
            found = list(made)
            assert epochs(found) == {epoch} and order(found) == list(sampler)


@everywhere
@pytest.mark.parametrize("epoch", [0, -1])
@pytest.mark.parametrize("given", [{}, {"shuffle": True, "seed": 3}, {"prefetch_factor": 0}])
def test_epochs_go_on_by_themselves(given: Any, epoch: int, where: str) -> None:
    with build(Told(epoch), where=where, **given) as made:
        assert [epochs(made) for _ in range(3)] == [{0}, {1}, {2}]


@everywhere
def test_an_epoch_in_shared_memory_goes_on_by_itself(where: str) -> None:
    class Shared(Told):
        def set_epoch(self, epoch: int) -> None:
            self.epoch.fill_(epoch)

    epoch: Any = torch.zeros((), dtype=torch.int64)
    data = Shared(epoch.share_memory_())
    with build(data, where=where, start_method="fork" if where == "process" else None) as made:
        assert [epochs(made) for _ in range(3)] == [{0}, {1}, {2}]
        data.set_epoch(7)
        assert epochs(made) == {7}


def test_another_loader_of_the_dataset_tells_nothing() -> None:
    data = Told()
    one, other = build(data), build(data)
    assert [epochs(one) for _ in range(3)] == [{0}, {1}, {2}]
    assert [epochs(other), epochs(build(data)), epochs(one)] == [{0}, {0}, {3}]


def test_epochs_of_a_broken_off_iteration_go_on_by_themselves() -> None:
    made = build(shuffle=True, seed=3)
    for expected in range(3):
        assert epochs([next(iter(made))]) == {expected}
