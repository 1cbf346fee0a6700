"""A dataset that answers to a name it does not have with an error is read as by a DataLoader."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch.utils.data import DataLoader, Dataset, Subset

from datasets_impl import CachedDataset, ThreadedLoader, optional

ASKED = ("set_epoch", "require_whole", "state_dict", "epoch", "name", "dataset", "read_into")


class Plain(Dataset[Any]):
    def __len__(self) -> int:
        return 6

    def __getitem__(self, index: int) -> torch.Tensor:
        return torch.full((3,), index)


class Keys(Plain):
    """Looks names up in a dictionary."""

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        return {"a": 1}[name]


class Itself(Plain):
    """Gives itself for every name, and cannot be called."""

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        return self


class Broken(Keys):
    def __getitem__(self, index: int) -> Any:
        raise OSError("gone")


def not_known(self: Any) -> Any:
    raise RuntimeError("not known before the download")


Properties: Any = type("Properties", (Plain,), dict.fromkeys(ASKED, property(not_known)))


class Tells(Plain):
    """Has all of it."""

    def __init__(self) -> None:
        self.epoch, self.asked = -1, 0

    def set_epoch(self, epoch: int) -> None:
        self.epoch = epoch

    def require_whole(self) -> None:
        self.asked += 1


class Inside(Plain):
    """Its `dataset` is itself."""

    @property
    def dataset(self) -> Any:
        return self


@pytest.mark.parametrize("made", [Plain, Keys, Itself, Properties, Inside])
@pytest.mark.parametrize("where", ["trainer", "process"])
def test_batches_are_those_of_a_dataloader_and_an_epoch_resumes(made: Any, where: str) -> None:
    for dataset in (made(), Subset(made(), [4, 1, 2])):
        expected = [batch.tolist() for batch in DataLoader(dataset, 2)]
        with ThreadedLoader[Any](dataset, 2, where=where, threads=2) as loader:
            assert [batch.tolist() for batch in loader] == expected
            next(iter(loader))
            state = loader.state_dict()
        with ThreadedLoader[Any](dataset, 2, where=where, threads=2) as loader:
            loader.load_state_dict(state)
            assert [batch.tolist() for batch in loader] == expected[1:]


def test_an_error_of_a_sample_is_the_one_that_is_heard() -> None:
    with pytest.raises(OSError, match="gone"):
        next(iter(ThreadedLoader[Any](Broken(), 2, where="trainer")))


def test_what_a_dataset_has_is_used() -> None:
    dataset = Tells()
    for _ in ThreadedLoader[Any](Subset(dataset, [0]), 2, where="trainer"):
        assert (dataset.epoch, dataset.asked) == (0, 1)
    with pytest.warns(RuntimeWarning, match=r"^Tells gives other samples in each epoch"):
        CachedDataset(Subset(dataset, [0, 1]))


@pytest.mark.parametrize("made", [Plain, Keys, Itself, Properties, Inside])
@pytest.mark.timeout(300)
def test_a_cache_is_filled_from_it(made: Any) -> None:
    assert torch.equal(CachedDataset(made())[3], torch.full((3,), 3))


def test_of_those_in_one_another_each_comes_once() -> None:
    inner = Inside()
    outer = Subset(inner, [0])
    assert list(optional.one_in_another(outer)) == [outer, inner]
    assert not any(optional.has(inner, name) for name in ASKED)
