"""What a trainer does to a dataset between epochs, and who else may use an iterator."""

from __future__ import annotations

import contextlib
import threading
from typing import Any

import pytest
import torch
from torch.utils.data import ConcatDataset, Dataset, Subset

from datasets_impl import ThreadedLoader
from datasets_impl.errors import LoaderFailed
from datasets_impl.loaders.changes import Held
from datasets_impl.loaders.epoch import Unbegun


class Constant(Dataset[torch.Tensor]):
    value = 1

    def __len__(self) -> int:
        return 4

    def __getitem__(self, index: int) -> torch.Tensor:
        return torch.tensor(self.value)


def around(dataset: Constant, how: str) -> Any:
    if how == "plain":
        return dataset
    return Subset(dataset, range(4)) if how == "Subset" else ConcatDataset([dataset])


def process_of(loader: ThreadedLoader[Any]) -> int | None:
    return getattr(getattr(loader._place, "process", None), "pid", None)


@pytest.mark.parametrize("where", ["process", "trainer"])
@pytest.mark.parametrize("how", ["plain", "Subset", "ConcatDataset"])
def test_what_is_set_between_epochs_reaches_the_next(how: str, where: str) -> None:
    dataset = Constant()
    with ThreadedLoader(around(dataset, how), batch_size=4, where=where) as loader:
        assert [batch.tolist() for batch in loader] == [[1] * 4]
        first = process_of(loader)
        dataset.value = 2
        assert [batch.tolist() for batch in loader] == [[2] * 4]
        second = process_of(loader)
        dataset.value = int("2")
        assert [batch.tolist() for batch in loader] == [[2] * 4]
        assert process_of(loader) == second, "nothing has changed, so nothing starts anew"
        assert where == "trainer" or first != second


def test_an_epoch_under_way_ends_with_what_it_began_with() -> None:
    dataset = Constant()
    with ThreadedLoader(dataset, batch_size=1) as loader:
        under_way = iter(loader)
        next(under_way)
        dataset.value = 2
        assert [batch.item() for batch in loader] == [2] * 4
        assert [batch.item() for batch in under_way] == [1] * 3


def test_a_dataset_that_holds_itself_is_looked_at_once() -> None:
    dataset: Any = Constant()
    dataset.dataset = dataset
    held = Held(dataset)
    assert not held.differs(dataset)
    dataset.other = []
    assert held.differs(dataset)


def test_of_several_threads_one_begins_the_epoch() -> None:
    begun, both = [], threading.Barrier(2)

    def begin() -> Any:
        begun.append(threading.get_ident())
        with contextlib.suppress(threading.BrokenBarrierError):
            both.wait(0.2)  # the other thread comes here only where nothing keeps it
        return iter(range(9))

    iterator = Unbegun(begin)
    threads = [threading.Thread(target=next, args=(iterator,)) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(begun) == 1 and next(iterator) == 2


def test_a_process_that_ends_with_the_program_is_said_to_be_closed() -> None:
    loader = ThreadedLoader(Constant(), batch_size=1, prefetch_factor=1)
    iterator = iter(loader)
    next(iterator)
    place: Any = loader._place
    place._close()  # as at the program's end, where another thread may go on
    with pytest.raises(LoaderFailed, match="closed in mid-epoch"):
        list(iterator)
