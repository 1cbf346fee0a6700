"""A trainer that forks: while it holds a batch, while an epoch begins, while the process starts."""

from __future__ import annotations

import multiprocessing.popen_fork
import os
import threading
import time
from collections.abc import Iterator
from typing import Any

import pytest
from torch.utils.data import Sampler

from datasets_impl.errors import LoaderFailed
from datasets_impl.loaders.loader import ThreadedLoader
from tests.numbered import Numbered, Waiting, child_of
from tests.samples import Made, everywhere
from tests.test_loader_iterators import in_a_fork


def test_a_batch_that_a_fork_keeps_is_not_filled_again() -> None:
    made: Any = ThreadedLoader(Numbered(), 2, prefetch_factor=0)
    kept = [next(iter(made))[0].numpy()]  # PyTorch's own threads are not forked
    copy = kept[0].copy()
    reader, writer = os.pipe()
    fork = os.fork()
    if not fork:
        os.read(reader, 1)
        os._exit(0 if (kept[0] == copy).all() else 1)
    kept.clear()
    for _ in range(2):
        for _batch in made:
            pass
    del _batch
    os.write(writer, b".")
    assert os.waitpid(fork, 0)[1] == 0
    os.close(reader)
    os.close(writer)
    assert len(made._places.now.slots._mapped) <= 3, "its memory is let go"


class Waits(Sampler[int]):
    """In other threads than the main one the order is made when that is allowed."""

    def __init__(self) -> None:
        self.begun, self.go = threading.Event(), threading.Event()

    def __len__(self) -> int:
        return 3

    def __iter__(self) -> Iterator[int]:
        if threading.current_thread() is not threading.main_thread():
            self.begun.set()
            self.go.wait(600)
        return iter(range(3))


@everywhere
@pytest.mark.parametrize("what", ["loader", "iterator"])
def test_a_fork_while_another_thread_begins_an_epoch(what: str, where: str) -> None:
    order = Waits()
    made: Any = ThreadedLoader(Made("bytes", 3), 1, sampler=order, where=where)
    batches, found = iter(made), []
    thread = threading.Thread(target=lambda: found.extend(batches))
    thread.start()
    assert order.begun.wait(600)
    child = in_a_fork(lambda: len(list(made if what == "loader" else batches)))
    order.go.set()
    thread.join(600)
    assert child == len(found) == 3


def test_a_process_that_is_killed_is_heard_of_though_a_fork_has_its_pipes(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    forks: list[int] = []
    fork = os.fork

    def twice() -> int:
        """Another thread forks, just before the process is started."""
        forks.append(fork())
        if not forks[-1]:
            time.sleep(600)
            os._exit(0)
        return fork()

    monkeypatch.setattr(multiprocessing.popen_fork.os, "fork", twice)
    made: Any = ThreadedLoader(Waiting(), 2, start_method="fork", timeout=600)
    batches = iter(made)
    next(batches)
    monkeypatch.undo()
    try:
        child_of(made).kill()
        with pytest.raises(LoaderFailed, match="SIGKILL"):
            next(batches)
    finally:
        os.kill(forks[0], 9)
        os.waitpid(forks[0], 0)
