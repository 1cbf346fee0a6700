"""Which lines of the user's lead to which calls, and how a function's own time is spread over them.

The profiler tells what each function of the user's called, but not from which line. So a few
samples are read once more under Python's own hooks. These slow down what they look at: of what they
see only the proportions between the lines of one function are used.
"""

from __future__ import annotations

import dis
import re
import sys
from collections import defaultdict
from collections.abc import Callable, Iterable
from functools import lru_cache
from types import CodeType, FrameType
from typing import Any

from datasets_impl.doctor.probes import clock
from datasets_impl.doctor.probes.own_code import DOCTOR, is_own

Key = Any  # of a function: see `key_of`
C_NAME = re.compile(r"'(\w+)' of |[.<](\w+)>$|method (\w+)>$")
LEAST_LINE = 20e-9  # seconds that beginning a line takes without hooks
ENOUGH = 0.3  # share of a function's own time, seen up to where it was cut short
LOOPS, COMPUTES = ("BACKWARD",), ("BINARY_OP", "COMPARE_OP", "UNARY_")  # parts of instructions


def key_of(code: CodeType | str) -> Key:
    """As the profiler's entries are told apart: code written in C by its name alone."""
    if isinstance(code, str):
        return code
    return code.co_filename, code.co_firstlineno, code.co_name


def called_name(key: Key) -> Key:
    """What a call of it is noted under: a function written in C by its bare name."""
    if not isinstance(key, str):
        return key
    match = C_NAME.search(key)
    return next(filter(None, match.groups()), key) if match else key


def named_at(code: CodeType, called: Key) -> dict[int, float]:
    """The first line of `code` that names what was called; for calls that were not watched."""
    name = called if isinstance(called, str) else called[2]
    line, begin = 0, dict(dis.findlinestarts(code))
    for one in dis.get_instructions(code):
        line = begin.get(one.offset) or line
        if one.argval == name and line:
            return {line: 1.0}
    return {}


def working(code: CodeType, kinds: tuple[str, ...]) -> set[int]:
    """Lines that do such work themselves: of a loop, the one that it goes back to."""
    line, at, found = 0, dict[int, int](), set[int]()
    begin, all_of_it = dict(dis.findlinestarts(code)), list(dis.get_instructions(code))
    for one in all_of_it:
        line = at[one.offset] = begin.get(one.offset) or line
    for one in all_of_it:
        if any(kind in one.opname for kind in kinds):
            found.add(at.get(one.argval, 0) if "BACKWARD" in one.opname else at[one.offset])
    return found


@lru_cache(maxsize=4096)
def is_users(file: str) -> bool:
    """Neither a library's nor the doctor's."""
    return is_own(file) and not file.startswith(DOCTOR)


def users_place() -> tuple[str, int]:
    """The innermost line of the user that led to what asks for it, from a function that stands in
    for another."""
    frame = sys._getframe(2)
    while frame.f_back is not None and not is_users(frame.f_code.co_filename):
        frame = frame.f_back
    return frame.f_code.co_filename, frame.f_lineno


class Watched:
    """What `watch_lines` saw. Seconds are those under the hooks."""

    def __init__(self) -> None:
        self.own: dict[Key, Spent] = defaultdict(Spent)  # by the functions' own lines
        self.calls: dict[tuple[Key, Key], Spent] = defaultdict(Spent)  # of one by another
        self.times: dict[tuple[Key, int], int] = defaultdict(int)  # that a line was begun
        self.ended: set[Key] = set()  # functions that were seen to their end, once or more
        self.items = 0  # that were read to their end

    def tells(self, code: CodeType, seconds: float) -> bool:
        """Whether what was seen of a function stands for all of it, of whose own time an item takes
        so many seconds. A first item that does not end is seen up to some line: a loop that had not
        begun by then may take far more, and so may operators where little was seen before."""
        key = key_of(code)
        if self.items or key in self.ended:
            return True
        begun = {line: times for (at, line), times in self.times.items() if at == key}
        enough = LEAST_LINE * sum(begun.values()) > ENOUGH * seconds
        return working(code, LOOPS if enough else LOOPS + COMPUTES) <= set(begun)


class Spent:
    """Seconds by line and item."""

    def __init__(self) -> None:
        self.lines: dict[int, dict[int, float]] = defaultdict(lambda: defaultdict(float))

    def add(self, line: int, item: int, seconds: float) -> None:
        self.lines[line][item] += seconds

    def parts(self, items: int) -> dict[int, float]:
        """Line -> its part of one: of those that were read to their end, else of the first so far.
        The longest of three or more does not count: something else ran in between."""
        found = {}
        for line, spent in self.lines.items():
            whole = [seconds for item, seconds in spent.items() if item < max(1, items)]
            found[line] = sum(whole) - (max(whole) if items > 2 and len(whole) > 1 else 0.0)
        total = sum(found.values())
        return {line: seconds / total for line, seconds in found.items()} if total else {}


def watch_lines(get: Callable[[Any], Any], inputs: Iterable[Any], until: float) -> Watched:
    """`get` over `inputs`, at least the first of them, under hooks that end at `until`."""
    hooks = _Hooks(until)
    for value in inputs:
        hooks.begin()
        try:
            get(value)
        finally:
            hooks.end()
        if clock.perf_counter() > until:
            break
        hooks.seen.items += 1
    return hooks.seen


class _Hooks:
    """Both hooks of Python's. Time of the user's own lines runs while `line` is set."""

    def __init__(self, until: float) -> None:
        self.seen, self.until = Watched(), until
        self.line: tuple[Key, int] | None = None
        self.since = 0.0
        self.begun: list[float] = []  # calls that the user's code is waiting for
        self.before: tuple[Any, Any] = (None, None)

    def begin(self) -> None:
        self.before = sys.gettrace(), sys.getprofile()
        self.line, self.begun = None, []
        sys.setprofile(self._profile)
        sys.settrace(self._trace)

    def end(self) -> None:
        sys.settrace(self.before[0])
        sys.setprofile(self.before[1])

    def _stop_line(self, now: float) -> None:
        if self.line is not None:
            code, line = self.line
            self.seen.own[code].add(line, self.seen.items, now - self.since)
            self.line = None
        if now > self.until:
            self.end()

    def _go_on(self, frame: FrameType) -> None:
        self.line = key_of(frame.f_code), frame.f_lineno
        self.since = clock.perf_counter()

    def _trace(self, frame: FrameType, event: str, argument: Any) -> Any:
        """Only the user's functions are traced line by line."""
        if event == "call":
            return self._trace if is_users(frame.f_code.co_filename) else None
        if event == "line":
            self._stop_line(clock.perf_counter())
            self.seen.times[key_of(frame.f_code), frame.f_lineno] += 1
            self._go_on(frame)
        return self._trace

    def _profile(self, frame: FrameType, event: str, argument: Any) -> None:
        if event in ("call", "return"):
            inside, frame_of = frame.f_code, frame.f_back
        else:
            inside, frame_of = None, frame
        own = frame_of is not None and is_users(frame_of.f_code.co_filename)
        if not own and (inside is None or not is_users(inside.co_filename)):
            return
        if event == "return" and inside is not None:
            self.seen.ended.add(key_of(inside))
        now = clock.perf_counter()
        self._stop_line(now)
        if own and event in ("call", "c_call"):
            self.begun.append(now)
        elif own and frame_of is not None and self.begun:
            name = key_of(inside) if inside is not None else getattr(argument, "__name__", "")
            spent = self.seen.calls[key_of(frame_of.f_code), name]
            spent.add(frame_of.f_lineno, self.seen.items, now - self.begun.pop())
            self._go_on(frame_of)
