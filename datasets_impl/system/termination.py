"""Ending on SIGTERM or a closed terminal as on Ctrl-C, so that nothing is left behind."""

from __future__ import annotations

import ctypes
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager

PR_SET_PDEATHSIG = 1  # prctl(2)


@contextmanager
def stopping_on_termination() -> Iterator[None]:
    """Treat SIGTERM and a closed terminal like Ctrl-C, so that children and folders are cleaned.

    What whoever started this process told it to ignore, as `nohup` does, stays ignored.
    """

    def stop(signum: int, frame: object) -> None:
        raise KeyboardInterrupt

    signals = [
        number
        for number in (signal.SIGTERM, signal.SIGHUP)
        if signal.getsignal(number) is not signal.SIG_IGN
    ]
    previous = [signal.signal(number, stop) for number in signals]
    try:
        yield
    finally:
        for number, handler in zip(signals, previous, strict=True):
            signal.signal(number, handler)


def end_with_parent(signum: int = signal.SIGTERM) -> None:
    """Let the kernel send `signum` to this process when its parent dies, even by SIGKILL.

    Linux only, and not inherited by children; elsewhere nothing happens.
    """
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, int(signum))
