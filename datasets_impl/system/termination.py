"""Ending on SIGTERM or a closed terminal as on Ctrl-C, or with an owner: nothing is left behind."""

from __future__ import annotations

import ctypes
import os
import signal
import sys
import threading
import time
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from multiprocessing.connection import Connection, wait
from typing import Any

import psutil

PR_SET_PDEATHSIG = 1  # prctl(2)
LOOK = 2.0  # seconds between two looks at whether an owner lives, where none can wait for it


def raise_on_termination(error: Callable[[int], BaseException]) -> dict[int, Any]:
    """Let SIGTERM and a closed terminal raise `error` of the signal's number.

    What whoever started this process told it to ignore, as `nohup` does, stays ignored. Returns the
    handlers that were there.
    """

    def stop(signum: int, frame: object) -> None:
        raise error(signum)

    return {
        number: signal.signal(number, stop)
        for number in (signal.SIGTERM, signal.SIGHUP)
        if signal.getsignal(number) is not signal.SIG_IGN
    }


@contextmanager
def stopping_on_termination(
    error: Callable[[int], BaseException] = lambda number: KeyboardInterrupt(),
) -> Iterator[None]:
    """The same inside the block, like Ctrl-C by default: children and folders are cleaned."""
    previous = raise_on_termination(error)
    try:
        yield
    finally:
        for number, handler in previous.items():
            signal.signal(number, handler)


def by_a_signal(error: BaseException) -> bool:
    """Whether a signal's handler raised it, in the middle of anything."""
    found = [signal.getsignal(each) for each in signal.valid_signals()]
    handlers = {getattr(getattr(each, "__func__", each), "__code__", None) for each in found}
    return any(frame.f_code in handlers for frame, _ in traceback.walk_tb(error.__traceback__))


def end_with_parent(signum: int = signal.SIGTERM) -> None:
    """Let the kernel send `signum` to this process when its parent dies, even by SIGKILL.

    Linux only, and not inherited by children; elsewhere nothing happens.
    """
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, int(signum))


class Owner:
    """The process that this one works for, its parent or not: it may be gone, even by SIGKILL."""

    def __init__(self, number: int) -> None:
        self.handles: list[Any] = []
        self.process: psutil.Process | None = None
        try:
            self.handles = [os.pidfd_open(number)]
        except (AttributeError, OSError):  # it is gone, or the system knows no such handles
            with suppress(psutil.NoSuchProcess):
                self.process = psutil.Process(number)

    def wait_for(self, *connections: Connection) -> bool:
        """Until a message can be read; False when the owner is gone."""
        while True:
            ready = wait([*connections, *self.handles], None if self.handles else LOOK)
            if any(connection in ready for connection in connections):
                return True
            if ready or not (self.process and self.process.is_running()):
                return False


def end_with_owner(number: int, patience: float) -> None:
    """Let this process end by SIGTERM when process `number` is gone, which need not be its parent.

    One that still runs `patience` seconds later is ended by SIGKILL.
    """
    owner = Owner(number)

    def watch() -> None:
        owner.wait_for()
        os.kill(os.getpid(), signal.SIGTERM)
        time.sleep(patience)
        os.kill(os.getpid(), signal.SIGKILL)

    threading.Thread(target=watch, name="end-with-owner", daemon=True).start()
