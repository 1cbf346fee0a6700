"""Where the time of a sample goes in one process: its items by the profiler, and collating."""

from __future__ import annotations

import contextlib
import linecache
from dataclasses import replace
from typing import Any

from datasets_impl.doctor.probes import clock
from datasets_impl.doctor.probes.attribution import (
    LEAST_LINES,
    Pass,
    attribute,
    calm,
    clocked,
    in_turns,
)
from datasets_impl.doctor.probes.loaders import (
    Part,
    Timed,
    collate_of,
    consume,
    opened,
    trial_batch_of,
)
from datasets_impl.doctor.probes.own_lines import is_users
from datasets_impl.doctor.probes.part import part_of
from datasets_impl.doctor.probes.profile import Attribution, Line
from datasets_impl.doctor.probes.raised import RAISED
from datasets_impl.doctor.probes.samples import copied
from datasets_impl.doctor.probes.source_lines import of_function
from datasets_impl.doctor.probes.target import Subject

ROUNDS = 3  # passes with and without the profiler
PASSES_OF_COLLATE = 40  # that its lines take, with the slow hooks
FEWEST = 2  # samples of a batch of which the lines of a costly one are told
MOST_LINES, LONGEST = 20, 120  # lines of the user's, and characters of one


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
    until = clock.perf_counter() + 0.7 * seconds  # the profiler may make items far slower
    some = [subject.read(index) for index in chosen[: trial_batch_of(subject) or 1]]
    collate, unfit = collate_of(subject, some)
    timed = Timed(Part(subject, chosen))
    epochs: list[Pass] = []
    with opened(subject, timed, 0, collate) as loader:

        def epoch() -> Pass:
            timed.seconds = 0.0
            with clocked() as taken:
                whole = consume(loader)
            own = 1 - taken.queued
            taken.beside = own * max(0.0, whole - timed.seconds)
            taken.wall = own * timed.seconds
            epochs.append(taken)
            return taken

        if passes > 3:
            epoch()  # caches are warm from here on
            epochs.clear()
        rounds = int(min(ROUNDS, max(1, passes / 3)))
        found = in_turns(subject.read, chosen, epoch, rounds, until)
    collating = min(one.beside for one in calm(epochs)) / len(chosen)
    lines = _of_collate(collate, some, collating, until)
    return _told(replace(found, lines=sorted([*found.lines, *lines], key=_dearest))) | {
        "collating": collating,
        "not_collated": unfit,
        "samples": len(chosen),
    }


def _of_collate(collate: Any, some: list[Any], seconds: float, until: float) -> list[Line]:
    """The lines of the user's own collate function, and their part of these seconds of a sample."""
    function = getattr(collate, "func", collate)
    code = getattr(function, "__code__", None) or getattr(type(function).__call__, "__code__", None)
    left = max(LEAST_LINES, until - clock.perf_counter())
    if code is None or not is_users(code.co_filename):
        return []
    # The costlier it is, the fewer samples it is given: of these its lines are told as well.
    fit = int(left / max(1e-9, PASSES_OF_COLLATE * seconds))
    batches = [some[: max(FEWEST, fit)]] * (2 if fit >= FEWEST else 1)
    found = Attribution(0.0, {})
    with contextlib.suppress(*RAISED):  # it may take whole batches only
        found = attribute(lambda samples: collate(copied(list(samples))), batches, 1)
    part = seconds / max(1e-9, found.total)
    return [replace(one, causes={"collating": part * one.seconds}) for one in found.lines]


def _dearest(line: Line) -> float:
    return -line.seconds


def _causes_of_iterated(subject: Subject, seconds: float) -> dict[str, Any]:
    """The same of as many samples as can be iterated in the time, from the start."""
    begun, count = clock.perf_counter(), 0
    for _ in iter(subject.dataset):
        count += 1
        if clock.perf_counter() > begun + seconds / 8:
            break
    if not count:
        seen = subject.answers.get("look", {}).get("seen")
        lines = of_function(getattr(type(subject.dataset), "__iter__", None))
        return {"second_empty": True, "iter_lines": lines} if seen else {}
    arriving: list[Any] = [iter(subject.dataset)]

    def epoch() -> Pass:
        arriving[0] = iter(subject.dataset)
        with clocked() as taken:
            for _ in range(count):
                next(arriving[0])
        arriving[0] = iter(subject.dataset)
        return taken

    def get(_: int) -> Any:
        try:
            return next(arriving[0])
        except StopIteration:  # once more than was planned, for the lines
            arriving[0] = iter(subject.dataset)
            return next(arriving[0])

    return _told(in_turns(get, range(count), epoch, ROUNDS, begun + 0.7 * seconds))


def _told(found: Attribution) -> dict[str, Any]:
    return {
        "total": found.total,
        "causes": found.causes,
        "packages": found.packages,
        "lines": [
            {
                "file": one.file,
                "line": one.line,
                "function": one.function,
                "code": linecache.getline(one.file, one.line).strip()[:LONGEST],
                "causes": one.causes,
                "times": one.times,
            }
            for one in found.lines[:MOST_LINES]
            if one.seconds > 0
        ],
    }
