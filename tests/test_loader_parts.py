"""Parts of a dataset, and datasets inside others: written into the batch, and told of epochs."""

from __future__ import annotations

import threading
from typing import Any

import pytest
from torch.utils.data import (
    ConcatDataset,
    DataLoader,
    Dataset,
    StackDataset,
    Subset,
    random_split,
)

from datasets_impl.loaders.loader import ThreadedLoader
from tests.samples import (
    COUNT,
    Made,
    ManyAtOnce,
    Written,
    everywhere,
    expect,
    generator,
)


@everywhere
@pytest.mark.parametrize("many", [False, True])
def test_a_part_is_written_into_the_batch_and_hears_of_epochs(many: bool, where: str) -> None:
    first, _ = random_split(Written(many=many), [6, COUNT - 6], generator())
    part = Subset(first, [4, 0, 2])
    chosen = [first.indices[index] for index in part.indices]
    made = ThreadedLoader(part, 2, where=where, threads=2)
    for epoch in range(2):
        batches = list(made)
        assert [batch["label"][0].tolist() for batch in batches] == [chosen[:2], chosen[2:]]
        rows = [image[0, 1, 0].item() for batch in batches for image in batch["image"]]
        assert rows == [(index + 16 * epoch) % 256 for index in chosen]
        assert not batches[0]["image"].is_contiguous(), "in memory as its layout says"


@everywhere
def test_a_part_of_any_dataset_gives_what_it_gives_there(where: str) -> None:
    for whole in (Made("tuple"), ManyAtOnce("nested")):
        part = Subset(whole, [5, 3, 3, 9, 0])
        expect(ThreadedLoader(part, 2, where=where), DataLoader(part, 2))


def test_samples_of_a_part_are_read_by_all_threads() -> None:
    seen: set[int] = set()
    both = threading.Barrier(2)

    class Meeting(Made):
        def __getitem__(self, index: int) -> Any:
            both.wait(600)
            seen.add(threading.get_ident())
            return index

    part = Subset(Meeting("tuple"), [3, 4])
    assert next(iter(ThreadedLoader(part, 2, where="trainer", threads=2))).tolist() == [3, 4]
    assert len(seen) == 2


class Looked(Dataset[Any]):
    """A wrapper of the user's own."""

    def __init__(self, dataset: Any) -> None:
        self.dataset = dataset

    def __len__(self) -> int:
        return len(self.dataset)

    def __getitem__(self, index: int) -> Any:
        return self.dataset[index]


class Named(Dataset[Any]):
    """One that calls what it wraps as it likes."""

    def __init__(self, **named: Any) -> None:
        self.__dict__.update(named)

    def __len__(self) -> int:
        return COUNT

    def __getitem__(self, index: int) -> Any:
        images = self.images
        return images[index] if isinstance(images, Dataset) else images[0][index]


@everywhere
@pytest.mark.parametrize(
    "held",
    [
        lambda data: Subset(Subset(data, range(8)), range(4)),
        lambda data: random_split(data, [4, COUNT - 4])[0],
        lambda data: ConcatDataset([data, data]),
        lambda data: Looked(StackDataset(data)),
        lambda data: Looked(StackDataset(one=data)),
        lambda data: Looked(StackDataset(Named(images=data, labels=[1, 2], dataset=None))),
        lambda data: Looked(StackDataset(Named(images=[data, data]))),
    ],
)
def test_what_is_wrapped_hears_of_epochs_too(held: Any, where: str) -> None:
    """Else its crops would be the same in every epoch."""
    made = ThreadedLoader(held(Written(8)), 2, where=where)
    first, second = iter(made), iter(made)

    def epoch_of(batch: Any) -> int:
        sample = batch.get("one", batch) if isinstance(batch, dict) else batch[0]
        return int(sample["image"][0, 0, 1, 0] - sample["label"][0][0]) // 16

    assert [epoch_of(next(batches)) for batches in (first, second, iter(made))] == [0, 1, 2]
    assert {epoch_of(batch) for batch in first} == {0}, "the next ones have not changed it"
