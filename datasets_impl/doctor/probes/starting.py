"""What comes before the first batch: making the dataset and its loader, and the sampler's start."""

from __future__ import annotations

import contextlib
import sys
from collections import Counter
from types import FrameType
from typing import Any

from torch.utils.data import BatchSampler

from datasets_impl.doctor.probes import clock
from datasets_impl.doctor.probes.callees import users_modules
from datasets_impl.doctor.probes.own_lines import is_users, watch_lines
from datasets_impl.doctor.probes.raised import RAISED
from datasets_impl.doctor.probes.source_lines import Line, calls_of, line_at
from datasets_impl.doctor.probes.target import Subject
from datasets_impl.doctor.probes.tracing import costliest, filled_by

LEAST = 0.05  # seconds that a line is looked for behind
TRACED = 5.0  # seconds of a sampler that is followed line by line
ASKED = 100  # reads whose asking lines are noted


def starting(subject: Subject, seconds: float) -> dict[str, Any]:
    """Seconds until the sampler gives its first index, and of making everything once more, with
    the samples that this reads. A first time may have built files that are there now."""
    found: dict[str, Any] = {"made": subject.made_seconds}
    loader = subject.loader
    if loader is not None and not subject.iterable and loader.batch_sampler is not None:
        begun = clock.perf_counter()
        with contextlib.suppress(*RAISED):
            next(iter(loader.batch_sampler), None)
            found["sampler"] = clock.perf_counter() - begun
            found["batches"] = len(loader.batch_sampler)  # type: ignore[arg-type]
            found["batch"] = int(getattr(loader.batch_sampler, "batch_size", 1) or 1)
        own = type(loader.batch_sampler) is not BatchSampler
        sampler = loader.batch_sampler if own else loader.sampler
        found["kind"] = type(sampler).__name__
        if LEAST < found.get("sampler", 0.0) < seconds:
            found["sampler_lines"] = _of_sampler(subject, sampler)
    first = subject.answers.get("look", {}).get("first", 0.0)
    if subject.iterable and first > LEAST:
        found["first_lines"] = _before_first(subject, first, seconds)
    if subject.make is None or not seconds / 20 < subject.made_seconds < 2 * seconds:
        return found
    reads, lines = 0, Counter[tuple[str, int]]()
    method = getattr(type(subject.dataset), "__getitem__", None)
    code = getattr(method, "__code__", None)

    def count(frame: Any, event: str, _: Any) -> None:
        nonlocal reads
        if event != "call" or frame.f_code is not code:
            return
        reads += 1
        if reads <= ASKED:
            lines.update(_asking(frame))

    begun = clock.perf_counter()
    sys.setprofile(count)
    try:
        with contextlib.suppress(*RAISED):
            subject.make()
    finally:
        sys.setprofile(None)
    again = clock.perf_counter() - begun
    asking = [line_at(*place) for place, _ in lines.most_common(1)]
    return found | {
        "again": min(again, subject.made_seconds), "reads": reads, "read_lines": asking,
    }  # fmt: skip


def _asking(frame: FrameType) -> list[tuple[str, int]]:
    """The user's line that asks for a sample, outside of what reads it."""
    asks = frame.f_back
    while asks is not None and not is_users(asks.f_code.co_filename):
        asks = asks.f_back
    return [(asks.f_code.co_filename, asks.f_lineno)] if asks else []


def _of_sampler(subject: Subject, sampler: Any) -> list[Line]:
    """The costliest line of a sampler of the user's, or where one of a library's is made."""
    loader: Any = subject.loader
    until = clock.perf_counter() + TRACED
    with contextlib.suppress(*RAISED):
        seen = watch_lines(lambda _: next(iter(loader.batch_sampler), None), [0], until)
        return costliest(seen) or calls_of(type(sampler).__name__, users_modules(subject))
    return []


def _before_first(subject: Subject, first: float, seconds: float) -> list[Line]:
    """The line that fills a buffer before a stream gives its first sample, or the costliest."""

    def read(_: Any = None) -> Any:
        return next(iter(subject.dataset), None)

    with contextlib.suppress(*RAISED):
        found = filled_by(read, clock.perf_counter() + seconds)
        if found or first > seconds:
            return found
        return costliest(watch_lines(read, [0], clock.perf_counter() + seconds))
    return []
