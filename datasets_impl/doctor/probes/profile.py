"""From the profiler's entries to seconds by cause, of an item and of each line of the user's."""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, replace
from math import isinf
from typing import Any

from datasets_impl.doctor.probes.causes import HOLDING, LENT, OWNING, Cause, cause_of
from datasets_impl.doctor.probes.own_code import LIBRARIES, is_own
from datasets_impl.doctor.probes.own_lines import (
    Key,
    Watched,
    called_name,
    is_users,
    key_of,
    named_at,
)

Shares = dict[Cause, float]
INSTALLED = "site-packages"
EVERYWHERE = ("numpy", "torch", "builtins", "posix", "time", "math")
LARGE = ("scipy", "skimage", "sklearn")  # packages of packages
IN_C = re.compile(r"(?:of '|method )(\w+\.\w+)\.")  # `<built-in method scipy.sparse._tools.row>`
DEEP = 60  # callers of callers
LEAST_THREADS = 0.1  # share of the time, of waiting that is for threads that work meanwhile


@dataclass(frozen=True)
class Line:
    """A line of the user's, and its seconds for each item by cause, without those of other lines of
    the user's that it leads to; `times` is how often it is begun for an item."""

    file: str
    line: int
    function: str
    causes: dict[Cause, float]
    times: float

    @property
    def seconds(self) -> float:
        return sum(self.causes.values())

    def with_that_of(self, other: Line | None) -> Line:
        """The same line, with what it takes in another function."""
        if other is None:
            return self
        causes = Counter(self.causes) + Counter(other.causes)
        return replace(other, causes=dict(causes), times=max(self.times, other.times))


@dataclass(frozen=True)
class Attribution:
    """Seconds of an item by cause; they add up to `total` but for `unattributed`."""

    total: float
    causes: dict[Cause, float]
    lines: list[Line] = field(default_factory=list)  # the most costly first
    packages: dict[str, float] = field(default_factory=dict)  # parts of what is called "python"

    @property
    def unattributed(self) -> float:
        return self.total - sum(self.causes.values())


@dataclass
class Entry:
    """A function, in all passes together; or the calls of one by another."""

    code: Any
    inlinetime: float = 0.0
    totaltime: float = 0.0
    below: dict[Key, Entry] = field(default_factory=dict)

    @property
    def calls(self) -> Iterable[Entry]:
        return self.below.values()


def together(stats: Iterable[Any]) -> dict[Key, Entry]:
    """The profiler's entries, of one pass or more, by function."""
    found: dict[Key, Entry] = {}
    for each in stats:
        entry = found.setdefault(key_of(each.code), Entry(each.code))
        entry.inlinetime += each.inlinetime
        entry.totaltime += each.totaltime
        for call in each.calls or ():
            inner = entry.below.setdefault(key_of(call.code), Entry(call.code))
            inner.inlinetime += call.inlinetime
            inner.totaltime += call.totaltime
    return found


class Profile:
    """What the profiler saw of so many `items`, which take `plain` seconds each without it and are
    `blocked` for a part of them."""

    def __init__(self, stats: Iterable[Any], plain: float, items: float, blocked: float) -> None:
        self.plain, self.items, self.blocked = plain, items, blocked
        self.entries = together(stats)
        callers: dict[Key, dict[Key, float]] = defaultdict(dict)
        for key, entry in self.entries.items():
            for call in entry.calls:
                callers[key_of(call.code)][key] = max(call.inlinetime, 1e-9)
        self.shares = _Shares(self.entries, callers)
        self.native: Shares = defaultdict(float)
        self.python: Shares = defaultdict(float)
        for key, entry in self.entries.items():
            part = self.native if isinstance(entry.code, str) else self.python
            for cause, share in self.shares.of(key).items():
                part[cause] += share * entry.inlinetime / items
        self.threads = 0.0  # share of the waiting
        self._waiting_for_threads()
        self.below: dict[tuple[Key, Cause], Shares] = {}
        self.looking: set[tuple[Key, Cause]] = set()

    def _waiting_for_threads(self) -> None:
        """Waiting in which this process was not blocked is for threads of it that work, as those
        of a library do: it is what the library was asked for."""
        waiting = self.native["waiting"]
        if not waiting or waiting - self.blocked < LEAST_THREADS * self.plain:
            return
        self.threads = (waiting - self.blocked) / waiting
        for key, entry in self.entries.items():
            if self.shares.of(key) != {"waiting": 1.0}:
                continue
            part = self.native if isinstance(entry.code, str) else self.python
            for cause, share in self.shares.of_callers(key).items():
                if cause not in ("python", "waiting"):
                    moved = self.threads * share * entry.inlinetime / self.items
                    part["waiting"] -= moved
                    part[cause] += moved

    def attributed(self, longest: float, watched: Watched) -> Attribution:
        """`longest` is what an item may have waited."""
        seen = {cause: self.native[cause] + self.python[cause]
                for cause in {*self.native, *self.python}}  # fmt: skip
        self.native["waiting"] = min(longest, self.native["waiting"])
        in_c, in_python = sum(self.native.values()), sum(self.python.values())
        # More in C than in all without the profiler: many tiny calls, each of them made longer.
        c_scale = min(1.0, self.plain / in_c) if in_c else 1.0
        python_scale = max(0.0, self.plain - in_c) / in_python if in_python else 0.0
        if isinf(longest):  # never longer than with the profiler: what is missing is not attributed
            python_scale = min(1.0, python_scale)
        causes = {
            cause: self.native[cause] * c_scale + self.python[cause] * python_scale
            for cause in {*self.native, *self.python}
        }
        scale = {one: causes[one] / seconds if seconds else 0.0 for one, seconds in seen.items()}
        lines: dict[tuple[str, int], Line] = {}
        for one in self._lines(watched, scale):  # of several functions, such as a comprehension
            lines[one.file, one.line] = one.with_that_of(lines.get((one.file, one.line)))
        ordered = sorted(lines.values(), key=lambda one: -one.seconds)
        return Attribution(self.plain, causes, ordered, self._packages())

    def _packages(self) -> dict[str, float]:
        """What of the time that no rule names goes by in installed packages."""
        spent: Shares = defaultdict(float)
        whole = 0.0
        for key, entry in self.entries.items():
            share = self.shares.of(key).get("python", 0.0)
            whole += share * entry.inlinetime
            package = package_of(entry.code)
            spent[package] += share * entry.inlinetime
            for call in entry.calls if package and not isinstance(entry.code, str) else ():
                if isinstance(call.code, str) and not package_of(call.code):  # written in C
                    spent[package] += self.shares.of(key_of(call.code)).get("python", 0.0) * (
                        call.inlinetime
                    )
        return {name: part / whole for name, part in spent.items() if name and whole}

    def _lines(self, watched: Watched, scale: Shares) -> Iterator[Line]:
        """Of each function of the user's, its own time and that of what it called, by line."""
        for key, entry in self.entries.items():
            if isinstance(entry.code, str) or not is_users(entry.code.co_filename):
                continue
            lines: dict[int, Shares] = defaultdict(lambda: defaultdict(float))
            own = scale.get("python", 0.0) * entry.inlinetime / self.items
            first = entry.code.co_firstlineno
            told = watched.tells(entry.code, own)
            seen = (told and watched.own[key].parts(watched.items)) or {first: 1.0}
            for line, part in seen.items():
                lines[line]["python"] += part * own
            for call in entry.calls:
                inner = key_of(call.code)
                if not isinstance(inner, str) and is_users(inner[0]):
                    continue
                name = called_name(inner)
                called_at = (
                    (told and watched.calls[key, name].parts(watched.items))
                    or named_at(entry.code, name)
                    or seen
                )
                below = self._below(inner, "python")
                for line, part in called_at.items():
                    for cause, share in below.items():
                        seconds = part * share * call.totaltime / self.items
                        lines[line][cause] += seconds * scale.get(cause, 0.0)
            for line, causes in lines.items():
                times = watched.times.get((key, line), 0) / max(1, watched.items)
                yield Line(
                    entry.code.co_filename, line, entry.code.co_qualname, dict(causes), times
                )

    def _below(self, key: Key, asked: Cause) -> Shares:
        """Shares of the time in a function and all that it calls, by cause; what functions of the
        user's take of it is missing. `asked` is the cause of its caller."""
        entry = self.entries.get(key)
        if entry is None:
            return {}
        if (key, asked) in self.below:
            return self.below[key, asked]
        cause = cause_of(name_of(entry.code), asked) or asked
        found: Shares = defaultdict(float)
        whole = found[cause] = entry.inlinetime
        if cause == "waiting" and asked not in ("python", "waiting"):
            found[asked] = self.threads * entry.inlinetime
            found[cause] -= found[asked]
        self.looking.add((key, asked))
        for call in entry.calls:
            inner = key_of(call.code)
            if (inner, cause) in self.looking:  # it calls itself, by way of others perhaps
                continue
            whole += call.totaltime
            if isinstance(inner, str) or not is_users(inner[0]):
                for part, share in self._below(inner, cause).items():
                    found[part] += share * call.totaltime
        self.looking.remove((key, asked))
        self.below[key, asked] = {part: one / whole for part, one in found.items() if whole}
        return self.below[key, asked]


class _Shares:
    """The causes of a function: its own by a rule, else those of its callers."""

    def __init__(self, entries: dict[Key, Entry], callers: dict[Key, dict[Key, float]]) -> None:
        self.entries, self.callers = entries, callers
        self.known: dict[Key, Shares] = {}

    def of(self, key: Key, below: frozenset[Key] = frozenset()) -> Shares:
        if key in self.known:
            return self.known[key]
        code = self.entries[key].code if key in self.entries else ""
        cause = cause_of(name_of(code))
        if not isinstance(code, str) and is_own(code.co_filename):
            found: Shares = {"python": 1.0}
        elif cause is None:
            found = self.of_callers(key, below | {key})
        elif cause not in LENT and cause_of(name_of(code), HOLDING[0]) == cause:
            found = {cause: 1.0}
        else:  # help with texts or arrays, part of the kind of work that asks for it; or lent to it
            found, asking = defaultdict(float), self.of_callers(key, below | {key})
            for asked, share in asking.items():
                found[cause_of(name_of(code), asked) or cause] += share
            if cause in LENT and not set(OWNING) & set(asking):
                found = {cause: 1.0}
        if not below:  # inside a cycle the answer depends on where one came in
            self.known[key] = found
        return found

    def of_callers(self, key: Key, below: frozenset[Key] = frozenset()) -> Shares:
        weights = {c: w for c, w in self.callers.get(key, {}).items() if c not in below}
        whole = sum(weights.values())
        if not whole or len(below) > DEEP:
            return {"python": 1.0}
        found: Shares = defaultdict(float)
        for caller, weight in weights.items():
            for cause, share in self.of(caller, below or frozenset({key})).items():
                found[cause] += share * weight / whole
        return found


def name_of(code: Any) -> str:
    """As the rules of `causes` expect it."""
    if isinstance(code, str):
        return code
    file = code.co_filename
    for library in LIBRARIES:
        file = file.removeprefix(library)
    return f"{file.lstrip('/')}:{code.co_name}"


def package_of(code: Any) -> str:
    """The installed package that a function belongs to, "" of what is everywhere: NumPy's arrays,
    PyTorch's, and Python's own."""
    name = name_of(code)
    if isinstance(code, str):
        match = IN_C.search(name)
        steps = match[1].split(".") if match else [""]
    else:
        steps = name.split("/") if INSTALLED in code.co_filename else [""]
    if steps[0] in LARGE and len(steps) > 2 - isinstance(code, str):
        return ".".join(steps[:2])
    return "" if steps[0] in EVERYWHERE else steps[0].partition(".py:")[0]
