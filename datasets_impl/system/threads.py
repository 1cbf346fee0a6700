"""A pool of threads that says in one sentence when none starts; locks that are free in forks."""

from __future__ import annotations

import os
import threading
import weakref
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import ParamSpec, TypeVar

from datasets_impl.errors import StudyError

P = ParamSpec("P")
T = TypeVar("T")


class ThreadPool(ThreadPoolExecutor):
    """Threads start when work is submitted, so that is where a limit on them shows."""

    def submit(self, fn: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> Future[T]:
        """
        Raises:
            StudyError: the system starts no more threads.
        """
        try:
            return super().submit(fn, *args, **kwargs)
        except RuntimeError as error:
            raise no_thread(error) from error


def no_thread(error: Exception) -> StudyError:
    """What to raise where a thread could not be started."""
    return StudyError(
        f"The system starts no more threads ({error}); end other programs, or raise the limit "
        "(ulimit -u)."
    )


_locks: weakref.WeakSet[threading.Lock] = weakref.WeakSet()


def lock_anew_in_forks() -> threading.Lock:
    """A lock that is free in a fork, where the thread that holds it does not exist."""
    made = threading.Lock()
    _locks.add(made)
    return made


def _renew_locks() -> None:
    for lock in list(_locks):
        lock._at_fork_reinit()  # type: ignore[attr-defined]


os.register_at_fork(after_in_child=_renew_locks)
