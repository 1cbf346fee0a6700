"""Whether a process that makes batches lives, and how it ended, in one sentence."""

from __future__ import annotations

import contextlib
import os
import signal
import time
from multiprocessing.connection import wait
from multiprocessing.process import BaseProcess

NAP = 0.01  # seconds between two looks at whether it still lives


def lives(process: BaseProcess) -> bool:
    """Also where the trainer ignores SIGCHLD: then the kernel forgets a process when it ends, and
    `multiprocessing`, which asks how it ended, takes it to go on."""
    if not process.is_alive() or process.pid is None:
        return False
    with contextlib.suppress(PermissionError):  # it has become another user's
        try:
            os.kill(process.pid, 0)
        except ProcessLookupError:
            return False
    return True


def wait_for_end(process: BaseProcess, seconds: float) -> None:
    """As `join`, which takes one that has closed its descriptors to have ended, and then waits
    without end for it."""
    until = time.monotonic() + seconds
    wait([process.sentinel], seconds)
    while lives(process) and time.monotonic() < until:
        time.sleep(NAP)


def identity(descriptor: int) -> tuple[int, int] | None:
    """Of what it leads to, None where it is closed: its number may be another file's by then."""
    try:
        found = os.fstat(descriptor)
    except OSError:
        return None
    return found.st_dev, found.st_ino


def why_ended(process: BaseProcess) -> str:
    who, code = f"The process that makes batches ({process.pid})", process.exitcode
    if lives(process):
        return (
            f"{who} has closed its connection and goes on; let the dataset close no descriptors "
            "that it has not opened, as os.closerange does."
        )
    if code is None:
        return (
            f"{who} has ended, and nobody knows how, since SIGCHLD is ignored; what it printed "
            "before may say why."
        )
    if code < 0:
        known = -code in list(signal.Signals)  # no real-time one
        name = signal.Signals(-code).name if known else f"signal {-code}"
        if name != "SIGKILL":
            return f"{who} was ended by {name}; code below Python that the dataset calls may crash."
        return (
            f"{who} was ended by SIGKILL; the kernel does that when memory runs out: take fewer "
            "threads, or a smaller batch_size or prefetch_factor."
        )
    return f"{who} ended with exit code {code}; what it printed before says why."
