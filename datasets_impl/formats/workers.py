"""Processes of this machine that write shards, and end with whoever began them."""

from __future__ import annotations

import multiprocessing
import os
import signal
import time
from collections.abc import Callable, Collection, Iterator
from concurrent.futures import Future, ProcessPoolExecutor
from contextlib import contextmanager
from multiprocessing.process import BaseProcess
from multiprocessing.synchronize import Semaphore
from typing import Any

from datasets_impl.system.termination import end_with_owner, end_with_parent, raise_on_termination

CONTEXT = multiprocessing.get_context("forkserver")  # by a server: no thread is forked
# By the server:
IMPORTED = ["datasets_impl.formats.shards", "datasets_impl.formats.pictures_elsewhere"]
DESCRIPTORS = 16  # that server and pool take at most, beside one for each worker
PATIENCE = 1.0  # seconds that workers get to end
UNGUARDED = 'call convert_to_shards under `if __name__ == "__main__":`'

Submit = Callable[[Callable[[Any], int], Any], "Future[int]"]


def reads_the_program() -> bool:
    """Whether this process is one that was just started, and reads its parent's program first."""
    return getattr(multiprocessing.current_process(), "_inheriting", False)


@contextmanager
def submitting(workers: int, begun: Semaphore) -> Iterator[Submit]:
    """Starts calls in so many processes; each releases `begun` when it has read the program."""
    _require_descriptors(DESCRIPTORS + workers)
    CONTEXT.set_forkserver_preload(IMPORTED)
    with ProcessPoolExecutor(workers, CONTEXT, _begin, (begun,)) as pool:
        try:
            yield lambda function, task: pool.submit(_call, function, task)
        except Exception:
            pool.shutdown(cancel_futures=True)
            raise
        except BaseException:  # Ctrl-C: nobody waits for shards that take long
            _end((getattr(pool, "_processes", None) or {}).values())
            pool.shutdown(cancel_futures=True)
            raise


def _require_descriptors(count: int) -> None:
    """Raises OSError where so many lack; a server that gets none ends with a traceback."""
    held: list[int] = []
    try:
        while len(held) < count:
            held.append(os.open(os.devnull, os.O_RDONLY | os.O_CLOEXEC))
    finally:
        for descriptor in held:
            os.close(descriptor)


def _end(processes: Collection[BaseProcess]) -> None:
    """They are asked to, so that they leave no temporary file, and then no more."""
    processes = list(processes)
    for process in processes:
        process.terminate()
    until = time.monotonic() + PATIENCE
    for process in processes:
        process.join(max(0.0, until - time.monotonic()))
        if process.is_alive():
            process.kill()


class _Ended(SystemExit):
    """Raised in a worker that is asked to end."""


def _begin(begun: Semaphore) -> None:
    begun.release()
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # whoever began it ends it
    raise_on_termination(lambda number: _Ended(128 + number))
    end_with_parent()  # the server, which lives as long as one of its workers
    owner = multiprocessing.parent_process()
    if owner is not None and owner.pid is not None:
        end_with_owner(owner.pid, PATIENCE)


def _call(function: Callable[[Any], int], task: Any) -> int:
    """No other task is begun by a worker that is asked to end, once its files are gone."""
    try:
        return function(task)
    except _Ended as asked:
        os._exit(int(str(asked)))
