"""Memory is read when the workers rest."""

from __future__ import annotations

import multiprocessing
import os
import threading
from multiprocessing.connection import Connection
from pathlib import Path
from types import SimpleNamespace

import pytest

from benchmarks.measures import tree
from datasets_impl.errors import VoidMeasurement
from datasets_impl.observe.rest import rest

pytestmark = pytest.mark.skipif(not Path("/proc/self/task").is_dir(), reason="no /proc here")


def _work_then_wait(end: Connection, in_a_thread: bool) -> None:
    """Work until a word comes, then sleep until another does."""

    def work() -> None:
        while not end.poll():
            sum(range(1000))

    if in_a_thread:
        thread = threading.Thread(target=work)
        thread.start()
        thread.join()
    else:
        work()
    end.recv()
    end.send("works no more")
    end.recv()


@pytest.mark.parametrize("in_a_thread", [False, True])
def test_processes_rest_when_all_of_their_threads_sleep(in_a_thread: bool) -> None:
    here, there = multiprocessing.Pipe()
    context = multiprocessing.get_context("fork")
    process = context.Process(target=_work_then_wait, args=(there, in_a_thread))
    process.start()
    assert process.pid
    assert not rest([process.pid], longest=0.2)
    here.send("rest")
    assert here.recv()
    assert rest([process.pid])
    here.send("end")
    process.join()
    assert rest([process.pid])


def test_where_nothing_is_told_processes_rest(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr("datasets_impl.observe.rest.PROC", tmp_path)
    assert rest([os.getpid()])


def test_memory_of_workers_that_work_is_no_result(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[list[int]] = []
    workers = SimpleNamespace(_workers=[SimpleNamespace(pid=os.getpid())])
    batches = SimpleNamespace(_iterator=workers)
    monkeypatch.setattr(tree, "rest", lambda pids: bool(asked.append(pids)))
    with pytest.raises(VoidMeasurement, match="still worked"):
        tree._after_epoch(batches, lambda _: 0)  # type: ignore[arg-type]
    assert asked == [[os.getpid()]]
