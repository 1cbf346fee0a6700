"""Iterators of loaders: in a fork, two at once, given up in mid-epoch, pickled meanwhile."""

from __future__ import annotations

import gc
import multiprocessing
import pickle
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from conftest import COUNT

from datasets_impl.errors import StudyError
from tests.loading import BUILD, crops

HANGS = 60  # seconds after which a child is taken to hang


every_loader = pytest.mark.parametrize("build", BUILD.values(), ids=BUILD)


def in_a_fork(work: Callable[[], Any]) -> Any:
    """What `work` returns, or the text of its `StudyError`, in a forked child that must end."""
    receiving, sending = multiprocessing.Pipe(duplex=False)

    def child() -> None:
        try:
            sending.send(work())
        except StudyError as error:
            sending.send(str(error))

    process = multiprocessing.get_context("fork").Process(target=child)
    process.start()
    try:
        assert receiving.poll(HANGS), "the child hangs"
        found = receiving.recv()
        process.join(HANGS)
        assert process.exitcode == 0, "the child does not end"
        return found
    finally:
        process.kill()
        process.join()


@every_loader
def test_an_epoch_does_not_go_on_in_a_fork(build: Any, folder: Path) -> None:
    arriving = iter(build(folder, batch_size=2))
    next(arriving)
    assert "begun in another process" in in_a_fork(lambda: next(arriving))
    assert len(list(arriving)) == COUNT // 2 - 1, "here it does"


@every_loader
def test_a_fork_in_mid_epoch_may_begin_its_own(build: Any, folder: Path) -> None:
    loader = build(folder, batch_size=2, sampler=range(COUNT))
    held = [iter(loader)]
    first = next(held[0]).sum().item()

    def work() -> list[int]:
        held.clear()  # the iterator goes
        return [batch.sum().item() for batch in loader]

    found = in_a_fork(work)
    assert len(found) == COUNT // 2
    if build is not crops:
        assert found[0] == first, "crops are of another epoch"


@every_loader
def test_two_epochs_at_once_do_not_mix(build: Any, folder: Path) -> None:
    def sums(loader: Any) -> list[list[int]]:
        return [[image.sum().item() for image in batch] for batch in loader]

    expected = build(folder, batch_size=2, seed=1)
    first, second = sums(expected), sums(expected)
    loader = build(folder, batch_size=2, seed=1)
    found: tuple[list[Any], list[Any]] = ([], [])
    early, late = iter(loader), iter(loader)
    for one, other in zip(early, late, strict=True):
        # Both are still there once the other has come: nothing of one was written to the other.
        for batch, place in ((one, 0), (other, 1)):
            found[place].append([image.sum().item() for image in batch])
    assert sorted(map(sorted, found)) == sorted(map(sorted, (first, second)))


@every_loader
def test_after_an_error_of_the_trainer(build: Any, folder: Path) -> None:
    loader = build(folder, batch_size=2)
    for _ in range(3):
        with pytest.raises(ZeroDivisionError):
            for _batch in loader:
                raise ZeroDivisionError
    assert sum(len(batch) for batch in loader) == COUNT


@every_loader
def test_pickled_in_mid_epoch(build: Any, folder: Path) -> None:
    loader = build(folder, batch_size=2, sampler=range(COUNT))
    arriving = iter(loader)
    next(arriving)
    copy = pickle.loads(pickle.dumps(loader))
    assert sum(len(batch) for batch in copy) == COUNT
    assert len(list(arriving)) == COUNT // 2 - 1


def test_an_iterator_given_up_leaves_its_memory_and_no_thread(folder: Path) -> None:
    loader = crops(folder, 2, threads=2, size=160)
    before = threading.active_count()
    addresses = {next(iter(loader)).data_ptr() for _ in range(20)}
    gc.collect()
    assert len(addresses) <= 8, "of 20 iterators with 4 batches each"
    assert threading.active_count() <= before + 2
