"""The part of a dataset that a probe can read in its time."""

from __future__ import annotations

import contextlib
import random

from torch.utils.data import SequentialSampler

from datasets_impl.doctor.probes import clock
from datasets_impl.doctor.probes.loaders import (
    LEAST_BATCHES,
    affordable,
    collate_of,
    trial_batch_of,
)
from datasets_impl.doctor.probes.raised import RAISED
from datasets_impl.doctor.probes.reads import indices, seconds_of_items
from datasets_impl.doctor.probes.samples import copied
from datasets_impl.doctor.probes.target import Subject

MOST_BATCHES = 512  # in a part
SLOW = 8  # reads that find out how long a part takes
FAR = 4  # times as many as the few that were timed first seemed to allow


def part_of(subject: Subject, seconds: float) -> list[int]:
    """Indices whose samples take about `seconds` to read and collate, whole batches of them; mixed,
    but for a loader that asks for them in order: the first of them tell of all.

    Fewer than `LEAST_BATCHES` only where samples are so slow that these would take longer; of slow
    samples none is read to find out.
    """
    chosen = _part_of(subject, seconds)
    in_order = subject.keys or isinstance(
        getattr(subject.loader, "sampler", None), SequentialSampler
    )
    return chosen if in_order else random.Random(0).sample(chosen, len(chosen))


def _part_of(subject: Subject, seconds: float) -> list[int]:
    some = indices(subject, 64)
    if subject.cost > seconds / SLOW:
        return indices(subject, max(1, int(seconds / subject.cost)))
    known = seconds_of_items(subject, some[:: max(1, len(some) // 4)])
    batch = trial_batch_of(subject) or 1
    collating = _collating(subject, some, min(batch, 4))
    most = min(MOST_BATCHES * batch, affordable(subject))

    def count_of(each: float) -> int:
        each = max(1e-6, each + collating)
        least = min(LEAST_BATCHES * batch, 1.5 * seconds / each)
        return int(min(most, max(least, seconds / each, 2)))

    count = count_of(sum(known) / max(1, len(known)))
    chosen, took = _readable_of(subject, count)
    enough = count_of(took / count)
    if enough > FAR * count:  # while the few were timed, other programs had the processor
        chosen, took = _readable_of(subject, enough)
    # A few that are far slower than those that were timed must not take all the time there is.
    times = took / (3 * seconds)
    return chosen[:: int(min(times, len(chosen) / 2)) or 1] if times > 1 else chosen


def _readable_of(subject: Subject, count: int) -> tuple[list[int], float]:
    """About so many indices, and the seconds that reading them took."""
    begun = clock.perf_counter()
    chosen = [index for index in indices(subject, count) if _readable(subject, index)]
    return chosen, clock.perf_counter() - begun


def _readable(subject: Subject, index: int) -> bool:
    """Neither raises nor is None, which a collate function may leave out."""
    try:
        return subject.read(index) is not None
    except RAISED:
        return False


def _collating(subject: Subject, some: list[int], count: int) -> float:
    """Seconds that a sample takes in the collate function, about."""
    held = []
    for index in some[:count]:
        with contextlib.suppress(*RAISED):
            held.append(subject.read(index))
    if not held:
        return 0.0
    collate, _ = collate_of(subject, held)  # also the first call, which is slower
    found = []
    for _ in range(2):  # other programs have the processor at times
        given = copied(held)
        begun = clock.perf_counter()
        with contextlib.suppress(*RAISED):
            collate(given)
        found.append((clock.perf_counter() - begun) / len(held))
    return min(found)
