"""Errors, closing and waiting: how an epoch of a loader ends before its time."""

from __future__ import annotations

import contextlib
import gc
import signal
import threading
import weakref
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import psutil
import pytest
import torch
from tblib import pickling_support
from torch.utils.data import (
    DataLoader,
)

from datasets_impl.errors import LoaderFailed
from datasets_impl.loaders.epoch import Unbegun
from datasets_impl.loaders.loader import ThreadedLoader
from tests.leftovers import until
from tests.samples import COUNT, Made, Written, everywhere, expect, same


class Slow(Made):
    """The first sample takes long."""

    def __getitem__(self, index: int) -> Any:
        import time

        if index == 0:
            time.sleep(0.5)
        return index


class Last(Made):
    """The first sample is made when the last one is: when others have been taken."""

    def __getitem__(self, index: int) -> Any:
        if index == 0:
            release.wait(600)
        if index == COUNT - 1:
            release.set()
        return index


@everywhere
def test_a_slow_sample_need_not_hold_up_the_others(where: str) -> None:
    release.clear()  # before a process is forked, which has a copy of it
    made = ThreadedLoader(Last("tuple"), None, in_order=False, threads=2, where=where)
    found = [int(each) for each in made]
    assert sorted(found) == list(range(COUNT)) and found[0] != 0
    assert [int(each) for each in ThreadedLoader(Slow("tuple"), None, threads=2)] == sorted(found)


@everywhere
def test_a_batch_that_takes_too_long_is_an_error(where: str) -> None:
    release.clear()
    with ThreadedLoader[Any](Stuck("tuple"), 2, timeout=0.01, where=where) as made:
        with pytest.raises(LoaderFailed, match=r"^No batch came within 0.01 seconds; .*\.$"):
            next(iter(made))
        release.set()


@everywhere
@pytest.mark.parametrize("timeout", [0, 60])
def test_a_time_limit_of_the_trainers_own_is_not_the_loaders(where: str, timeout: float) -> None:
    def limit(*_: Any) -> None:
        raise TimeoutError("over the time limit")

    made: Any = ThreadedLoader(Slow("tuple"), 2, timeout=timeout, where=where)
    with made:
        before = signal.signal(signal.SIGALRM, limit)
        signal.setitimer(signal.ITIMER_REAL, 0.2)
        try:
            with pytest.raises(TimeoutError, match=r"^over the time limit$"):
                next(iter(made))
        finally:
            signal.setitimer(signal.ITIMER_REAL, 0)
            signal.signal(signal.SIGALRM, before)
        assert len(list(made)) == -(-COUNT // 2)


class Ending:
    """A sampler that raises in mid-epoch, by itself or by a signal's handler."""

    def __init__(self, ended: Callable[[], Any]) -> None:
        self.ended = ended

    def __iter__(self) -> Iterator[int]:
        yield from range(8)
        self.ended()


def gone() -> None:
    raise OSError("the list is gone")


@everywhere
@pytest.mark.parametrize("ahead", [0, 2])
def test_after_an_error_of_the_sampler_come_the_batches_asked_for_and_the_end(
    where: str, ahead: int
) -> None:
    made: Any = ThreadedLoader(
        Made("tensor"), 2, sampler=Ending(gone), where=where, prefetch_factor=ahead
    )
    with made:
        given, batches, seen = 4 - ahead, iter(made), []
        for _ in range(7):
            try:
                seen.append(next(batches)[0, 0, 0].item())
            except (OSError, StopIteration) as error:
                seen.append(type(error))
    told = [0, 2, 4, 6]
    end = [StopIteration] * 2
    assert seen == [*told[:given], OSError, *told[given:], *end]


@everywhere
def test_an_epoch_that_a_signal_cuts_short_in_the_sampler_is_said_to_be(where: str) -> None:
    def limit(*_: Any) -> None:
        raise TimeoutError("over the time limit")

    before = signal.signal(signal.SIGUSR1, limit)
    try:
        sampler = Ending(lambda: signal.raise_signal(signal.SIGUSR1))
        with ThreadedLoader[Any](Made("tensor"), 2, sampler=sampler, where=where) as made:
            batches = iter(made)
            with pytest.raises(TimeoutError, match=r"^over the time limit$"):
                list(batches)
            with pytest.raises(LoaderFailed, match="cut short"):
                next(batches)
    finally:
        signal.signal(signal.SIGUSR1, before)


class Failing(Made):
    def __getitem__(self, index: int) -> Any:
        if index in (3, 5):
            raise FileNotFoundError(2, "no such file", f"{index}.jpg")
        return index

    def name(self, index: int) -> str:
        return f"{index}.jpg"


@everywhere
def test_an_error_arrives_as_it_was_and_names_the_sample(where: str) -> None:
    batches = iter(ThreadedLoader(Failing("tuple"), 2, threads=3, where=where))
    assert next(batches).tolist() == [0, 1]
    for index in (3, 5):
        with pytest.raises(FileNotFoundError) as found:
            next(batches)
        assert found.value.filename == f"{index}.jpg" and found.value.errno == 2
        assert f"sample {index} of the dataset, {index}.jpg" in "".join(found.value.__notes__)
    assert next(batches).tolist() == [6, 7], "the next batch comes nevertheless"


@everywhere
def test_closing_ends_what_makes_batches(where: str) -> None:
    others = set(threading.enumerate())
    made: Any = ThreadedLoader(Made("large tensor"), 2, where=where, threads=2)
    made.close()
    with made as loader:
        batches = iter(loader)
        kept = next(batches)
        before = kept.clone()
        child = psutil.Process(made._places.now.process.pid) if where == "process" else None
    with pytest.raises(LoaderFailed, match="closed in mid-epoch"):
        list(batches)
    assert torch.equal(kept, before)
    assert not (child and child.is_running())
    if where == "trainer":
        assert until(
            lambda: "make-batch_0" not in {one.name for one in set(threading.enumerate()) - others}
        )
    expect(made, DataLoader(Made("large tensor"), 2))
    made.close()


@everywhere
@pytest.mark.parametrize("in_order", [True, False])
def test_closing_ends_waiting_in_another_thread(in_order: bool, where: str) -> None:
    release.clear()  # before a process is forked, which has a copy of it
    made: Any = ThreadedLoader(Stuck("tuple"), 1, where=where, threads=1, in_order=in_order)
    begun, errors = threading.Event(), []

    def iterate() -> None:
        try:
            batches = iter(made)
            next(batches)
            begun.set()
            next(batches)
        except LoaderFailed as error:
            errors.append(str(error))

    thread = threading.Thread(target=iterate)
    thread.start()
    assert begun.wait(600)
    closing = threading.Thread(target=made.close)
    closing.start()
    thread.join(600)
    release.set()
    closing.join(600)
    assert not thread.is_alive() and not closing.is_alive() and "closed" in errors[0]


release = threading.Event()


class Stuck(Made):
    def __getitem__(self, index: int) -> Any:
        if index:
            release.wait(600)
        return index


class Signalled(Exception):
    pass


@everywhere
def test_an_epoch_that_was_cut_short_says_so(where: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """What a signal interrupts would else be lost without a word, or be waited for without end."""
    made: Any = ThreadedLoader(Made("tensor"), 2, where=where)
    batches = iter(made)
    found = [next(batches)]

    def interrupted(number: int, indices: Any) -> None:
        raise Signalled

    monkeypatch.setattr(batches.epoch._run, "submit", interrupted)  # type: ignore[attr-defined]
    with pytest.raises(Signalled):
        next(batches)
    with pytest.raises(LoaderFailed, match=r"cut short.*state_dict"):
        next(batches)
    made.load_state_dict(made.state_dict())
    same([*found, *made], list(DataLoader(Made("tensor"), 2)))


class Refusing(Made):
    def __getitem__(self, index: int) -> Any:
        raise KeyError(index)


@everywhere
def test_an_error_leaves_nothing_that_only_the_garbage_collector_finds(where: str) -> None:
    pickling_support.install()  # as importing Dask does: errors bring their frames with them
    gc.collect()
    gc.disable()
    try:
        made = ThreadedLoader(Refusing("tensor"), 2, where=where)
        with contextlib.suppress(KeyError):
            next(iter(made))
        place: Any = weakref.ref(made._places.now)  # type: ignore[arg-type]
        del made
        assert until(lambda: place() is None)  # a thread of it may still be ending
    finally:
        gc.enable()


def test_closing_while_a_batch_is_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    made: Any = ThreadedLoader(Made("tuple"), 1, where="trainer", threads=1)
    batches = iter(made)
    next(batches)
    start = made._places.now.start

    def closing(work: Any, within: Any) -> None:
        made.close()
        start(work, within)

    monkeypatch.setattr(made._places.now, "start", closing)
    with pytest.raises(LoaderFailed, match="closed in mid-epoch"):
        next(batches)


class Collecting(Written):
    """The garbage collector comes while a batch is prepared."""

    def sample_layout(self, index: int) -> Any:
        gc.collect()
        return super().sample_layout(index)


def test_the_garbage_collector_may_end_the_epoch_whose_batch_is_prepared() -> None:
    made: Any = ThreadedLoader(Collecting(), 2, where="trainer", threads=1, prefetch_factor=1)
    list(made)
    begun, go = threading.Event(), threading.Event()
    made._places.now._pool.submit(lambda: (begun.set(), go.wait(600)))
    assert begun.wait(600)
    gc.freeze()  # it looks at what this test makes
    try:
        circle: list[Any] = [Unbegun(made._begin)]
        made._begin(circle[0])
        circle.append(circle)
        ended = weakref.ref(circle[0])
        del circle
        go.set()
        assert until(lambda: ended() is None)
        with ThreadPoolExecutor(1) as other:
            assert other.submit(lambda: len(list(made))).result(600) == 6, "it holds no lock"
    finally:
        gc.unfreeze()
