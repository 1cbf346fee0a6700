"""An end to what the user's code is asked for outside of a probe's own time."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType


class Overdue(BaseException):
    """Not an Exception, which the user's code may pass over."""


@contextmanager
def patience(seconds: float) -> Iterator[None]:
    """What takes longer is broken off, once it is back in Python; in other threads than the main
    one it has no end.

    Raises:
        Overdue: it was broken off.
    """

    def broken_off(_: int, __: FrameType | None) -> None:
        raise Overdue

    try:
        before = signal.signal(signal.SIGALRM, broken_off)
    except ValueError:  # only the main thread may
        yield
        return
    left, _ = signal.setitimer(signal.ITIMER_REAL, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, left)
        signal.signal(signal.SIGALRM, before or signal.SIG_DFL)
