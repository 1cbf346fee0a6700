"""Whoever takes order or samples from the epoch, and is not told it, is told of."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from torch.testing._internal.distributed.fake_pg import FakeStore
from torch.utils.data import (
    BatchSampler,
    ConcatDataset,
    DataLoader,
    Dataset,
    DistributedSampler,
    IterableDataset,
    RandomSampler,
    Sampler,
    Subset,
    TensorDataset,
)

from datasets_impl.doctor import watch
from datasets_impl.doctor.probes.epochs import told_epoch
from tests.watched import loop_in

pytestmark = pytest.mark.usefixtures("own_loops")
COUNT = 12
ROWS = TensorDataset(torch.arange(COUNT))
SAMPLER, DATASET = "had the same order: call set_epoch of the", "was not called between two epochs"


class ByEpoch(Dataset[Any]):
    def __init__(self) -> None:
        self.epoch = 0

    def __len__(self) -> int:
        return COUNT

    def __getitem__(self, index: int) -> int:
        return index + 100 * int(self.epoch)

    def set_epoch(self, epoch: int) -> None:
        self.epoch = epoch


class Shared(ByEpoch):
    def __init__(self) -> None:
        self.epoch: Any = torch.zeros((), dtype=torch.int64).share_memory_()

    def set_epoch(self, epoch: int) -> None:
        self.epoch.fill_(epoch)


class Streamed(IterableDataset[int]):
    _epoch = 0

    def __iter__(self) -> Iterator[int]:
        return iter(range(self._epoch, self._epoch + COUNT))

    def set_epoch(self, epoch: int) -> None:
        self._epoch = epoch


class InOrder(Streamed):
    """As Hugging Face has those that are not shuffled."""

    _shuffling = None


class Wrapper(Dataset[Any]):
    def __init__(self, base: Any) -> None:
        self.base = base

    def __len__(self) -> int:
        return COUNT

    def __getitem__(self, index: int) -> Any:
        return self.base[index]


class InBatches(Sampler[list[int]]):
    def __init__(self) -> None:
        self.epoch = 0

    def set_epoch(self, epoch: int) -> None:
        self.epoch = epoch

    def __iter__(self) -> Iterator[list[int]]:
        yield from torch.randperm(COUNT).reshape(-1, 4).tolist()


def distributed(**options: Any) -> DistributedSampler[Any]:
    return DistributedSampler(ROWS, num_replicas=2, rank=0, **options)


def over(dataset: Any) -> Callable[[], tuple[Any, Any]]:
    """What makes a loader over it, and gives what is to be told."""

    def make() -> tuple[Any, Any]:
        told = dataset()
        return DataLoader(told, batch_size=4), next(told_epoch(told))

    return make


def with_sampler() -> tuple[Any, Any]:
    sampler = distributed()
    return DataLoader(ROWS, sampler=sampler), sampler


def with_batch_sampler() -> tuple[Any, Any]:
    sampler = InBatches()
    return DataLoader(ROWS, batch_sampler=sampler), sampler


def with_sampler_in_batches() -> tuple[Any, Any]:
    sampler = distributed()
    return DataLoader(ROWS, batch_sampler=BatchSampler(sampler, 2, False)), sampler


def mixed_dataset() -> tuple[Any, Any]:
    """Its sampler holds the dataset, and is told nothing."""
    told = ByEpoch()
    return DataLoader(told, sampler=RandomSampler(told)), told


def notes(out: Path, loader: Any, tell: Callable[[int], object] = lambda _: None) -> str:
    for epoch in range(3):
        tell(epoch)
        for _batch in watch(loader, out=out):
            pass
    return " ".join(loop_in(out).notes)


CASES: list[tuple[Callable[[], tuple[Any, Any]], str]] = [
    (with_sampler, SAMPLER), (with_batch_sampler, SAMPLER), (with_sampler_in_batches, SAMPLER),
    (over(ByEpoch), DATASET), (over(Shared), DATASET), (over(Streamed), DATASET),
    (over(lambda: Subset(ByEpoch(), range(8))), DATASET),
    (over(lambda: ConcatDataset([ROWS, Wrapper(ByEpoch())])), DATASET),
    (mixed_dataset, DATASET),
]  # fmt: skip


@pytest.mark.parametrize(("make", "says"), CASES)
def test_who_is_not_told_the_epoch_is_named(make: Any, says: str, tmp_path: Path) -> None:
    loader, told = make()
    said = notes(tmp_path / "watch.json", loader)
    assert says in said and type(told).__name__ in said
    assert (SAMPLER in said) is not (DATASET in said)


@pytest.mark.parametrize(("make", "says"), CASES)
def test_who_is_told_it_is_not(make: Any, says: str, tmp_path: Path) -> None:
    loader, told = make()
    assert "set_epoch" not in notes(tmp_path / "watch.json", loader, told.set_epoch)


class TellsItself(DataLoader[Any]):
    """As Accelerate does, once it begins."""

    turn = 0

    def __iter__(self) -> Any:
        self.sampler.set_epoch(self.turn)  # type: ignore[attr-defined]
        yield from super().__iter__()
        self.turn += 1


@pytest.mark.parametrize(
    "loader",
    [
        lambda: DataLoader(ROWS, shuffle=True),
        lambda: DataLoader(ROWS, sampler=distributed(shuffle=False)),
        lambda: DataLoader(InOrder()),
        lambda: TellsItself(ROWS, sampler=distributed()),
        lambda: [1, 2, 3],
    ],
)
def test_others_are_left_in_peace(loader: Any, tmp_path: Path) -> None:
    assert "set_epoch" not in notes(tmp_path / "watch.json", loader())


@pytest.fixture
def two_ranks() -> Iterator[None]:
    """This process is the first of two that train together."""
    torch.distributed.init_process_group("fake", rank=0, world_size=2, store=FakeStore())
    yield
    torch.distributed.destroy_process_group()


class OwnPart(RandomSampler):
    """Of a user's, which may draw for one process only."""


@pytest.mark.parametrize(
    ("options", "told"),
    [
        ({"shuffle": True}, True),
        ({"sampler": OwnPart(ROWS)}, False),
        ({"sampler": distributed()}, False),
        ({}, False),  # as for validation
    ],
)
def test_processes_that_all_read_everything_are_told_of(
    options: dict[str, Any], told: bool, tmp_path: Path, two_ranks: None
) -> None:
    said = notes(tmp_path / "watch.json", DataLoader(ROWS, **options))
    assert ("2 processes train together" in said) is told


def test_one_process_may_read_everything(tmp_path: Path) -> None:
    assert "train together" not in notes(tmp_path / "watch.json", DataLoader(ROWS, shuffle=True))


class Closed(ByEpoch):
    """Of what it does not have it says so in its own way."""

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):  # which a DataLoader itself asks for
            raise AttributeError(name)
        raise RuntimeError(f"{name} is not open yet")


def test_whoever_refuses_to_be_asked_has_no_epoch(tmp_path: Path) -> None:
    class Ordered(Sampler[int]):
        def __iter__(self) -> Iterator[int]:
            return iter(range(COUNT))

        def __len__(self) -> int:
            return COUNT

        __getattr__ = Closed.__getattr__

    assert list(told_epoch(Ordered())) == []
    closed = Closed()
    assert list(told_epoch(Subset(closed, range(3)))) == [closed]
    loader = DataLoader(closed, sampler=Ordered())
    for _epoch in range(2):
        for _batch in watch(loader, out=tmp_path / "watch.json"):
            pass
    assert loop_in(tmp_path / "watch.json").notes
