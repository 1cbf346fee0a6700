"""Work that is done again: what the user's code calls, with which arguments, and how much of what
comes of it a sample holds."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Callable, Sequence
from typing import Any

from datasets_impl.doctor.probes import clock
from datasets_impl.doctor.probes.archives import archives
from datasets_impl.doctor.probes.attribution import queue_seconds
from datasets_impl.doctor.probes.callees import Callee, callees
from datasets_impl.doctor.probes.calls import Seen
from datasets_impl.doctor.probes.generators import Instead, callee_of, standing_in
from datasets_impl.doctor.probes.own_lines import users_place
from datasets_impl.doctor.probes.queries import queries
from datasets_impl.doctor.probes.raised import RAISED
from datasets_impl.doctor.probes.reads import indices
from datasets_impl.doctor.probes.scattered import scattered
from datasets_impl.doctor.probes.searching import searched
from datasets_impl.doctor.probes.standing import (
    all_replaced,
    for_users,
)
from datasets_impl.doctor.probes.steps import steps
from datasets_impl.doctor.probes.target import Subject
from datasets_impl.doctor.probes.whole import gone_through

PLACES = 12  # spread over the dataset; at each of them two samples that follow each other
TIMED = (12, 4, 1)  # samples, to see which calls take time; so many as there is time for
LEAST_SHARE = 0.1  # of a sample's time, of a call that is looked at
LEAST = 1e-9  # seconds of a sample
LARGE = 1 << 20  # bytes of a result, from which on it is looked at whatever the time it takes


def repeats(subject: Subject, seconds: float) -> dict[str, Any]:
    """The functions that take the time of samples, the most costly first; queries that read whole
    tables, lists that are searched, and steps on more than a sample holds."""
    found: dict[str, Any] = {
        "calls": [], "queries": [], "archives": [], "searched": searched(subject), "steps": {},
        "whole": [], "scattered": scattered(subject),
    }  # fmt: skip
    if subject.iterable or not subject.count:
        return found
    found |= {"calls": calls(subject, 0.8 * seconds), "queries": queries(subject),
              "whole": gone_through(subject)}  # fmt: skip
    found["archives"] = archives(subject)
    return found | {"steps": steps(subject, clock.perf_counter() + 0.2 * seconds)}


def calls(subject: Subject, seconds: float) -> list[dict[str, Any]]:
    until = clock.perf_counter() + seconds
    chosen = side_by_side(subject, PLACES)
    few = next((one for one in TIMED if one * subject.cost < seconds / 4), TIMED[-1])
    whole, timed = _watched(subject, callees(subject), chosen[:few], until, compared=False)
    costly = [one for one in timed if _matters(one, whole)]
    found = [one.told(whole) for one in costly if one.calls and not one.callee.replaceable]
    compared = [one.callee for one in costly if one.callee.replaceable]
    if compared:
        whole, seen = _watched(subject, compared, chosen, until, compared=True)
        found += [one.told(whole) for one in seen if one.calls and _matters(one, whole)]
    return sorted(found, key=lambda one: -one["share"])


def _matters(one: Seen, whole: Sequence[float]) -> bool:
    return one.share(whole) > LEAST_SHARE or one.most > LARGE


def side_by_side(subject: Subject, places: int) -> list[int]:
    """Samples at places spread over the dataset, each with the one that follows it: two of these
    may come from one file, where the dataset has many."""
    found = []
    for index in indices(subject, places):
        found += [index, index + 1] if index + 1 < subject.count else [index]
    return [index for index in dict.fromkeys(found) if index not in subject.avoid]


def _watched(
    subject: Subject, looked_at: Sequence[Callee], chosen: Sequence[int], until: float,
    compared: bool,
) -> tuple[list[float], list[Seen]]:  # fmt: skip
    """Seconds of each sample, and what was called meanwhile."""
    seen = [Seen(one) for one in looked_at]
    reading: list[int] = [0]
    apart = [0.0]  # seconds of comparing
    pairs: list[Any] = [(one.callee, _noting(one, reading, apart, compared)) for one in seen]
    if not compared:
        pairs += standing_in(subject, _noting_draws(seen, reading))
    whole: list[float] = []
    with all_replaced(pairs):
        for number, index in enumerate(chosen):
            reading[0], apart[0] = number, 0.0
            begun, queued = clock.perf_counter(), queue_seconds()
            with contextlib.suppress(*RAISED):
                subject.read(index)
            queued = queue_seconds() - queued  # another program ran meanwhile
            whole.append(max(LEAST, clock.perf_counter() - begun - apart[0] - queued))
            if clock.perf_counter() > until and number:
                break
    return whole, seen


def _noting(
    seen: Seen, reading: list[int], apart: list[float], compared: bool
) -> Callable[..., Any]:
    original = seen.callee.function

    def noting(*arguments: Any, **options: Any) -> Any:
        frame = sys._getframe(2)  # behind `for_users`
        before, begun = apart[0], clock.perf_counter()
        result = original(*arguments, **options)
        ended = clock.perf_counter()
        place = frame.f_code.co_filename, frame.f_lineno
        seen.note(reading[0], place, ended - begun - apart[0] + before, result)
        if compared:
            queued = queue_seconds()
            with contextlib.suppress(*RAISED):
                if seen.callee.makes:
                    seen.compare(reading[0], arguments[1:], options, vars(arguments[0]))
                else:
                    seen.compare(reading[0], arguments, options, result)
            apart[0] += clock.perf_counter() - ended - (queue_seconds() - queued)
        return result

    return for_users(seen.callee, noting)


def _noting_draws(seen: list[Seen], reading: list[int]) -> Instead:
    """Adds to `seen` what generators of NumPy are asked for."""
    known: dict[str, Seen] = {}

    def instead(generator: Any, name: str, method: Callable[..., Any]) -> Callable[..., Any]:
        callee = callee_of(generator, name)
        if callee.full_name not in known:
            seen.append(known.setdefault(callee.full_name, Seen(callee, differs=True)))
        one = known[callee.full_name]

        def noting(*arguments: Any, **options: Any) -> Any:
            begun = clock.perf_counter()
            result = method(*arguments, **options)
            one.note(reading[0], users_place(), clock.perf_counter() - begun, result)
            return result

        return noting

    return instead
