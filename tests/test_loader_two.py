"""Two loaders over one dataset, as for training and for validation, have an epoch each."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from torch.utils.data import ConcatDataset, Dataset, Subset

from datasets_impl import ThreadedLoader
from datasets_impl.errors import StudyError

COUNT = 12


class ByEpoch(Dataset[Any]):
    """A sample is the epoch that the dataset was told, as crops are drawn by it."""

    def __init__(self) -> None:
        self.epoch = 0

    def set_epoch(self, epoch: int) -> None:
        self.epoch = epoch

    def __len__(self) -> int:
        return COUNT

    def __getitem__(self, index: int) -> int:
        return self.epoch


def halves(dataset: Any) -> tuple[Any, Any]:
    return Subset(dataset, range(8)), Subset(dataset, range(8, COUNT))


def of_lists(dataset: Any) -> tuple[Any, Any]:
    return ConcatDataset([dataset, dataset]), ConcatDataset([dataset])


def epochs(loader: Any) -> list[int]:
    return [epoch for batch in loader for epoch in batch.tolist()]


@pytest.mark.parametrize("where", ["trainer", "process"])
@pytest.mark.parametrize("split", [lambda dataset: (dataset, dataset), halves, of_lists])
def test_validation_in_the_middle_of_an_epoch_leaves_that_one_alone(where: Any, split: Any) -> None:
    of_training, of_validation = split(ByEpoch())
    training = ThreadedLoader(of_training, 2, where=where, threads=1)
    validation = ThreadedLoader(of_validation, 2, where=where, threads=1)
    with training, validation:
        assert set(epochs(training)) == {0}
        for epoch in (1, 2):
            seen = []
            for number, batch in enumerate(training):
                seen += batch.tolist()
                if number == 1:
                    assert set(epochs(validation)) == {epoch - 1}
            assert set(seen) == {epoch}
        assert set(epochs(validation)) == {2}


def test_alone_a_dataset_is_told_itself() -> None:
    dataset = ByEpoch()
    loader = ThreadedLoader(Subset(dataset, range(4)), 2, where="trainer")
    for epoch in range(3):
        assert set(epochs(loader)) == {epoch} == {dataset.epoch}


class Closing(ByEpoch):
    """Takes its file along when it goes."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        self.path = path
        path.write_bytes(b"kept")

    def __getitem__(self, index: int) -> int:
        return len(self.path.read_bytes()) + self.epoch

    def __del__(self) -> None:
        self.path.unlink(missing_ok=True)


class Refusing(ByEpoch):
    def __reduce_ex__(self, protocol: Any) -> Any:
        raise TypeError("there is one of me")


class Around(Closing):
    """Holds one that hears of epochs, and hears of none itself."""

    set_epoch = None  # type: ignore[assignment]

    def __init__(self, path: Path) -> None:
        super().__init__(path)
        self.dataset = ByEpoch()


class Copied(Closing):
    """Says how it is copied."""

    def __copy__(self) -> Any:
        return type(self)(self.path.with_suffix(".copy"))


MADE: dict[str, Any] = {
    "closing": (Closing, "its __del__ would run for the copy too"),
    "around": (Around, "its __del__ would run for the copy too"),
    "refusing": (lambda path: Refusing(), "TypeError: there is one of me"),
}


@pytest.mark.parametrize("where", ["trainer", "process"])
@pytest.mark.parametrize("name", MADE)
def test_what_cannot_be_copied_is_said_and_one_epoch_after_the_other_goes(
    name: str, where: Any, tmp_path: Path
) -> None:
    make, why = MADE[name]
    dataset = make(tmp_path / "file")
    given: Any = {"where": where, "threads": 1}
    if where == "process":
        given["start_method"] = "fork"
    with ThreadedLoader[Any](dataset, 2, **given) as loader:
        first = iter(loader)
        given_out = next(first).tolist()
        with pytest.raises(
            StudyError, match=rf"^An epoch over \w+ begins .*\({why}.*\); let .*\.$"
        ):
            list(loader)
        given_out += epochs(first)
        assert given_out == [given_out[0]] * COUNT
        assert len(epochs(loader)) == COUNT


@pytest.mark.parametrize("where", ["trainer", "process"])
def test_one_that_says_how_it_is_copied_is_copied(where: Any, tmp_path: Path) -> None:
    with ThreadedLoader[Any](Copied(tmp_path / "file"), 2, where=where, threads=1) as loader:
        first = iter(loader)
        next(first)
        assert set(epochs(loader)) == {4 + 1} and set(epochs(first)) == {4}
