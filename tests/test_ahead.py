"""Look-ahead: the same batches, a bounded number of them early, errors and ends passed on."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator

import pytest

from datasets_impl.errors import StudyError
from datasets_impl.loaders.ahead import Ahead


def threads() -> list[str]:
    return [thread.name for thread in threading.enumerate() if thread.name == "look-ahead"]


def test_same_batches_in_order_every_epoch() -> None:
    batches = Ahead(range(10), depth=3)
    assert len(batches) == 10
    assert list(batches) == list(batches) == list(range(10))
    assert threads() == []


@pytest.mark.parametrize("depth", [1, 2, 5])
def test_never_further_ahead_than_its_depth(depth: int) -> None:
    made: list[int] = []

    def source() -> Iterator[int]:
        for number in range(50):
            made.append(number)
            yield number

    for number in Ahead(source(), depth):
        time.sleep(0.001)  # time enough to run away
        # Its depth in the queue, one in hand waiting for a place, and this one.
        assert len(made) <= number + 1 + depth + 1
    assert len(made) == 50


def test_works_while_the_trainer_does() -> None:
    second = threading.Event()

    def source() -> Iterator[int]:
        yield 0
        second.set()
        yield 1

    arriving = iter(Ahead(source(), 1))
    next(arriving)
    assert second.wait(600), "the next batch is not made before it is asked for"
    assert list(arriving) == [1]


def test_an_error_arrives_where_the_batch_would() -> None:
    def source() -> Iterator[int]:
        yield 1
        raise OSError("the disk is gone")

    arriving = iter(Ahead(source()))
    assert next(arriving) == 1
    with pytest.raises(OSError, match="the disk is gone"):
        next(arriving)
    assert threads() == []


def test_a_thread_that_cannot_be_started(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(thread: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    monkeypatch.setattr(threading.Thread, "start", refuse)
    with pytest.raises(StudyError, match="starts no more threads"):
        next(iter(Ahead([1])))


@pytest.mark.parametrize("taken", [0, 1, 3])
def test_a_trainer_that_stops_early_ends_the_thread(taken: int) -> None:
    arriving = iter(Ahead(iter(range(10**9)), 2))
    for _ in range(taken):
        next(arriving)
    arriving.close()  # type: ignore[attr-defined]
    assert threads() == []


def test_a_depth_of_nothing_is_refused() -> None:
    with pytest.raises(ValueError, match="depth is 0"):
        Ahead([], 0)
