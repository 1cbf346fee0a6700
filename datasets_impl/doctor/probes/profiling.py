"""Where the time of a sample goes in one process: its items by the profiler, and collating."""

from __future__ import annotations

from typing import Any

from datasets_impl.doctor.probes import clock
from datasets_impl.doctor.probes.attribution import Attribution, Pass, clocked, in_turns
from datasets_impl.doctor.probes.loaders import (
    Part,
    Timed,
    collate_of,
    consume,
    opened,
    trial_batch_of,
)
from datasets_impl.doctor.probes.part import part_of
from datasets_impl.doctor.probes.target import Subject

ROUNDS = 3  # passes with and without the profiler


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
        "collating": min(collating),
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
