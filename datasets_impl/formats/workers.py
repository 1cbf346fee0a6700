"""Processes of this machine that write shards, and end with whoever began them."""

from __future__ import annotations

import multiprocessing
import os
import signal
import sys
import threading
import time
from collections.abc import Callable, Collection, Iterator
from concurrent.futures import Future, ProcessPoolExecutor
from contextlib import contextmanager
from functools import partial
from multiprocessing import forkserver
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

Submit = Callable[[Callable[[Any], int], Any], "_Asked"]


def reads_the_program() -> bool:
    """Whether this process is one that was just started, and reads its parent's program first."""
    return getattr(multiprocessing.current_process(), "_inheriting", False)


@contextmanager
def submitting(workers: int, begun: Semaphore) -> Iterator[Submit]:
    """Starts calls in so many processes; each releases `begun` when it has read the program."""
    _require_descriptors(DESCRIPTORS + workers)
    CONTEXT.set_forkserver_preload(IMPORTED)
    _start_server()
    with ProcessPoolExecutor(workers, CONTEXT, _begin, (begun,)) as pool:
        try:
            yield partial(_submit, pool)
        except Exception:
            pool.shutdown(cancel_futures=True)
            raise
        except BaseException:  # Ctrl-C: nobody waits for shards that take long
            _end((getattr(pool, "_processes", None) or {}).values())
            pool.shutdown(cancel_futures=True)
            raise


@contextmanager
def _deaf() -> Iterator[None]:
    """To Ctrl-C, which comes later then: within, a process is begun that nobody knows of yet.

    What is begun stays deaf; another thread here, such as one of NumPy's, is not, and has the main
    one hear it.
    """
    before = signal.pthread_sigmask(signal.SIG_BLOCK, (signal.SIGINT,))
    heard: list[int] = []
    main = threading.current_thread() is threading.main_thread()
    handler = main and signal.signal(signal.SIGINT, lambda number, frame: heard.append(number))
    try:
        yield
    finally:
        if main:
            signal.signal(signal.SIGINT, handler or signal.SIG_DFL)
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
        if heard:
            signal.raise_signal(signal.SIGINT)


def _start_server() -> None:
    """It stays deaf to Ctrl-C, which a terminal sends to it too: while it imports, it would end
    with a traceback. It ends with whoever began it."""
    with _deaf():
        forkserver.ensure_running()


def _submit(pool: ProcessPoolExecutor, function: Callable[[Any], int], task: Any) -> _Asked:
    with _deaf():
        return _Asked(pool.submit(_call, function, task))


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


class _Asked:
    """A result that is cancelled with its pool alone.

    To one that is cancelled by itself, a pool whose workers end says so once more, and the thread
    that does ends with a traceback (CPython issue 107219).
    """

    def __init__(self, future: Future[int]) -> None:
        self._future = future

    def __getattr__(self, name: str) -> Any:
        return getattr(self._future, name)

    def cancel(self) -> None: ...


class _Ended(SystemExit):
    """Raised in a worker that is asked to end."""


def _begin(begun: Semaphore) -> None:
    try:
        _settle(begun)
    except _Ended as asked:  # the pool would show where it stood
        os._exit(int(str(asked)))


def _settle(begun: Semaphore) -> None:
    begun.release()
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # whoever began it ends it
    sys.unraisablehook = partial(_unless_ended, sys.unraisablehook)
    raise_on_termination(lambda number: _Ended(128 + number))
    end_with_parent()  # the server, which lives as long as one of its workers
    owner = multiprocessing.parent_process()
    if owner is not None and owner.pid is not None:
        end_with_owner(owner.pid, PATIENCE)


def _unless_ended(said: Callable[[Any], Any], raised: Any) -> None:
    """Asked to end while an object goes, a worker goes on, until it is killed: no word of that."""
    if not isinstance(raised.exc_value, _Ended):
        said(raised)


def _call(function: Callable[[Any], int], task: Any) -> int:
    """No other task is begun by a worker that is asked to end, once its files are gone."""
    try:
        return function(task)
    except _Ended as asked:
        os._exit(int(str(asked)))
