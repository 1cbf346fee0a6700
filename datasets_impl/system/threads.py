"""A pool of threads that says in one sentence when the system starts no more of them."""

from __future__ import annotations

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
