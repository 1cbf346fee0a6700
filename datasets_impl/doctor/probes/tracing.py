"""The lines of the user's that run while something is read, and those that change something."""

from __future__ import annotations

import contextlib
import math
import sys
from collections import Counter
from collections.abc import Callable, Sequence
from types import FrameType
from typing import Any

from datasets_impl.doctor.probes import clock
from datasets_impl.doctor.probes.own_lines import Watched, is_users
from datasets_impl.doctor.probes.source_lines import Line, line_at, puts_something

Place = tuple[str, int]
LOOPED = 8  # times that a line runs, to be the filling of a buffer


def lines_that_change(
    read: Callable[[], Any], state: Callable[[], Any], until: float
) -> list[Line]:
    """The lines after which `state` was another, in their order."""
    held, found = state(), dict[Place, None]()

    def after(place: Place) -> None:
        nonlocal held
        now = state()
        if now != held:
            held = now
            found[place] = None

    _trace(read, until, after=after)
    return [line_at(*place) for place in found]


def lines_apart(
    some: Sequence[Callable[[], Any]], others: Sequence[Callable[[], Any]], until: float
) -> list[Line]:
    """The lines that most of `some` run and none of the others, in their order; none where there
    was no time to read them all."""
    runs = [_run(read, until) for read in some if clock.perf_counter() < until]
    usual = {place for read in others if clock.perf_counter() < until
             for place in _run(read, until)}  # fmt: skip
    if clock.perf_counter() > until:
        return []
    times = Counter(place for run in runs for place in run)
    return [line_at(*place) for place, count in times.items()
            if 2 * count > len(runs) and place not in usual]  # fmt: skip


def _run(read: Callable[[], Any], until: float) -> dict[Place, None]:
    found = dict[Place, None]()
    _trace(read, until, before=found.setdefault)
    return found


def _trace(
    read: Callable[[], Any],
    until: float,
    before: Callable[[Place], object] = lambda _: None,
    after: Callable[[Place], object] = lambda _: None,
) -> None:
    """Reads, and tells of each line of the user's before and after it runs."""
    begun: dict[FrameType, int] = {}

    def trace(frame: FrameType, event: str, _: Any) -> Any:
        file = frame.f_code.co_filename
        if not is_users(file) or clock.perf_counter() > until:
            return None
        if event in ("line", "return"):
            if line := begun.pop(frame, 0):
                after((file, line))
            if event == "line":
                begun[frame] = frame.f_lineno
                before((file, frame.f_lineno))
        return trace

    outer = sys.gettrace()
    sys.settrace(trace)
    try:
        read()
    finally:
        sys.settrace(outer)


def costliest(seen: Watched) -> list[Line]:
    """The line that took most of the time, without what other lines of the user's took of it."""
    spent = Counter[Place]()
    for (file, *_), own in seen.own.items():
        for line, items in own.lines.items():
            spent[file, line] += sum(items.values())  # type: ignore[assignment]
    for ((file, *_), called), calls in seen.calls.items():
        if not isinstance(called, str) and is_users(called[0]):
            continue
        for line, items in calls.lines.items():
            spent[file, line] += sum(items.values())  # type: ignore[assignment]
    return [line_at(*place) for place, _ in spent.most_common(1)]


def filled_by(read: Callable[[], Any], until: float) -> list[Line]:
    """The line of a loop that puts something into a container; none where there are several.

    What is read is left where it stands at `until`, as by Ctrl-C.
    """
    times = Counter[Place]()

    def count(place: Place) -> None:
        times[place] += 1
        if clock.perf_counter() > until:
            raise _Enough

    with contextlib.suppress(_Enough):
        _trace(read, math.inf, before=count)
    looped = [place for place, count in times.items() if count >= LOOPED]
    found = [place for place in looped if puts_something(*place)]
    return [line_at(*found[0])] if len(found) == 1 else []


class _Enough(BaseException):
    pass
