"""Which processes run, also where /proc shows those of other users not, or none at all."""

from __future__ import annotations

import os
from collections.abc import Iterator

import psutil


def runs(pid: int) -> bool:
    """Whether process `pid` is there; asked of the kernel, since /proc may be hidden.

    Where it tells nothing, `psutil.pid_exists` would take processes that run for ended ones, whose
    folders may be removed.
    """
    if pid <= 0:  # these are groups of processes
        return False
    try:
        os.kill(pid, 0)
    except PermissionError:  # another user's
        return True
    except (ProcessLookupError, OverflowError):
        return False
    return True


def processes() -> Iterator[psutil.Process]:
    """Those that /proc shows to this user."""
    try:
        yield from psutil.process_iter()
    except (IndexError, OSError):  # psutil's way of saying that it is empty, or may not be read
        return
