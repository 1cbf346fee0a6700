"""What comes before the first batch: making the dataset and its loader, and the sampler's start."""

from __future__ import annotations

import contextlib
import copy
import re
from typing import Any

from torch.utils.data import BatchSampler, WeightedRandomSampler

from datasets_impl.doctor.probes import clock
from datasets_impl.doctor.probes.callees import users_modules
from datasets_impl.doctor.probes.making import made_again
from datasets_impl.doctor.probes.own_lines import watch_lines
from datasets_impl.doctor.probes.raised import RAISED
from datasets_impl.doctor.probes.source_lines import Line, calls_of
from datasets_impl.doctor.probes.target import Subject
from datasets_impl.doctor.probes.tracing import costliest, filled_by

LEAST = 0.05  # seconds that a line is looked for behind
TRACED = 5.0  # seconds of a sampler that is followed line by line
BUFFER = re.compile(r"buffer|shuffle|reservoir", re.IGNORECASE)  # attributes that hold its size
LEAST_BUFFER, SMALLER = 16, 8  # samples; and times as small is the one that is tried


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
            if isinstance(sampler, WeightedRandomSampler) and not sampler.replacement:
                with contextlib.suppress(*RAISED):
                    found["replacing"] = _with_replacement(sampler)
    first = subject.answers.get("look", {}).get("first", 0.0)
    if subject.iterable and first > LEAST:
        found["first_lines"] = _before_first(subject, first, seconds)
        found["buffer"] = _smaller_buffer(subject) if first < SMALLER * seconds else {}
    if subject.make is not None and subject.made_seconds > seconds / 20:
        found |= made_again(subject, 2 * seconds)
    return found


def _of_sampler(subject: Subject, sampler: Any) -> list[Line]:
    """The costliest line of a sampler of the user's, or where one of a library's is made."""
    loader: Any = subject.loader
    until = clock.perf_counter() + TRACED
    with contextlib.suppress(*RAISED):
        seen = watch_lines(lambda _: next(iter(loader.batch_sampler), None), [0], until)
        return costliest(seen) or calls_of(type(sampler).__name__, users_modules(subject))
    return []


def _with_replacement(sampler: WeightedRandomSampler) -> float:
    """Seconds before the first index, of the same sampler that may draw one twice."""
    other = copy.copy(sampler)
    other.replacement = True
    begun = clock.perf_counter()
    next(iter(other), None)
    return clock.perf_counter() - begun


def _smaller_buffer(subject: Subject) -> dict[str, Any]:
    """The attribute of the stream that seems to hold the size of its buffer, a smaller size, and
    the seconds before the first sample with that; nothing where there is no such attribute."""
    for name, size in list((getattr(subject.dataset, "__dict__", None) or {}).items()):
        if type(size) is not int or size < LEAST_BUFFER or not BUFFER.search(name):
            continue
        other = copy.copy(subject.dataset)
        with contextlib.suppress(*RAISED):
            setattr(other, name, size // SMALLER)
            begun = clock.perf_counter()
            next(iter(other), None)
            taken = clock.perf_counter() - begun
            return {"name": name, "size": size, "smaller": size // SMALLER, "seconds": taken}
    return {}


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
