"""What else the machine did during a measurement, and whether that spoils it.

Foreign load is what the machine's CPUs worked less what this measurement worked: a program that
started and ended meanwhile is caught too, which no list of processes would show. The measurement's
own work is that of this process and all its descendants, living or reaped. The chain of parents
(asv, the study, the shell) and the kernel's threads count as nobody's: they work for the
measurement, writing back what it wrote, or do next to nothing.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from time import perf_counter  # by name: a user's code may set the clock's hands
from typing import Any

import psutil

from datasets_impl.arguments import refused

FOREIGN_CORES = 0.25  # more CPU than this, in cores, taken by other programs spoils a measurement
STEAL_SHARE = 0.1  # and so does a larger share of the wanted CPU time given to other guests
JUDGED_SECONDS = 0.2  # shorter measurements are not judged: the kernel counts in ticks of 10 ms
LEAST_SECONDS = 0.05  # foreign or stolen time below five ticks is no evidence of load
RETRIES_VARIABLE = "DATASET_STUDY_MAX_RETRIES"
MOST_RETRIES = 2
KERNEL_PARENT = 2  # kthreadd, the parent of every kernel thread on Linux


@dataclass(frozen=True)
class Snapshot:
    """Counters of one moment, in seconds; only differences mean something."""

    at: float
    busy: float  # of all CPUs, in processes; time spent answering interrupts is left out
    stolen: float  # taken by other guests of the same host; 0 where unknown
    own: float  # of this process and its descendants, living or reaped
    helpers: Mapping[int, float] = field(default_factory=dict)  # by process id: who works for it


@dataclass(frozen=True)
class Load:
    """Load between two snapshots: wall seconds, foreign cores, and the share of wanted time that
    other guests got."""

    seconds: float
    foreign: float
    steal: float
    stolen: float  # seconds

    def spoils(self) -> str:
        """Why a measurement under this load is void, "" if it stands."""
        if self.seconds < JUDGED_SECONDS:
            return ""
        if self.foreign > FOREIGN_CORES and self.foreign * self.seconds >= LEAST_SECONDS:
            return f"other programs used {self.foreign:.2f} cores"
        if self.steal > STEAL_SHARE and self.stolen >= LEAST_SECONDS:
            return f"other guests took {self.steal:.0%} of the CPU time"
        return ""


def snapshot() -> Snapshot:
    """Counters now. Takes some milliseconds on a machine with many processes."""
    # Descendants before this process: one that ends in between is counted twice, not lost, so
    # that the own share errs upwards and nothing is voided for it.
    own = tree_seconds()
    helpers = _kernel_threads() | _parents()
    times = psutil.cpu_times()
    busy = times.user + times.system + getattr(times, "nice", 0.0)
    return Snapshot(perf_counter(), busy, float(getattr(times, "steal", 0.0)), own, helpers)


def tree_seconds() -> float:
    """CPU seconds of this process and its descendants, those that have ended included."""
    return _descendants() + _with_reaped(psutil.Process())


def worked(first: Snapshot, last: Snapshot) -> float:
    """CPU seconds that the measurement and its helpers worked in between.

    A kernel thread that ended takes the seconds of its whole life with it, so helpers count one
    by one, and one that ended counts for nothing.
    """
    helped = (now - first.helpers.get(pid, 0.0) for pid, now in last.helpers.items())
    return last.own - first.own + sum(max(0.0, seconds) for seconds in helped)


def between(first: Snapshot, last: Snapshot) -> Load:
    seconds = max(last.at - first.at, 1e-9)
    busy = last.busy - first.busy
    stolen = max(0.0, last.stolen - first.stolen)
    return Load(
        seconds=seconds,
        foreign=max(0.0, busy - worked(first, last)) / seconds,
        steal=stolen / (stolen + busy) if stolen else 0.0,
        stolen=stolen,
    )


def most_retries() -> int:
    """How often a spoilt measurement is repeated; `DATASET_STUDY_MAX_RETRIES` says otherwise.

    Raises:
        StudyError: the variable holds no whole number from 0 up.
    """
    text = os.environ.get(RETRIES_VARIABLE, str(MOST_RETRIES))
    if not re.fullmatch("[0-9]{1,9}", text):
        raise refused(RETRIES_VARIABLE, text, "a whole number of at most nine digits, 0 for never")
    return int(text)


def frequency() -> int | None:
    """Current CPU frequency in MHz, averaged over the CPUs; None where it cannot be read."""
    try:
        found = psutil.cpu_freq()
    except (AttributeError, NotImplementedError, OSError, RuntimeError, ValueError):
        return None  # psutil differs between systems, virtual ones above all
    return round(found.current) if found and found.current else None


def _seconds(process: psutil.Process) -> Any:
    """The process's CPU times, or None when it ended or may not be looked at."""
    try:
        return process.cpu_times()
    except psutil.Error:
        return None


def _with_reaped(process: psutil.Process) -> float:
    """CPU seconds of a process and of those descendants that ended and were waited for.

    When a child ends, its seconds move to its parent's account, so the sum over a tree stays
    what it was.
    """
    times = _seconds(process)
    if times is None:
        return 0.0
    reaped = getattr(times, "children_user", 0.0) + getattr(times, "children_system", 0.0)
    return float(times.user + times.system + reaped)


def _alone(processes: Iterable[psutil.Process]) -> dict[int, float]:
    """CPU seconds of each process without its children, by process id."""
    found = {}
    for process in processes:
        times = _seconds(process)
        if times is not None:
            found[process.pid] = float(times.user + times.system)
    return found


def _descendants() -> float:
    return sum(_with_reaped(child) for child in psutil.Process().children(recursive=True))


def _parents() -> dict[int, float]:
    """Of the parents themselves, not of their other children."""
    try:
        return _alone(psutil.Process().parents())
    except psutil.Error:
        return {}  # a parent ended while the chain was followed


def _kernel_threads() -> dict[int, float]:
    """Of threads such as those that write pages back; none where a container hides them."""
    try:
        parent = psutil.Process(KERNEL_PARENT)
        return _alone(parent.children()) if parent.name() == "kthreadd" else {}
    except psutil.Error:
        return {}
