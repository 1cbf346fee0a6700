"""Making what the user named once more, in a process of its own that can be ended at any time."""

from __future__ import annotations

import contextlib
import ctypes
import mmap
import multiprocessing
import sys
import threading
from collections import Counter
from multiprocessing.connection import wait
from types import FrameType
from typing import Any

import psutil

from datasets_impl.doctor.probes import clock
from datasets_impl.doctor.probes.own_lines import is_users
from datasets_impl.doctor.probes.raised import RAISED
from datasets_impl.doctor.probes.room import MEMORY, room
from datasets_impl.doctor.probes.source_lines import Line, line_at
from datasets_impl.doctor.probes.target import Subject

ASKED = 100  # reads whose asking lines are noted
LOOK, TELL = 0.02, 0.2  # seconds from one look at where it stands to the next, and to telling it
Place = tuple[str, int]


def made_again(subject: Subject, seconds: float) -> dict[str, Any]:
    """Seconds that it takes, samples that it reads, the line that asks for them, and the line at
    which most of the time goes by.

    Where it takes longer than `seconds`, the first time is told, and about how many it read then.
    Nothing where memory may not hold it twice.
    """
    if psutil.Process().memory_info().rss > room()[MEMORY] / 2:
        return {}
    reads: Any = (ctypes.c_int64 * 1).from_buffer(mmap.mmap(-1, 8))
    context = multiprocessing.get_context("fork")
    heard, told = context.Pipe(duplex=False)
    standing, stands = context.Pipe(duplex=False)
    child = context.Process(target=_make, args=(subject, reads, told, stands))
    begun = clock.perf_counter()
    child.start()
    told.close()
    stands.close()
    places, taken, costly = list[Place](), 0.0, list[Place]()
    with contextlib.suppress(EOFError):
        while (left := begun + seconds - clock.perf_counter()) > 0 and not taken:
            for one in wait([heard, standing], left):
                if one is heard:
                    places, taken = heard.recv()
                else:
                    costly = standing.recv()
    spent = clock.perf_counter() - begun
    child.kill()
    child.join()
    count = int(reads[0])
    if not taken:
        count = int(min(subject.length or count, count * max(1.0, subject.made_seconds / spent)))
    lines: list[Line] = [line_at(*place) for place in places[:1]]
    return {
        "again": min(taken or subject.made_seconds, subject.made_seconds), "reads": count,
        "read_lines": lines, "making_lines": [line_at(*place) for place in costly],
    }  # fmt: skip


def _make(subject: Subject, reads: Any, told: Any, stands: Any) -> None:
    """Counts samples that are read, and tells which of the user's lines asked for most of them."""
    code = getattr(getattr(type(subject.dataset), "__getitem__", None), "__code__", None)
    lines = Counter[Place]()

    def count(frame: Any, event: str, _: Any) -> None:
        if event != "call" or frame.f_code is not code:
            return
        reads[0] += 1
        if reads[0] <= ASKED:
            lines.update(asking(frame))
            told.send(([place for place, _ in lines.most_common(1)], 0.0))

    begun = clock.perf_counter()
    looking = threading.Thread(target=_look, args=(threading.get_ident(), stands), daemon=True)
    looking.start()
    sys.setprofile(count)
    with contextlib.suppress(*RAISED):
        subject.make and subject.make()
    sys.setprofile(None)
    told.send(([place for place, _ in lines.most_common(1)], clock.perf_counter() - begun))


def _look(thread: int, stands: Any) -> None:
    """Tells now and then at which of the user's lines a thread was for longest."""
    spent, since = Counter[Place](), clock.perf_counter()
    while True:
        last, until = since, since + TELL
        while last < until:
            clock.sleep(LOOK)
            frame, now = sys._current_frames().get(thread), clock.perf_counter()
            while frame is not None and not is_users(frame.f_code.co_filename):
                frame = frame.f_back
            if frame is not None:
                spent[frame.f_code.co_filename, frame.f_lineno] += now - last  # type: ignore[assignment]
            last = now
        since = last
        with contextlib.suppress(OSError):
            stands.send([place for place, _ in spent.most_common(1)])


def asking(frame: FrameType) -> list[Place]:
    """The user's line that a function was called from, also by way of others."""
    asks = frame.f_back
    while asks is not None and not is_users(asks.f_code.co_filename):
        asks = asks.f_back
    return [(asks.f_code.co_filename, asks.f_lineno)] if asks else []
