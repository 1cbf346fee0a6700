"""Processes that a study left when it was killed, told by the temporary folder it gave them."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable
from pathlib import Path

import psutil

from datasets_impl.system.owners import owner_is_gone
from datasets_impl.system.running import processes

GRACE_SECONDS = 5


def end_processes_of(folder: Path) -> int:
    """End what still runs with `folder` for its temporary files; returns how many there were."""
    return _end(lambda given: Path(given) == folder)


def end_orphans() -> int:
    """End what studies left whose own process is gone; returns how many there were.

    They would measure beside the next study, and be measured with it.
    """
    return _end(lambda given: owner_is_gone(Path(given).name))


def _end(meant: Callable[[str], bool]) -> int:
    found = [process for process in processes() if _told(process, meant)]
    for process in found:
        _signal(process.terminate)
    # Trackers of shared memory ignore the signal, and end by themselves after what they track.
    _, alive = psutil.wait_procs(found, GRACE_SECONDS)
    for process in alive:
        _signal(process.kill)
    psutil.wait_procs(alive, GRACE_SECONDS)
    return len(found)


def _told(process: psutil.Process, meant: Callable[[str], bool]) -> bool:
    try:
        own = process.pid != os.getpid() and process.uids().real == os.getuid()
        return own and meant(process.environ().get("TMPDIR", ""))
    except (psutil.Error, OSError):  # it ended, or is nobody's business
        return False


def _signal(send: Callable[[], None]) -> None:
    with contextlib.suppress(psutil.Error):  # it ended by itself
        send()
