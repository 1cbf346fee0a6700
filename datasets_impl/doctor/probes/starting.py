"""What comes before the first batch: making the dataset and its loader, and the sampler's start."""

from __future__ import annotations

import contextlib
import copy
import re
import sys
from collections.abc import Callable
from itertools import islice
from pathlib import Path
from typing import Any

from torch.utils.data import WeightedRandomSampler

from datasets_impl.doctor.probes import clock
from datasets_impl.doctor.probes.callees import users_modules
from datasets_impl.doctor.probes.epochs import attribute
from datasets_impl.doctor.probes.loaders import batch_size_of
from datasets_impl.doctor.probes.making import made_again
from datasets_impl.doctor.probes.orders import drawn_alike, is_empty_again, order_of, own_sampler
from datasets_impl.doctor.probes.own_lines import watch_lines
from datasets_impl.doctor.probes.patience import patience
from datasets_impl.doctor.probes.raised import RAISED
from datasets_impl.doctor.probes.source_lines import Line, calls_of, of_function
from datasets_impl.doctor.probes.target import Subject
from datasets_impl.doctor.probes.thresholds import LEAST_OF_BATCH
from datasets_impl.doctor.probes.tracing import costliest, filled_by

LEAST = 0.05  # seconds that a line is looked for behind
BATCHES = 16  # that a sampler is timed over
TRACED = 5.0  # seconds of a sampler that is followed line by line
BUFFER = re.compile(r"buffer|shuffle|reservoir", re.IGNORECASE)  # attributes that hold its size
LEAST_BUFFER, SMALLER = 16, 8  # samples; and times as small is the one that is tried


def starting(
    subject: Subject, seconds: float, note: Callable[[dict[str, Any]], object] = lambda _: None
) -> dict[str, Any]:
    """Seconds until the sampler gives its first batch and for each later one, and of making
    everything once more, with the samples that this reads. A first time may have built files that
    are there now; where it writes any, it is made no second time. What is
    known before more is tried is noted: that may take too long.
    """
    found: dict[str, Any] = {"made": subject.made_seconds, "loader_lines": loader_lines(subject)}
    loader = subject.loader
    if loader is not None and not subject.iterable and loader.batch_sampler is not None:
        sampler, batched = own_sampler(loader)
        found["kind"] = type(loader.sampler if sampler is None else sampler).__name__
        with contextlib.suppress(*RAISED):
            with contextlib.suppress(*RAISED), patience(seconds):  # it does not say, or drains it
                found["batches"] = len(loader.batch_sampler)  # type: ignore[arg-type]
            if not subject.order.found:  # it is asked now, and may not answer in time
                note(found | {"sampler": seconds, "sampler_each": 0.0, "late": True,
                              "batch": batch_size_of(subject) or 1})  # fmt: skip
            found |= _asked(subject, seconds / 4)
            note(found)
            found["sampler_lines"] = _of_sampler(subject, sampler, found, seconds)
            again = found["sampler"] < seconds and not subject.order.late
            if sampler is not None and again:
                found["alike"] = drawn_alike(sampler, subject.order, batched, seconds / 4)
                with contextlib.suppress(*RAISED), patience(seconds):
                    found |= _once_only(sampler, subject, found["loader_lines"])
            weighted = isinstance(sampler, WeightedRandomSampler) and not sampler.replacement
            if weighted and again and found["sampler"] > LEAST:
                found["replacing"] = _with_replacement(sampler)
            note(found)
    first = subject.answers.get("look", {}).get("first", 0.0)
    if subject.iterable and first > LEAST:
        found["first_lines"] = _before_first(subject, first, seconds)
        found["buffer"] = _smaller_buffer(subject) if first < SMALLER * seconds else {}
    if subject.make is not None and subject.made_seconds > seconds / 20:
        found |= {"once": True} if subject.writes else made_again(subject, 2 * seconds)
    return found


def loader_lines(subject: Subject) -> list[Line]:
    """Where the user's loader is made, by the function that was named or else in its module."""
    if subject.loader is None:
        return []
    where, _, name = subject.name.rpartition(":")
    home = sys.modules.get(Path(where).stem if where.endswith(".py") else where)
    modules = dict.fromkeys([*([home] if home else []), *users_modules(subject)])
    return calls_of(type(subject.loader).__name__, modules, name)


def _asked(subject: Subject, seconds: float) -> dict[str, Any]:
    """Of batches, also where the sampler gives one index after the other."""
    loader: Any = subject.loader
    order, whole = subject.order, own_sampler(loader)[1]
    size = int(attribute(loader.batch_sampler, "batch_size", 0) or 0)
    if order.late:
        return {"sampler": order.first, "sampler_each": 0.0, "batch": size or 1, "late": True}
    if not order.found:
        order, whole = order_of(loader.batch_sampler, BATCHES, seconds), True
    if whole:
        size = sum(map(len, order.found)) // max(1, len(order.found))
        return {"sampler": order.first, "sampler_each": order.each, "batch": size or 1}
    first = order.first + order.each * (size - 1)
    return {"sampler": first, "sampler_each": order.each * size, "batch": size}


def _of_sampler(
    subject: Subject, sampler: Any, found: dict[str, Any], seconds: float
) -> list[Line]:
    """The costliest line of a sampler of the user's, or where one of a library's is made; of one
    that there is no time to ask again, where it begins."""
    loader: Any = subject.loader
    first, each = found["sampler"], found["sampler_each"]
    if first <= LEAST and each <= LEAST_OF_BATCH:
        return []
    batches = 1 if first > LEAST else max(1, min(BATCHES, int(seconds / 4 / each)))
    made = calls_of(type(sampler).__name__, users_modules(subject))
    if subject.order.late or first + each * (batches - 1) > seconds:
        return made if sampler is None else of_function(type(sampler).__iter__) or made
    until = clock.perf_counter() + min(TRACED, seconds)
    seen = watch_lines(lambda _: list(islice(loader.batch_sampler, batches)), [0], until)
    return costliest(seen) or made


def _once_only(sampler: Any, subject: Subject, made: list[Line]) -> dict[str, Any]:
    if not is_empty_again(sampler, subject.order):
        return {}
    return {
        "second_empty": type(sampler).__name__,
        "iter_lines": of_function(type(sampler).__iter__) or made,
    }


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
    for name, size in list((attribute(subject.dataset, "__dict__") or {}).items()):
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
