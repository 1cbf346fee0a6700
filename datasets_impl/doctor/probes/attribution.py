"""Where the time of an item goes: a deterministic profile, corrected by a run without it.

The profiler (cProfile) sees every function, those written in C as well, and slows Python down while
it looks; what C functions take stays true. So the time that Python itself takes is what the same
items took without the profiler, less what the C functions took with it. Time of functions that no
rule knows goes to the causes of their callers, in the proportion in which these called them.
"""

from __future__ import annotations

import cProfile
import resource
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from math import inf, isinf
from pathlib import Path
from typing import Any

from datasets_impl.doctor.probes import clock
from datasets_impl.doctor.probes.causes import Cause, cause_of
from datasets_impl.doctor.probes.own_code import DOCTOR, LIBRARIES, is_own

Shares = dict[str, float]
BUSY = 0.1  # share of the time in the queue for a processor
LATE = 8  # times that a moment is asked for
LEAST_HIDDEN = 0.1  # share of the time, for waiting that no function tells to be believed


@dataclass(frozen=True)
class Place:
    """A Python function, and the seconds that it took itself, for each item."""

    file: str
    line: int
    function: str
    seconds: float


@dataclass(frozen=True)
class Attribution:
    """Seconds of an item by cause; they add up to `total` but for `unattributed`."""

    total: float
    causes: dict[Cause, float]
    places: list[Place] = field(default_factory=list)

    @property
    def unattributed(self) -> float:
        return self.total - sum(self.causes.values())


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
) -> Attribution:
    """Profile `get` over `inputs` between passes of the same without the profiler.

    Turns, since a neighbour that takes the processor for a second must not lengthen one side only.
    """
    profiler, passes, queued = cProfile.Profile(), [], 0.0
    for _ in range(rounds):
        passes.append(plainly())
        with clocked() as profiled:
            profiler.enable()
            try:
                for value in inputs:
                    get(value)
            finally:
                profiler.disable()
        queued += profiled.queued / rounds
    items = rounds * len(inputs)
    # What disturbs a pass (a collector of garbage, a machine that stands still) makes it longer.
    least = min(passes, key=lambda one: one.wall)
    plain, blocked = least.wall / len(inputs), least.blocked / len(inputs)
    paged = sum(one.major_faults for one in passes) > 0.1 * items
    # On a busy machine a sleep ends late: to the profiler it is longer than it was meant to be.
    longest = blocked if queued > BUSY else inf
    found = _attributed(profiler.getstats(), plain, items / (1 - min(0.99, queued)), longest)
    return _with_hidden(found, blocked, "reading" if paged else "waiting")


@dataclass
class Pass:
    """A run over all inputs: seconds, but for those that it stood in the queue for a processor
    (`queued`, of all: a share), those in which nothing ran, and pages fetched from a disk."""

    wall: float = 0.0
    queued: float = 0.0
    blocked: float = 0.0
    major_faults: int = 0


@contextmanager
def clocked() -> Iterator[Pass]:
    """Fills in a `Pass`. Blocked is what neither ran nor stood in the queue for a processor."""
    taken = Pass()
    faults = _faults()
    begun = _now()
    yield taken
    whole, ran, queued = (after - before for after, before in zip(_now(), begun, strict=True))
    taken.queued = min(1.0, queued / whole) if whole else 0.0
    taken.wall = whole * (1 - taken.queued)
    taken.blocked = max(0.0, whole - ran - queued)
    taken.major_faults = _faults() - faults


def _now() -> tuple[float, float, float]:
    """Seconds of the clock, of this process and in the queue; all of one moment, since another
    process may come in between two of them and take longer than all that is measured."""
    for _ in range(LATE):
        queued = _queued()
        found = clock.perf_counter(), clock.process_time(), queued
        if _queued() == queued:
            break
    return found


def _queued() -> float:
    """Seconds that this thread could have run and had no processor; 0 where it is not told."""
    try:
        return int(Path("/proc/thread-self/schedstat").read_text().split()[1]) * 1e-9
    except (OSError, IndexError, ValueError):
        return 0.0


def _faults() -> int:
    return resource.getrusage(resource.RUSAGE_SELF).ru_majflt


def _with_hidden(found: Attribution, blocked: float, cause: Cause) -> Attribution:
    """Waiting that the profiler does not see (`with lock:`, pages of a mapped file).

    It hides in what nothing accounts for, in Python's own time and in copies of arrays.
    """
    told = sum(found.causes.get(one, 0.0) for one in ("waiting", "reading", "opening", "listing"))
    hidden = blocked - told
    if hidden < LEAST_HIDDEN * found.total:
        return found
    causes = dict(found.causes)
    part = min(hidden, max(0.0, found.unattributed))
    causes[cause] = causes.get(cause, 0.0) + part
    hidden -= part
    for place in ("python", "converting"):
        part = min(hidden, causes.get(place, 0.0))  # type: ignore[call-overload]
        if part > 0:
            causes[place] -= part  # type: ignore[index]
            causes[cause] = causes.get(cause, 0.0) + part
            hidden -= part
    return Attribution(found.total, causes, found.places)


def _attributed(stats: Sequence[Any], plain: float, items: float, longest: float) -> Attribution:
    """`longest` is what an item may have waited."""
    entries = {_key(entry.code): entry for entry in stats}
    callers: dict[Any, dict[Any, float]] = defaultdict(dict)
    for key, entry in entries.items():
        for call in entry.calls or ():
            callers[_key(call.code)][key] = max(call.inlinetime, 1e-9)
    shares = _Shares(entries, callers)
    native: Shares = defaultdict(float)
    python: Shares = defaultdict(float)
    for key, entry in entries.items():
        part = native if isinstance(entry.code, str) else python
        for cause, share in shares.of(key).items():
            part[cause] += share * entry.inlinetime / items
    if native["waiting"] > longest:
        native["waiting"] = longest
    in_c, in_python = sum(native.values()), sum(python.values())
    # More in C than in all without the profiler: many tiny calls, each of them made longer.
    c_scale = min(1.0, plain / in_c) if in_c else 1.0
    python_scale = max(0.0, plain - in_c) / in_python if in_python else 0.0
    if isinf(longest):  # never longer than with the profiler: what is missing is not attributed
        python_scale = min(1.0, python_scale)
    causes: dict[Any, float] = {
        cause: native[cause] * c_scale + python[cause] * python_scale
        for cause in {*native, *python}
    }
    places = [
        Place(code.co_filename, code.co_firstlineno, code.co_qualname,
              entry.inlinetime / items * python_scale)
        for entry in stats
        if not isinstance(code := entry.code, str) and not code.co_filename.startswith(DOCTOR)
        and "python" in shares.of(_key(code))
    ]  # fmt: skip
    return Attribution(plain, causes, sorted(places, key=lambda place: -place.seconds))


class _Shares:
    """The causes of a function: its own by a rule, else those of its callers."""

    def __init__(self, entries: dict[Any, Any], callers: dict[Any, dict[Any, float]]) -> None:
        self.entries, self.callers = entries, callers
        self.known: dict[Any, Shares] = {}

    def of(self, key: Any, below: frozenset[Any] = frozenset()) -> Shares:
        if key in self.known:
            return self.known[key]
        code = self.entries[key].code if key in self.entries else ""
        cause = cause_of(name_of(code))
        if cause is None and not isinstance(code, str) and is_own(code.co_filename):
            cause = "python"
        if cause is not None:
            found: Shares = {cause: 1.0}
        else:
            found = self._of_callers(key, below | {key})
        if not below:  # inside a cycle the answer depends on where one came in
            self.known[key] = found
        return found

    def _of_callers(self, key: Any, below: frozenset[Any]) -> Shares:
        weights = {c: w for c, w in self.callers.get(key, {}).items() if c not in below}
        whole = sum(weights.values())
        if not whole or len(below) > 60:
            return {"python": 1.0}
        found: Shares = defaultdict(float)
        for caller, weight in weights.items():
            for cause, share in self.of(caller, below).items():
                found[cause] += share * weight / whole
        return found


def _key(code: Any) -> Any:
    return code if isinstance(code, str) else (code.co_filename, code.co_firstlineno, code.co_name)


def name_of(code: Any) -> str:
    """As the rules of `causes` expect it."""
    if isinstance(code, str):
        return code
    file = code.co_filename
    for library in LIBRARIES:
        file = file.removeprefix(library)
    return f"{file.lstrip('/')}:{code.co_name}"
