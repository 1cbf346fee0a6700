"""Where the time of an item goes: a deterministic profile, corrected by a run without it.

The profiler (cProfile) sees every function, those written in C as well, and slows Python down while
it looks; what C functions take stays true. So the time that Python itself takes is what the same
items took without the profiler, less what the C functions took with it. Time of functions that no
rule knows goes to the causes of their callers, in the proportion in which these called them.
"""

from __future__ import annotations

import cProfile
import gc
import resource
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from itertools import chain
from math import inf
from statistics import fmean
from typing import Any

from datasets_impl.doctor.probes import clock
from datasets_impl.doctor.probes.causes import Cause
from datasets_impl.doctor.probes.own_lines import watch_lines
from datasets_impl.doctor.probes.profile import Attribution, Line, Profile
from datasets_impl.doctor.probes.statements import (
    COPIES,
    KIND,
    LEAST_TIMES,
    UNSEEN,
    grown_at,
    unseen_at,
)
from datasets_impl.doctor.probes.thresholds import LOOPED

LEAST_SEEN = 0.1  # seconds: what takes the processor away once must not look like a cause
MOST_ROUNDS = 1000
SAME_QUEUE = 0.05  # share of the time
DISTURBED = 3.0  # times as long as another pass with the profiler
BUSY = 0.1  # share of the time in the queue for a processor
LATE = 8  # times that a moment is asked for
LEAST_HIDDEN = 0.1  # share of the time, for waiting that no function tells to be believed
HIDING = ("waiting", "reading", "opening", "listing", "writing", "connecting",
          "running another program", "asking another process")  # that may be blocked  # fmt: skip
# Which say nothing of single numbers -> seconds of a line that is begun again and again.
ASKED_FOR_ONE = {("converting", "transforming"): 30e-6, ("reading",): 3e-6}
LINES_OF, LINES_SECONDS = 8, 2.0  # items and seconds under the slow hooks, at most
LEAST_LINES = 0.3  # seconds, for them to be read at all
LINES_TIMES = 40.0  # times that an item takes without hooks, within which one is read under them
SCHEDULED, MOST_TOLD = "/proc/thread-self/schedstat", 256  # bytes
MOST_QUEUED = 0.8  # share of the time in the queue, for which lines are given more of it


def attribute(get: Callable[[Any], Any], inputs: Sequence[Any], rounds: int = 2) -> Attribution:
    """Profile `get` over `inputs`, in turns with runs without the profiler."""

    def plainly() -> Pass:
        with clocked() as taken:
            for value in inputs:
                get(value)
        return taken

    plainly()  # caches are warm from here on
    return in_turns(get, inputs, plainly, rounds)


def in_turns(
    get: Callable[[Any], Any],
    inputs: Sequence[Any],
    plainly: Callable[[], Pass],
    rounds: int,
    until: float = inf,
) -> Attribution:
    """Profile `get` over `inputs` between passes of the same without the profiler.

    So many `rounds`, and more of quick items until enough was seen of them. Turns, since a
    neighbour that takes the processor for a second must not lengthen one side only. From `until`
    on, by the clock, no pass is begun and no item more is read than has to be: one, or of quick
    ones as many as `LEAST_SEEN` has room for.
    """
    passes, looks = list[Pass](), list[Look]()
    with emptied_quickly() as oldest:
        while len(passes) < rounds or _seconds(passes, looks) < LEAST_SEEN:
            if passes and (clock.perf_counter() > until or len(passes) >= MOST_ROUNDS):
                break
            # Else the collector of garbage may come into every pass of one side and into none of
            # the other. Quick items, of which there are many rounds, hardly call it.
            first = len(passes) < rounds
            if first:
                gc.collect(oldest)
            passes.append(plainly())
            if first:
                gc.collect(oldest)
            looks.append(looked(get, inputs, until))
    looks = undisturbed(looks)
    queued = fmean(look.taken.queued for look in looks)
    # What disturbs a pass (a collector of garbage, a machine that stands still) makes it longer.
    least = min(calm(passes), key=lambda one: one.wall)
    plain, blocked = least.wall / len(inputs), least.blocked / len(inputs)
    paged = sum(one.major_faults for one in passes) > 0.1 * len(passes) * len(inputs)
    # On a busy machine a sleep ends late: to the profiler it is longer than it was meant to be.
    longest = blocked if queued > BUSY else inf
    now = clock.perf_counter()
    left = min(LINES_SECONDS, max(until - now, LINES_TIMES * plain, LEAST_LINES))
    left /= 1 - min(MOST_QUEUED, queued)  # of the clock, in which less is done
    watched = watch_lines(get, inputs[:LINES_OF], now + left)
    # So do those with it: as many items are counted as there would be if all were that quick.
    quickest = min(look.taken.wall / look.items for look in looks)
    walls, items = sum(look.taken.wall for look in looks), sum(look.items for look in looks)
    profiled = (walls / quickest if quickest else items) / (1 - min(0.99, queued))
    profile = Profile(chain.from_iterable(look.stats for look in looks), plain, profiled, blocked)
    found = profile.attributed(longest, watched)
    return _looped(_by_text(_with_hidden(found, blocked, "reading" if paged else "waiting")))


@dataclass
class Look:
    """What the profiler saw of the first so many items, and what that took."""

    taken: Pass
    stats: Sequence[Any]
    items: int


def _seconds(passes: Sequence[Pass], looks: Sequence[Look]) -> float:
    """That were seen of the items, and of nothing else."""
    plain = sum(one.wall + one.beside for one in passes)
    return plain + sum(look.taken.wall for look in undisturbed(looks))


def undisturbed(looks: Sequence[Look]) -> list[Look]:
    """Those that took no many times as long as another: whatever came in between fell upon one
    function, which would look like the cause."""
    least = min(look.taken.whole / look.items for look in looks)
    return [look for look in looks if look.taken.whole / look.items <= DISTURBED * least]


def looked(get: Callable[[Any], Any], inputs: Sequence[Any], until: float) -> Look:
    profiler, items = cProfile.Profile(), 0
    enough = max(until, clock.perf_counter() + LEAST_SEEN)  # the first item finds caches cold
    with clocked() as taken:
        profiler.enable()
        try:
            for value in inputs:
                get(value)
                items += 1
                if clock.perf_counter() > enough:
                    break
        finally:
            profiler.disable()
    return Look(taken, profiler.getstats(), items)


@contextmanager
def emptied_quickly() -> Iterator[int]:
    """Gives the oldest generation of garbage to collect, so that this takes no longer than what was
    made since; else the collector walks over all that the program holds, which may be millions of a
    dataset's records. What the program has put out of its sight itself stays there, and then the
    old ones are left alone."""
    own = gc.get_freeze_count() == 0
    if own:
        gc.freeze()
    try:
        yield 2 if own else 1
    finally:
        if own:
            gc.unfreeze()


@dataclass
class Pass:
    """A run over all inputs: seconds, but for those that it stood in the queue for a processor
    (`queued`, of all: a share), those in which nothing ran, and pages fetched from a disk; the
    seconds that a loader takes beside its items; and `whole`, all by the clock."""

    whole: float = 0.0
    wall: float = 0.0
    beside: float = 0.0
    queued: float = 0.0
    blocked: float = 0.0
    major_faults: int = 0


def calm(passes: Sequence[Pass]) -> list[Pass]:
    """Those that stood in the queue for the least share, about. It is told of a pass as a whole;
    where it fell upon a part of one, that part was shortened by too much or by too little."""
    least = min(one.queued for one in passes)
    return [one for one in passes if one.queued <= least + SAME_QUEUE]


@contextmanager
def clocked() -> Iterator[Pass]:
    """Fills in a `Pass`. Blocked is what neither ran nor stood in the queue for a processor."""
    taken = Pass()
    faults = _faults()
    begun = _now()
    yield taken
    whole, ran, queued, here = (after - before for after, before in zip(_now(), begun, strict=True))
    # Of a short pass the kernel may tell more waiting than it had room for beside what it ran.
    queued = max(0.0, min(queued, whole - here))
    taken.whole = whole
    taken.queued = min(1.0, queued / whole) if whole else 0.0
    taken.wall = whole * (1 - taken.queued)
    taken.blocked = max(0.0, whole - ran - queued)
    taken.major_faults = _faults() - faults


def _now() -> tuple[float, float, float, float]:
    """Seconds of the clock, of this process, in the queue and of this thread; all of one moment,
    since another process may come in between two of them and take longer than all that is
    measured."""
    for _ in range(LATE):
        queued = queue_seconds()
        found = clock.perf_counter(), clock.process_time(), queued, clock.thread_time()
        if queue_seconds() == queued:
            break
    return found


def queue_seconds() -> float:
    """Seconds that this thread could have run and had no processor; 0 where it is not told."""
    try:
        with open(SCHEDULED, "rb", buffering=0) as told:  # noqa: PTH123 - asked often, and quicker
            return int(told.read(MOST_TOLD).split()[1]) * 1e-9
    except (OSError, IndexError, ValueError):
        return 0.0


def _faults() -> int:
    return resource.getrusage(resource.RUSAGE_SELF).ru_majflt


def _by_text(found: Attribution) -> Attribution:
    """What a line that adds to an array takes in a loop is for copying it again and again; and what
    no function accounts for, for what its text asks for."""
    for kind in dict.fromkeys(UNSEEN.values()):
        named = {(one.file, one.line) for one in found.lines
                 if unseen_at(one.file).get(one.line) == kind}  # fmt: skip
        found = _all_moved(found, ("python",), kind, named)
    grown = {(one.file, one.line) for one in found.lines
             if one.times >= LEAST_TIMES and one.line in grown_at(one.file)}  # fmt: skip
    return _all_moved(found, COPIES, KIND, grown)


def _looped(found: Attribution) -> Attribution:
    """What quick calls take in a line that is begun again and again is Python's own time: a library
    is asked for one number at a time."""
    for causes, quick in ASKED_FOR_ONE.items():
        looped = {(one.file, one.line) for one in found.lines
                  if one.times >= LOOPED and one.seconds < quick * one.times}  # fmt: skip
        found = _all_moved(found, causes, "python", looped)
    return found


def _all_moved(
    found: Attribution, these: Sequence[Cause], to: Cause, wanted: set[tuple[str, int]]
) -> Attribution:
    """What the wanted lines take by these causes, and all takes for them, is by another."""
    causes, lines = dict(found.causes), []
    for line in found.lines:
        if (line.file, line.line) in wanted:
            for cause in these:
                part = min(line.causes.get(cause, 0.0), causes.get(cause, 0.0))
                if part > 0 and cause != to:
                    causes[cause] -= part
                    causes[to] = causes.get(to, 0.0) + part
            line = _moved(line, {one: 1.0 for one in these if one != to}, to)
        lines.append(line)
    return replace(found, causes=causes, lines=lines)


def _with_hidden(found: Attribution, blocked: float, cause: Cause) -> Attribution:
    """Waiting that the profiler does not see (`with lock:`, pages of a mapped file).

    It hides in what nothing accounts for, in Python's own time and in copies of arrays.
    """
    told = sum(found.causes.get(one, 0.0) for one in HIDING)
    hidden = blocked - told
    if hidden < LEAST_HIDDEN * found.total:
        return found
    causes, moved = dict(found.causes), dict[Cause, float]()
    part = min(hidden, max(0.0, found.unattributed))
    causes[cause] = causes.get(cause, 0.0) + part
    hidden -= part
    for place in ("python", "converting"):
        part = min(hidden, causes.get(place, 0.0))
        if part > 0:
            moved[place] = part / causes[place]
            causes[place] -= part
            causes[cause] = causes.get(cause, 0.0) + part
            hidden -= part
    moved_lines = [_moved(one, moved, cause) for one in found.lines]
    return replace(found, causes=causes, lines=moved_lines)


def _moved(line: Line, shares: dict[Cause, float], to: Cause) -> Line:
    causes = dict(line.causes)
    for cause, share in shares.items():
        part = share * causes.get(cause, 0.0)
        if part:
            causes[cause] -= part
            causes[to] = causes.get(to, 0.0) + part
    return replace(line, causes=causes)
