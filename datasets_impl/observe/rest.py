"""When processes rest: what they have let go of is given back, and their memory can be read.

A worker that has sent its last batch still holds it for an instant. Where other programs have the
cores, that instant is as long as they like.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator
from pathlib import Path

PROC = Path("/proc")
LOOKS = 5  # in a row: a thread that waits for another one of its own process sleeps too
APART = 0.005  # seconds between two looks, as long as a thread of Python's waits for another
LONGEST = 30.0  # seconds
ASLEEP = ("S", "I", "Z", "X", "x")  # see proc_pid_stat(5): waits for an event, idle, or has ended


def rest(pids: Iterable[int], longest: float = LONGEST) -> bool:
    """Wait until every thread of these processes sleeps.

    Args:
        pids: processes; one that is gone rests.
        longest: seconds to wait at most.

    Returns:
        Whether they rest; True also where the system does not tell (no /proc).
    """
    pids, until, looks = list(pids), time.monotonic() + longest, 0
    while looks < LOOKS:
        looks = looks + 1 if all(state in ASLEEP for state in _states(pids)) else 0
        if time.monotonic() > until:
            return False
        time.sleep(APART)
    return True


def _states(pids: list[int]) -> Iterator[str]:
    """The letter that the kernel gives each thread's state."""
    for pid in pids:
        for stat in (PROC / str(pid) / "task").glob("*/stat"):
            try:
                told = stat.read_text(errors="replace")
            except OSError:  # it has ended
                continue
            yield told.rpartition(")")[2].split()[0]  # after the name, which may have spaces
