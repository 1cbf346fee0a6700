"""How much data is in each step of a sample: lines of the user's, and transforms in a list."""

from __future__ import annotations

import contextlib
import dis
import linecache
import re
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from types import CodeType, FrameType
from typing import Any

import numpy as np
import torch
from PIL import Image, ImageFile

from datasets_impl.doctor.probes import clock
from datasets_impl.doctor.probes.own_lines import is_users
from datasets_impl.doctor.probes.parts import parts
from datasets_impl.doctor.probes.raised import RAISED
from datasets_impl.doctor.probes.reads import indices
from datasets_impl.doctor.probes.samples import Leaf, leaves
from datasets_impl.doctor.probes.target import Subject

TIMES = 4  # values of a step over those of the sample, that is large
READS = 3  # samples: a random step is not taken for each
MOST_EVENTS = 20_000  # lines, beyond which a loop is not followed
MOST_HELD = 8  # parts of a container that are looked at
MOST_COMPARED, VALUES = 12, 8  # pairs of arrays, and values of one that are looked for
TAKES = re.compile(r"crop|resiz|rescale|interpolat|thumbnail|zoom", re.IGNORECASE)
CALLED = ("__call__", "forward")
LONGEST = 120  # characters of a line


Where = tuple[str, int, str, str, int]  # the first fields of a step


@dataclass
class Step:
    """A line, or a transform of the list at `path`. Values are those of its largest array."""

    file: str
    line: int
    name: str  # of a transform's class
    path: str
    position: int
    takes: int
    gives: int
    part: bool  # whether what it gives is a part of what it takes, or that made smaller
    seconds: float

    @property
    def key(self) -> tuple[Any, ...]:
        return self.file, self.line, self.path, self.position

    @property
    def scales(self) -> bool:
        """Whether what it makes is what it takes in another size, by how it is called."""
        text = linecache.getline(self.file, self.line) if self.line else self.name
        return bool(TAKES.search(text))

    def told(self) -> dict[str, Any]:
        code = linecache.getline(self.file, self.line).strip()[:LONGEST] if self.line else ""
        return vars(self) | {"code": code}


def steps(subject: Subject, until: float) -> dict[str, Any]:
    """The steps on far more than a sample holds, and the one that takes the sample's part of it;
    nothing where there are none. `list` is where its transforms are, if it is one of a list."""
    listed = dict(_listed(subject.dataset))
    seen: dict[tuple[Any, ...], Step] = {}
    whole, sample = 0.0, 0
    for index in indices(subject, READS):
        trace = _Trace(listed, until)
        with contextlib.suppress(*RAISED):
            made, begun = None, time.thread_time()
            with trace:
                made = subject.read(index)
            whole += time.thread_time() - begun
            sample = max(sample, max((_count(one.value) for one in leaves(made)), default=0))
        for one in trace.steps:
            known = seen.setdefault(one.key, one)
            if known is not one:
                known.seconds += one.seconds
                known.gives, known.part = max(known.gives, one.gives), known.part or one.part
        if clock.perf_counter() > until:
            break
    found = _chosen(list(seen.values()), sample, whole)
    names = [[position, type(one).__name__] for path, position, one in listed.values()
             if path == found.get("list")]  # fmt: skip
    return found and found | {"names": [name for _, name in sorted(names)]}


def _chosen(seen: list[Step], sample: int, whole: float) -> dict[str, Any]:
    """A step of a list comes behind the lines of its own, so that these are found first."""
    for at, last in enumerate(seen):
        if not last.part or not sample / TIMES <= last.gives <= 2 * sample:
            continue
        least = TIMES * max(sample, last.gives)
        large = [one for one in seen[:at] if not one.part and one.gives >= least
                 and (TIMES * one.takes >= one.gives or one.scales)]  # fmt: skip
        if not large:
            continue
        within = next((one for one in seen[at:] if one.part and one.path), None)
        before = [one for one in large if within and one.path == within.path]
        return {
            "sample": sample, "whole": whole, "part": last.told(),
            "large": [one.told() for one in large], "gives": max(one.gives for one in large),
            "list": within.path if within and before else "",
            "from": within.position if within else 0,
            "to": min((one.position for one in before), default=0),
        }  # fmt: skip
    return {}


def _listed(dataset: Any) -> Iterator[tuple[int, tuple[str, int, Any]]]:
    """What is called one after the other: the identity of each, where it is, and itself."""
    for path, value, _ in parts(dataset):
        if isinstance(value, list | tuple) and len(value) > 1 and all(map(callable, value)):
            for position, one in enumerate(value):
                yield id(getattr(one, "__code__", one)), (path, position, one)


@lru_cache(maxsize=4096)
def _named(code: CodeType) -> dict[int, frozenset[str]]:
    """Names that each line reads or sets."""
    found: dict[int, set[str]] = {}
    line, begin = 0, dict(dis.findlinestarts(code))
    for one in dis.get_instructions(code):
        line = begin.get(one.offset) or line
        if isinstance(one.argval, str):
            found.setdefault(line, set()).add(one.argval)
    return {line: frozenset(names) for line, names in found.items()}


class _Trace:
    """Python's own hook, around reading a sample."""

    def __init__(self, listed: dict[int, tuple[str, int, Any]], until: float) -> None:
        self.listed, self.until = listed, until
        self.steps: list[Step] = []
        self.begun: dict[FrameType, tuple[int, list[Any]]] = {}
        self.called: list[tuple[FrameType, list[Any], float]] = []  # of a list
        self.events = self.compared = 0
        self.before: Any = None

    def __enter__(self) -> None:
        self.before = sys.gettrace()
        sys.settrace(self._trace)

    def __exit__(self, *_: object) -> None:
        sys.settrace(self.before)
        self.begun.clear()

    def _trace(self, frame: FrameType, event: str, argument: Any) -> Any:
        code = frame.f_code
        users = is_users(code.co_filename)
        if event == "call":
            known = self._known(frame)
            if known and not self.called:
                held = [one for name, one in frame.f_locals.items() if name != "self"]
                self.called.append((frame, list(_arrays(held)), time.thread_time()))
            frame.f_trace_lines = users
            return self._trace if users or known else None
        self.events += 1
        if self.events > MOST_EVENTS or clock.perf_counter() > self.until:
            sys.settrace(None)
            return None
        if users and event in ("line", "return"):
            if frame in self.begun:
                self._end_of_line(frame, argument if event == "return" else None)
            if event == "line":
                self.begun[frame] = frame.f_lineno, self._of_line(frame, frame.f_lineno)
        if event == "return" and self.called and self.called[-1][0] is frame:
            _, held, since = self.called.pop()
            path, position, one = self._known(frame) or ("", 0, None)
            name = type(one).__name__
            own = time.thread_time() if users else since  # lines of the user's tell theirs
            self._note(("", 0, name, path, position), held, list(_arrays([argument])), name, own)
        return self._trace

    def _known(self, frame: FrameType) -> tuple[str, int, Any] | None:
        if id(frame.f_code) in self.listed:
            return self.listed[id(frame.f_code)]
        if self.listed and frame.f_code.co_name in CALLED:
            return self.listed.get(id(frame.f_locals.get("self")))
        return None

    def _of_line(self, frame: FrameType, line: int) -> list[Any]:
        known = frame.f_locals
        names = _named(frame.f_code).get(line, ())
        return list(_arrays([known[name] for name in names if name in known]))

    def _end_of_line(self, frame: FrameType, result: Any) -> None:
        line, held = self.begun.pop(frame)
        gives = list(_arrays([result])) if result is not None else self._of_line(frame, line)
        file = frame.f_code.co_filename
        self._note((file, line, "", "", 0), held, gives, linecache.getline(file, line), None)

    def _note(
        self, where: Where, held: list[Any], gives: list[Any], text: str, since: float | None
    ) -> None:
        ids = {id(one) for one in held}
        new = [one for one in gives if id(one) not in ids] or gives
        taken, made = max(held, key=_count, default=None), max(new, key=_count, default=None)
        if taken is None or made is None or isinstance(taken, ImageFile.ImageFile):
            return  # what is read, or decoded at its first use, is no step
        part = _count(taken) >= TIMES * _count(made) > 0 and self._is_part(taken, made, text)
        spent = time.thread_time() - since if since is not None else 0.0
        step = Step(*where, takes=_count(taken), gives=_count(made), part=part, seconds=spent)
        self.steps.append(step)

    def _is_part(self, whole: Any, made: Any, text: str) -> bool:
        if TAKES.search(text):
            return True
        one, other = Leaf("", whole).array, Leaf("", made).array
        if one is None or other is None or one.ndim != other.ndim or one.dtype != other.dtype:
            return False
        if np.may_share_memory(one, other):
            return True
        self.compared += 1
        fits = all(a >= b for a, b in zip(one.shape, other.shape, strict=True))
        some = np.unique(other.reshape(-1)[:: max(1, other.size // VALUES)])
        if not fits or len(some) < VALUES / 2 or self.compared > MOST_COMPARED:
            return False
        return all(bool((one == value).any()) for value in some)


def _arrays(values: list[Any]) -> Iterator[Any]:
    """Arrays and pictures, also of containers."""
    for value in values:
        if isinstance(value, np.ndarray | torch.Tensor | Image.Image):
            yield value
        elif isinstance(value, list | tuple | dict):
            inner = value.values() if isinstance(value, dict) else value
            for one, _ in zip(inner, range(MOST_HELD), strict=False):
                if isinstance(one, np.ndarray | torch.Tensor | Image.Image):
                    yield one


def _count(value: Any) -> int:
    """Values; of a picture those of all bands, as an array of it has them."""
    if isinstance(value, Image.Image):
        return value.width * value.height * len(value.getbands())
    if isinstance(value, torch.Tensor):
        return value.numel()
    return int(value.size) if isinstance(value, np.ndarray) else 0
