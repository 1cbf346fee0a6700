"""Probes of the loader around the dataset: collating, starting, handing over, and memory."""

from __future__ import annotations

import contextlib
import copy
import gc
from dataclasses import replace
from typing import Any

from datasets_impl.doctor import clock
from datasets_impl.doctor.attribution import Attribution, Pass, clocked, in_turns
from datasets_impl.doctor.finding import LEAST_GROWTH, LEAST_LEAK
from datasets_impl.doctor.loaders import (
    LEAST_BATCHES,
    Part,
    Same,
    Timed,
    affordable,
    collate_of,
    consume,
    opened,
    trial_batch_of,
)
from datasets_impl.doctor.probes import indices, seconds_of_items
from datasets_impl.doctor.raised import RAISED
from datasets_impl.doctor.room import at_once
from datasets_impl.doctor.static import BIG, open_handles
from datasets_impl.doctor.stored import Packed
from datasets_impl.doctor.target import Subject
from datasets_impl.errors import Unsupported
from datasets_impl.observe.memory import process_memory

WORKERS = 2  # where the user has none, for what only workers show
MOST_BATCHES = 512  # in a part
ROUNDS = 3  # passes with and without the profiler
LEAST_PICKLED = 200  # bytes of an object
SLOW = 8  # reads that find out how long a part takes


def part_of(subject: Subject, seconds: float) -> list[int]:
    """Indices whose samples take about `seconds` to read and collate, whole batches of them.

    Fewer than `LEAST_BATCHES` only where samples are so slow that these would take longer; of slow
    samples none is read to find out.
    """
    some = indices(subject, 64)
    if subject.cost > seconds / SLOW:
        return indices(subject, max(1, int(seconds / subject.cost)))
    known = seconds_of_items(subject, some[:: max(1, len(some) // 4)])
    batch = trial_batch_of(subject) or 1
    each = max(1e-6, sum(known) / max(1, len(known)) + _collating(subject, some, min(batch, 4)))
    least = min(LEAST_BATCHES * batch, 1.5 * seconds / each)
    count = int(min(MOST_BATCHES * batch, affordable(subject), max(least, seconds / each, 2)))
    begun = clock.perf_counter()
    chosen = [index for index in indices(subject, count) if _readable(subject, index)]
    # A few that are far slower than those that were timed must not take all the time there is.
    times = (clock.perf_counter() - begun) / (3 * seconds)
    return chosen[:: int(min(times, len(chosen) / 2)) or 1] if times > 1 else chosen


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
    begun = clock.perf_counter()
    with contextlib.suppress(*RAISED):
        collate(held)
    return (clock.perf_counter() - begun) / len(held)


def causes(subject: Subject, seconds: float) -> dict[str, Any]:
    """Where the time of a sample goes in one process; seconds, see `attribution`.

    An epoch of a loader without workers, in turns with the same items under the profiler.
    """
    if subject.iterable:
        return _causes_of_iterated(subject, seconds) | {"collating": 0.0}
    chosen = part_of(subject, seconds / 12) if subject.length else []
    if not chosen:
        return {}
    # Passes over the part beside reading it for the first time.
    passes = seconds / (max(subject.cost, 1e-6) * len(chosen)) - 1
    some = [subject.read(index) for index in chosen[: trial_batch_of(subject) or 1]]
    collate, unfit = collate_of(subject, some)
    timed = Timed(Part(subject, chosen))
    collating: list[float] = []
    with opened(subject, timed, 0, collate) as loader:

        def epoch() -> Pass:
            timed.seconds = 0.0
            with clocked() as taken:
                whole = consume(loader)
            own = 1 - taken.queued
            collating.append(own * max(0.0, whole - timed.seconds) / len(chosen))
            taken.wall = own * timed.seconds
            return taken

        if passes > 3:
            epoch()  # caches are warm from here on
            collating.clear()
        found = in_turns(subject.read, chosen, epoch, int(min(ROUNDS, max(1, passes / 3))))
    return _told(found) | {
        "collating": sum(collating) / len(collating),
        "not_collated": unfit,
        "samples": len(chosen),
    }


def _causes_of_iterated(subject: Subject, seconds: float) -> dict[str, Any]:
    """The same of as many samples as can be iterated in the time, from the start."""
    until, count = clock.perf_counter() + seconds / 8, 0
    for _ in iter(subject.dataset):
        count += 1
        if clock.perf_counter() > until:
            break
    if not count:
        return {}
    arriving: list[Any] = [iter(subject.dataset)]

    def epoch() -> Pass:
        arriving[0] = iter(subject.dataset)
        with clocked() as taken:
            for _ in range(count):
                next(arriving[0])
        arriving[0] = iter(subject.dataset)
        return taken

    return _told(in_turns(lambda _: next(arriving[0]), range(count), epoch, ROUNDS))


def _told(found: Attribution) -> dict[str, Any]:
    return {
        "total": found.total,
        "causes": found.causes,
        "places": [[p.file, p.line, p.function, p.seconds] for p in found.places[:8]],
    }


def batches(subject: Subject, seconds: float) -> dict[str, Any]:
    """Seconds that a sample takes from a worker to the trainer, and that a start of workers takes.

    Of an iterable dataset only that it is one.
    """
    if subject.iterable or not subject.length:
        return {"iterable": True}
    chosen = part_of(subject, seconds / 12)
    if not chosen:
        return {}
    part = Part(subject, chosen)
    # A batch of slow samples would take the time that there is: the start is told from fewer.
    most = int(max(1, seconds / 4 / max(1e-6, subject.cost)))
    some = [part[i] for i in range(min(len(part), trial_batch_of(subject) or 1, most))]
    collate, _ = collate_of(subject, some)
    found: dict[str, Any] = {"samples": len(part)}
    if subject.workers or (seconds > 4 and not open_handles(subject)):
        found |= _hand_over(subject, some[0], collate, seconds / 6)
        found |= _start(subject, part, collate, len(some))
    return found


def _hand_over(subject: Subject, sample: Any, collate: Any, seconds: float) -> dict[str, Any]:
    """Seconds that a sample takes from a worker to the trainer, beyond being collated."""
    batch = trial_batch_of(subject, 1) or 1
    with opened(subject, Same(sample, batch), 0, collate, batch_size=batch) as loader:
        consume(loader)
        inside = consume(loader) / batch
    # A slow collate function would fill the time by itself.
    count = batch * int(max(2, min(32, seconds / 3 / max(1e-9, inside * batch))))
    same = Same(sample, count)
    with opened(subject, same, 1, collate) as loader:
        consume(loader)
        taken, until = [consume(loader)], clock.perf_counter() + seconds
        while clock.perf_counter() < until and len(taken) < 5:
            taken.append(consume(loader))
    return {"hand_over": max(0.0, min(taken) / count - inside)}


def _start(subject: Subject, part: Part, collate: Any, few: int) -> dict[str, Any]:
    """Seconds until the first batch of workers that are started for it, and what of them is not
    its own `few` samples'."""
    workers = subject.workers or WORKERS
    batch = trial_batch_of(subject) or 1
    begun = clock.perf_counter()
    for index in range(few):
        part[index]
    own = clock.perf_counter() - begun
    with opened(subject, part, workers, collate, batch_size=few) as loader:
        begun = clock.perf_counter()
        next(iter(loader))
        first = clock.perf_counter() - begun
    more = max(0, min(batch, subject.length or batch) - few)  # samples of a whole batch
    return {
        "start_workers": workers,
        "first_batch": first + own / few * more,
        "starting": max(0.0, first - own),
    }


def growth(subject: Subject, seconds: float) -> dict[str, Any]:
    """Private memory of a worker after two batches, and after each of a few epochs; bytes.

    A copy of what the trainer holds, made by counting references, shows as growth that follows the
    samples read; a leak as growth that goes on when the same samples are read again.
    """
    if subject.iterable or not subject.length or (not subject.workers and open_handles(subject)):
        return {}
    chosen = part_of(subject, seconds / 8)
    if not chosen:
        return {}
    part = Part(subject, chosen)
    some = [part[i] for i in range(min(len(part), trial_batch_of(subject) or 1))]
    collate, _ = collate_of(subject, some)
    workers = subject.workers or WORKERS
    few = Part(subject, chosen[: 2 * workers * (trial_batch_of(subject, workers) or 1)])
    gc.collect()
    try:
        (begun,) = _private(subject, few, workers, collate, 0.0, 1)
        seen = _private(subject, part, workers, collate, seconds * 0.6, 4)
    except Unsupported as reason:
        return {"unsupported": str(reason)}
    found = {
        "few": begun, "private": seen, "samples": len(part) - len(few), "of": subject.length,
        "workers": workers,
    }  # fmt: skip
    packed = _with_packed_list(subject) if seen[0] - begun > LEAST_GROWTH else None
    if packed is not None:
        few, part = (Part(packed, one.indices, one.count) for one in (few, part))
        (begun,) = _private(packed, few, workers, collate, 0.0, 1)
        found["packed"] = _private(packed, part, workers, collate, 0.0, 1)[0] - begun
    return found


def _with_packed_list(subject: Subject) -> Subject | None:
    """A copy of the dataset whose largest list is one array; None where it has no such list."""
    held = getattr(subject.dataset, "__dict__", {})
    lists = {name: one for name, one in held.items() if isinstance(one, list) and len(one) >= BIG}
    if not lists:
        return None
    name = max(lists, key=lambda one: len(lists[one]))
    if len(lists[name]) * LEAST_PICKLED > at_once():
        return None
    other = copy.copy(subject.dataset)
    try:
        setattr(other, name, Packed(lists[name]))
    except RAISED:  # objects that cannot be pickled stay as they are
        return None
    return replace(subject, dataset=other)


def _private(
    subject: Subject, part: Part, workers: int, collate: Any, seconds: float, most: int
) -> list[int]:
    """Bytes that the largest worker has alone after each epoch: two at least, and where it grew one
    more, whatever the time."""
    found: list[int] = []
    with opened(subject, part, workers, collate) as loader:
        until = clock.perf_counter() + seconds
        while len(found) < most and (clock.perf_counter() < until or _too_few(found)):
            consume(loader)
            alive = loader._iterator._workers  # type: ignore[union-attr]
            found.append(max(process_memory(worker.pid).private for worker in alive))
    return found


def _too_few(found: list[int]) -> bool:
    return len(found) < 2 or (len(found) < 3 and found[1] - found[0] >= LEAST_LEAK)
