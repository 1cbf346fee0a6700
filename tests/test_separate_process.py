"""A separate process makes batches as long as its trainer wants them, however either ends."""

from __future__ import annotations

import gc
import multiprocessing
import os
import random
import shutil
import signal
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import pytest
import torch
from torch.utils.data import DataLoader, Dataset

from datasets_impl.errors import LoaderFailed, StudyError
from datasets_impl.loaders import separate
from datasets_impl.loaders.loader import ThreadedLoader
from tests.leftovers import gone, left, present, shared, until
from tests.numbered import COUNT, Numbered, Waiting, child_of
from tests.nursery import Nursery


class Ending(Numbered):
    """A dataset whose samples can end the process, or wait."""

    def __getitem__(self, index: int) -> Any:
        if index == 2:
            os.kill(os.getpid(), signal.SIGKILL)
        return super().__getitem__(index)


class Drawing(Dataset[Any]):
    def __len__(self) -> int:
        return COUNT

    def __getitem__(self, index: int) -> Any:
        return index, random.random(), torch.rand(2), np.random.random(2)


def begun(worker: int) -> None:
    assert worker == 0
    random.seed(1)


@pytest.mark.parametrize("init", [None, begun])
def test_one_thread_draws_what_a_worker_draws(init: Any) -> None:
    def batches(loader: Any) -> list[str]:
        torch.manual_seed(2)
        return [str(batch) for _ in range(2) for batch in loader]

    given = {"batch_size": 2, "shuffle": True, "worker_init_fn": init}
    made: Any = ThreadedLoader(Drawing(), **given, threads=1)
    assert batches(made) == batches(DataLoader(Drawing(), **given, num_workers=1))


def test_a_process_that_is_killed_is_one_sentence() -> None:
    made = ThreadedLoader(Ending(), 1, threads=1, prefetch_factor=0)
    batches = iter(made)
    next(batches), next(batches)
    child = child_of(made)
    with pytest.raises(LoaderFailed, match=r"^The process .*\(\d+\) was ended by SIGKILL; .*\.$"):
        next(batches)
    assert not child.is_running()
    with pytest.raises(LoaderFailed, match="SIGKILL"):
        next(batches)
    assert next(iter(made))[1].tolist() == [100], "the next epoch has a process of its own"


def test_a_loader_that_goes_takes_its_process_along() -> None:
    made = ThreadedLoader(Waiting(), 2)
    batch = next(iter(made))
    child = child_of(made)
    del made
    gc.collect()
    assert not child.is_running() and bool((batch[0][1] == 1).all())


TRAINER = """
import os, signal, sys, threading, time
from tests.numbered import Waiting, child_of
from datasets_impl.loaders.loader import ThreadedLoader
if __name__ == "__main__":
    made = ThreadedLoader(Waiting(), 2, start_method=sys.argv[1])
    batches = iter(made)
    next(batches)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    sibling = os.fork()  # keeps the trainer's end of the connection open
    if sibling == 0:
        time.sleep(600)
        os._exit(0)
    signal.signal(signal.SIGINT, signal.default_int_handler)
    print(child_of(made).pid, sibling, flush=True)
    next(batches)
"""


@pytest.fixture
def trainer(
    tmp_path: Path, nursery: Nursery
) -> Iterator[Callable[[str], tuple[Any, list[psutil.Process]]]]:
    """Starts a trainer that waits for a batch; it, the process that makes them, and a fork.

    A fork server's own folder is left where its process is killed, and its name must be short.
    """
    started: list[psutil.Process] = []
    folder = tempfile.mkdtemp()

    def start(method: str) -> tuple[Any, list[psutil.Process]]:
        process = nursery.program(tmp_path, TRAINER, method, TMPDIR=folder)
        said = tmp_path / "out"
        assert until(lambda: said.read_text().endswith("\n") or process.poll() is not None)
        others = [psutil.Process(int(number)) for number in said.read_text().split()]
        assert others, (tmp_path / "err").read_text()
        started.extend(others)
        return process, others

    yield start
    for process in started:
        if process.is_running():
            process.kill()
    shutil.rmtree(folder)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("method", "how"),
    [  # what a signal does to the trainer, fork shows; what is shared with it, each method
        *(("fork", how) for how in ("SIGKILL", "SIGTERM", "SIGINT")),
        *(("forkserver", how) for how in ("SIGKILL", "SIGINT")),
        ("spawn", "SIGINT"),
    ],
)
def test_when_the_trainer_ends_so_does_the_process(
    method: str, how: str, trainer: Any, tmp_path: Path
) -> None:
    before, since = present(), time.time()
    process, (child, fork) = trainer(method)
    if how == "SIGINT":  # Ctrl-C goes to all of them
        os.killpg(process.pid, signal.SIGINT)
    else:
        os.kill(process.pid, getattr(signal, how))
    assert until(lambda: gone(child))
    assert process.wait() != 0
    fork.kill()
    if how == "SIGINT":
        assert (tmp_path / "err").read_text().count("KeyboardInterrupt") == 1
    assert until(lambda: not shared(left(before, since)))


def test_a_fork_of_the_trainer_has_a_process_of_its_own() -> None:
    made: Any = ThreadedLoader(Numbered(), 8)
    batches = iter(made)
    kept = next(batches)[0]

    def in_fork(queue: Any) -> None:
        try:
            next(batches)
        except StudyError as error:
            queue.put(str(error))
        queue.put([batch[1].tolist() for batch in made])
        queue.put(int(kept[0, 0, 0, 0]) == 0)

    context = multiprocessing.get_context("fork")
    queue = context.SimpleQueue()
    fork = context.Process(target=in_fork, args=(queue,))
    fork.start()
    assert "begun in another process" in queue.get()
    assert len(queue.get()) == 3 and queue.get() is True
    fork.join()
    assert len(list(batches)) == 2, "the trainer's own epoch goes on"


def started_in_a_daemon(queue: Any) -> None:
    try:
        next(iter(ThreadedLoader(Numbered(), 8)))
    except StudyError as error:
        queue.put(str(error))


def test_a_daemon_is_told_to_make_batches_itself() -> None:
    context = multiprocessing.get_context("fork")
    queue = context.SimpleQueue()
    daemon = context.Process(target=started_in_a_daemon, args=(queue,), daemon=True)
    daemon.start()
    assert 'where="trainer"' in queue.get()
    daemon.join()


def test_iterators_in_two_threads() -> None:
    made: Any = ThreadedLoader(Numbered(), 2)
    found: dict[int, list[int]] = {}

    def iterate(number: int) -> None:
        found[number] = [int(batch[1][0]) % 100 for batch in made]

    threads = [threading.Thread(target=iterate, args=(number,)) for number in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [found[number] for number in range(3)] == [list(range(0, COUNT, 2))] * 3


class Interrupted(Exception):
    pass


def test_an_interrupt_in_mid_message_ends_the_process(monkeypatch: pytest.MonkeyPatch) -> None:
    made: Any = ThreadedLoader(Numbered(), 2)
    batches = iter(made)
    next(batches)
    child = child_of(made)

    def interrupted(connection: Any) -> None:
        connection._recv(1)
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(separate.Message, "received", interrupted)
        with pytest.raises(KeyboardInterrupt):
            list(batches)
    with pytest.raises(LoaderFailed, match="cut short"):
        list(batches)
    assert not child.is_running() and len(list(made)) == COUNT / 2


def test_a_fork_that_ends_leaves_the_process_alone() -> None:
    """What `multiprocessing` does at a process's end, it did to the children of its parent."""
    made: Any = ThreadedLoader(Numbered(), 2)
    batches = iter(made)
    next(batches)
    fork = os.fork()
    if not fork:
        multiprocessing.util._exit_function()  # type: ignore[attr-defined]
        os._exit(0)
    assert os.waitpid(fork, 0)[1] == 0
    assert len(list(batches)) == COUNT / 2 - 1


def test_a_signal_while_the_process_starts_leaves_none(monkeypatch: pytest.MonkeyPatch) -> None:
    before = psutil.Process().children()
    monkeypatch.setattr(separate.weakref, "finalize", exits_now)
    with pytest.raises(KeyboardInterrupt):
        next(iter(ThreadedLoader(Numbered(), 2, start_method="fork")))
    assert until(lambda: psutil.Process().children() == before)


def exits_now(*_: Any) -> None:
    raise KeyboardInterrupt
