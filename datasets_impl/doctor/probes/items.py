"""Single samples by the clock, and the files that they open."""

from __future__ import annotations

import contextlib
import os
import sys
from collections import Counter
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import psutil

from datasets_impl.doctor.probes import clock
from datasets_impl.doctor.probes.attribution import SCHEDULED, queue_seconds
from datasets_impl.doctor.probes.data_files import files_of_data
from datasets_impl.doctor.probes.own_lines import watch_lines
from datasets_impl.doctor.probes.raised import RAISED
from datasets_impl.doctor.probes.reads import reads
from datasets_impl.doctor.probes.source_lines import Line
from datasets_impl.doctor.probes.target import Subject
from datasets_impl.doctor.probes.tracing import costliest

FEW, FAR = 20, 10.0  # samples, and times as slow as the usual one, for a sample to be looked at
LEAST = 1e-9  # seconds of a sample


def items(subject: Subject, seconds: float) -> dict[str, Any]:
    """Seconds of each item, read twice; what was opened, listed and read meanwhile."""
    before = _bytes_asked()  # which opens files itself
    seen = _Audit()
    first = _timed(subject, seconds / 2)
    seen.stop()
    asked = _bytes_asked() - before
    chosen = [index for index, _ in first]
    second = [] if subject.iterable else _again(subject, first, seconds)
    times = np.minimum(second, [taken for _, taken in first]) if second else np.empty(0)
    return {
        "slow_lines": _slow_lines(subject, chosen, times, seconds / 4),
        "indices": chosen,
        "first": [taken for _, taken in first],
        "second": second,
        "bytes_asked": asked / max(1, len(first)),
        "opened": seen.opened.most_common(5),
        "files": files_of_data(seen.opened),
        "opens": sum(seen.opened.values()) / max(1, len(first)),
        "listed": seen.listed / max(1, len(first)),
        "connected": seen.connected / max(1, len(first)),
    }


def _timed(subject: Subject, seconds: float) -> list[tuple[Any, float]]:
    until, found = clock.perf_counter() + seconds, []
    for index, read in reads(subject):
        try:
            taken = _taken(read)
        except StopIteration:
            break
        except RAISED:
            continue
        found.append((index, taken))
        if clock.perf_counter() > until:
            break
    return found


def _again(subject: Subject, first: Sequence[tuple[Any, float]], seconds: float) -> list[float]:
    """Of each index, a second time; of the slowest of both times, the quickest of some more."""
    until = clock.perf_counter() + 0.6 * seconds
    second = [_again_taken(subject, index) for index, _ in first]
    both = np.minimum(second, [taken for _, taken in first]) if first else np.empty(0)
    far = int((both >= FAR * np.median(both)).sum()) if first else 0
    for place in np.argsort(both)[::-1][: max(5, len(both) // 100, far)]:
        if clock.perf_counter() > until:
            break
        more = [_again_taken(subject, first[place][0]) for _ in range(3)]
        second[place] = min(second[place], *more)
    return second


def _again_taken(subject: Subject, index: Any) -> float:
    """Of a sample that raises as long as it took to."""

    def read() -> None:
        with contextlib.suppress(*RAISED):
            subject.read(index)

    return _taken(read)


def _taken(read: Callable[[], Any]) -> float:
    """Seconds, but for those in the queue for a processor: a sample that another program came
    before is no slow one."""
    queued, begun = queue_seconds(), clock.perf_counter()
    read()
    taken = clock.perf_counter() - begun
    return max(LEAST, taken - (queue_seconds() - queued))


def _slow_lines(subject: Subject, chosen: Sequence[Any], times: Any, seconds: float) -> list[Line]:
    """The costliest line of the slowest sample, where it is far slower than others."""
    if len(times) < FEW or not FAR * float(np.median(times)) < times.max() < seconds:
        return []
    with contextlib.suppress(*RAISED):
        slowest = [chosen[int(times.argmax())]]
        return costliest(watch_lines(subject.read, slowest, clock.perf_counter() + seconds))
    return []


def _bytes_asked() -> int:
    """Bytes that this process asked the system for; 0 where it is not told."""
    try:
        return int(psutil.Process().io_counters().read_chars)
    except (AttributeError, psutil.Error):
        return 0


class _Audit:
    """Files opened, folders listed and connections made by this process, from Python's own audit
    events."""

    def __init__(self) -> None:
        self.opened: Counter[str] = Counter()
        self.listed = self.connected = 0
        self.on = True
        sys.addaudithook(self._hook)

    def _hook(self, event: str, arguments: tuple[Any, ...]) -> None:
        if not self.on:
            return
        if event == "open" and isinstance(arguments[0], str | bytes):
            if (path := os.fsdecode(arguments[0])) != SCHEDULED:  # opened by the doctor itself
                self.opened[path] += 1
        elif event == "sqlite3.connect" and isinstance(arguments[0], str | os.PathLike):
            self.opened[os.fspath(arguments[0])] += 1
        elif event == "socket.connect":
            self.connected += 1
        elif event in ("os.listdir", "os.scandir", "glob.glob"):
            self.listed += 1

    def stop(self) -> None:
        self.on = False  # a hook cannot be removed
