"""What a trainer does to a dataset between epochs, and who else may use an iterator."""

from __future__ import annotations

import contextlib
import gc
import os
import threading
from typing import Any

import pytest
import torch
from torch.utils.data import ConcatDataset, Dataset, Subset

from datasets_impl import ThreadedLoader
from datasets_impl.errors import BadArgument, LoaderFailed
from datasets_impl.loaders.changes import Held
from datasets_impl.loaders.epoch import Unbegun
from datasets_impl.loaders.wire import Kind, Message


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
    return getattr(getattr(loader._places.now, "process", None), "pid", None)


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


@pytest.mark.parametrize("where", ["process", "trainer"])
@pytest.mark.parametrize("name", ["dataset", "datasets"])
def test_a_dataset_that_holds_itself_is_read(name: str, where: str) -> None:
    dataset: Any = Constant()
    setattr(dataset, name, dataset if name == "dataset" else [dataset])
    with ThreadedLoader(dataset, batch_size=4, where=where) as loader:
        assert [batch.tolist() for batch in loader] == [[1] * 4]


def test_a_part_of_itself_is_one_sentence() -> None:
    part = Subset(Constant(), [0])
    part.dataset = part
    with pytest.raises(BadArgument, match=r"^dataset is a Subset of itself; .*\.$"):
        list(ThreadedLoader(part))


def test_of_several_threads_one_begins_the_epoch() -> None:
    begun, both = [], threading.Barrier(2)

    def begin(iterator: Unbegun) -> None:
        begun.append(threading.get_ident())
        with contextlib.suppress(threading.BrokenBarrierError):
            both.wait(0.2)  # the other thread comes here only where nothing keeps it
        iterator.epoch = iter(range(9))

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
    place: Any = loader._places.now
    place._close()  # as at the program's end, where another thread may go on
    with pytest.raises(LoaderFailed, match="closed in mid-epoch"):
        list(iterator)


class Slotted(Dataset[torch.Tensor]):
    __slots__ = ("value",)

    def __init__(self) -> None:
        self.value = 1

    def __len__(self) -> int:
        return 4

    def __getitem__(self, index: int) -> torch.Tensor:
        return torch.tensor(self.value)


class Scaling:
    """A `collate_fn` with an attribute; its method is another one."""

    def __init__(self) -> None:
        self.factor = 1

    def __call__(self, samples: list[torch.Tensor]) -> torch.Tensor:
        return torch.stack(samples) * self.factor

    def scaled(self, samples: list[torch.Tensor]) -> torch.Tensor:
        return self(samples)


@pytest.mark.parametrize("where", ["process", "trainer"])
@pytest.mark.parametrize("what", ["slot", "class", "collate_fn", "method"])
def test_attributes_wherever_they_are_kept(
    what: str, where: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    dataset: Any = Slotted() if what == "slot" else Constant()
    scaling = Scaling()
    collate: Any = {"collate_fn": scaling, "method": scaling.scaled}.get(what)
    options = {"start_method": "fork"} if where == "process" else {}
    loader: Any = ThreadedLoader(dataset, 4, where=where, collate_fn=collate, **options)  # type: ignore[arg-type]
    with loader:
        assert [batch.tolist() for batch in loader] == [[1] * 4]
        process = process_of(loader)
        assert [batch.tolist() for batch in loader] == [[1] * 4]
        assert process_of(loader) == process, "nothing has changed, so nothing starts anew"
        if what == "slot":
            dataset.value = 2
        elif what == "class":
            monkeypatch.setattr(Constant, "value", 2)
        else:
            scaling.factor = 2
        assert [batch.tolist() for batch in loader] == [[2] * 4]


def test_closing_ends_epochs_in_processes_that_were_replaced() -> None:
    dataset = Constant()
    loader = ThreadedLoader(dataset, batch_size=1, prefetch_factor=0)
    under_way = iter(loader)
    next(under_way)
    first: Any = loader._places.now
    dataset.value = 2
    assert [batch.item() for batch in loader] == [2] * 4
    assert loader._places.now is not first and first.runs()
    loader.close()
    assert not first.runs()
    with pytest.raises(LoaderFailed, match="closed in mid-epoch"):
        list(under_way)
    assert [batch.item() for batch in loader] == [2] * 4, "it begins anew"
    loader.close()


def test_a_process_that_was_replaced_ends_with_its_last_epoch() -> None:
    dataset = Constant()
    with ThreadedLoader(dataset, batch_size=1) as loader:
        under_way = iter(loader)
        next(under_way)
        first: Any = loader._places.now
        dataset.value = 2
        list(loader)
        assert [batch.item() for batch in under_way] == [1] * 3
        first.process.join(600)  # though the iterator is still held
        assert first.process.exitcode == 0


def test_the_garbage_collector_may_end_an_epoch_while_a_message_is_sent(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """As it may at any line: an iterator that is part of a circle is ended by it."""
    send = Message.send
    ended, owner = threading.Event(), os.getpid()

    def collecting(message: Message, connection: Any) -> None:
        if os.getpid() == owner and message.kind is Kind.BEGIN:
            gc.collect()
        send(message, connection)

    def trained() -> None:
        for _ in range(3):
            circle: list[Any] = [iter(loader)]
            next(circle[0])
            circle.append(circle)
            del circle
        ended.set()

    loader = ThreadedLoader(Constant(), batch_size=1)
    monkeypatch.setattr(Message, "send", collecting)
    thread = threading.Thread(target=trained, daemon=True)
    gc.freeze()  # it looks at what this test makes
    thread.start()
    thread.join(120)
    gc.unfreeze()
    assert ended.is_set(), "it waits for a lock that it holds"
    monkeypatch.undo()
    loader.close()
