"""Errors that the user's code keeps to itself while a sample is read, and answers with another.

Code may well go on after an error: what is not in a cache is read, what one decoder refuses another
takes. So an error counts only where a sample was put in the place of the one that was asked for:
the function that failed was asked for another index or file after it, or what came is another
index's sample, or nothing but one number.
"""

from __future__ import annotations

import ast
import contextlib
import dis
import functools
import linecache
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from itertools import pairwise
from os import PathLike
from types import CodeType, FrameType
from typing import Any, TypeGuard

import numpy as np

from datasets_impl.doctor.probes import clock
from datasets_impl.doctor.probes.own_lines import is_users
from datasets_impl.doctor.probes.parts import parts
from datasets_impl.doctor.probes.raised import RAISED, said_by
from datasets_impl.doctor.probes.samples import fingerprint, leaves
from datasets_impl.doctor.probes.source_lines import Line, line_at, name_of, parsed
from datasets_impl.doctor.probes.target import Subject

LOOKUPS = {"KeyError", "IndexError", "LookupError", "AttributeError", "StopIteration"}
RETRIES = 8  # a number up to this may count how often something was tried
FOLLOWED = 16  # lines after an error
SLOWER = 4  # times, about, that Python's own code is while it is watched
LEAST_FILLED = 16  # numbers that are all the same, to be no label
Names = dict[str, Any]  # of a frame's variables, with their values


@dataclass
class Caught:
    """An error, and the frames of the user's that it came through."""

    error: BaseException
    frames: list[tuple[FrameType, Names]] = field(default_factory=list)
    lines: list[int] = field(default_factory=list)  # of the outermost, after the error
    moved: bool = False  # whether another sample was asked for after it
    given_up: bool = False  # whether its outermost function gave None in the place of something

    @property
    def outermost(self) -> FrameType:
        return self.frames[-1][0]


@dataclass
class Place:
    """Where errors are caught, and the samples of the reads in which they were."""

    lines: list[Line]
    lookup: bool  # whether it is for what is not there, by the errors that it names
    first: str  # of these samples, and its error
    seen: dict[int, bool] = field(default_factory=dict)  # index -> whether it moved on


class Swallowing:
    """Reads samples, and notes the errors that a read goes on after; `until` then."""

    def __init__(self, subject: Subject, until: float) -> None:
        self.subject, self.until = subject, until
        self.places: dict[tuple[str, int], Place] = {}
        self.fillers: dict[int, bool] = {}  # index -> whether its arrays are one number each
        self.caught: list[Caught] = []
        self.asked: set[int] = set()  # the index, and what it is in parts of the dataset

    def read(self, index: int) -> Any:
        if clock.perf_counter() + SLOWER * self.subject.cost > self.until:
            return self.subject.read(index)
        key = self.subject.keys[index] if self.subject.keys else index
        self.caught, self.asked = [], {key} if _is_number(key) else set()
        outer = sys.gettrace()
        sys.settrace(self._trace)
        try:
            sample = self.subject.read(index)
        finally:
            sys.settrace(outer)
        self.fillers[index] = _is_filler(sample)
        raised = [one.error for one in self.caught]
        known = [error.__cause__ or error.__context__ for error in raised]
        for one in self.caught if sample is not None else []:  # which a collate function leaves out
            if one.lines and one.error not in known:
                self._note(index, one)
        self.caught = []
        return sample

    def _note(self, index: int, caught: Caught) -> None:
        file = caught.outermost.f_code.co_filename
        handler, ran = _handler(file, caught.lines)
        if (file, ran[0]) not in self.places:
            lines = [line_at(file, one) for one in ran]
            self.places[file, ran[0]] = Place(
                lines, _looks_up(handler), f"sample {index}, {said_by(caught.error)}"
            )
        seen = self.places[file, ran[0]].seen
        seen[index] = caught.moved or seen.get(index, False)

    def told(self, prints: Mapping[str, list[int]], until: float) -> dict[str, Any]:
        """The place where samples were replaced; empty where there is none.

        Args:
            prints: the indices of what was read, by the samples' fingerprints.
        """
        alike = {index for found in prints.values() if len(found) > 1 for index in found}
        for place in self.places.values():
            others = [index for index in self.fillers if index not in place.seen]
            usual = sum(self.fillers[one] or one in alike for one in others)
            tells = 2 * usual < len(others)  # that samples differ where there was no error
            wrong = [
                index for index, moved in place.seen.items()
                if (moved and not place.lookup)
                or (tells and self.fillers[index] and not place.lookup)
                or (tells and not self.fillers[index]
                    and (index in alike or self._is_neighbour(index, prints, until)))
            ]  # fmt: skip
            if 2 * len(wrong) > len(place.seen):
                return {"times": len(wrong), "read": len(self.fillers), "first": place.first,
                        "lines": place.lines}  # fmt: skip
        return {}

    def _is_neighbour(self, index: int, prints: Mapping[str, list[int]], until: float) -> bool:
        """Whether the sample is that of an index beside it, or of the first."""
        own = next((one for one, found in prints.items() if index in found), "")
        for other in {0, index - 1, index + 1} - {index, -1, self.subject.count}:
            with contextlib.suppress(*RAISED):
                if clock.perf_counter() < until and fingerprint(self.subject.read(other)) == own:
                    return True
        return False

    def _trace(self, frame: FrameType, event: str, told: Any) -> Any:
        if clock.perf_counter() > self.until:
            sys.settrace(None)
            return None
        if not is_users(frame.f_code.co_filename):
            return None
        if event == "call":
            frame.f_trace_lines = False  # before an error: that saves most of the time
            self._called(frame)
        elif event == "exception" and not isinstance(told[1], StopIteration | GeneratorExit):
            self._raised(frame, told[1])
        elif event == "line":
            following = [one.lines for one in self.caught if one.outermost is frame]
            for lines in following:
                lines.append(frame.f_lineno)
            frame.f_trace_lines = any(len(lines) < FOLLOWED for lines in following)
        elif event == "return":
            for one in self.caught:
                if one.outermost is frame:
                    one.given_up = told is None and _gives(frame.f_code)
                    one.moved |= self._other(one.frames[-1][1], frame, RETRIES)
        return self._trace

    def _called(self, frame: FrameType) -> None:
        """Whether a function that failed is asked for something else: one that has passed its
        error on or given None for it, or that waits for the answer."""
        code = frame.f_code
        names = code.co_varnames[: code.co_argcount]
        if code.co_name == "__getitem__" and len(names) > 1:
            key = frame.f_locals[names[1]]
            self.asked |= {key} if _is_number(key) else set()
        for one in self.caught:
            for failed, before in one.frames:
                over = failed is not one.outermost or one.given_up
                if failed.f_code is code and (over or _waits(failed, frame)):
                    one.moved |= _owner(failed) is _owner(frame) and self._other(before, frame)

    def _raised(self, frame: FrameType, error: BaseException) -> None:
        frame.f_trace_lines = True
        if not self.caught or self.caught[-1].error is not error:
            self.caught.append(Caught(error))
        self.caught[-1].lines.clear()
        if not self.caught[-1].frames or self.caught[-1].outermost is not frame:
            names = {
                name: value for name, value in frame.f_locals.items()
                if isinstance(value, str | PathLike) or (_is_number(value) and value in self.asked)
            }  # fmt: skip
            self.caught[-1].frames.append((frame, names))

    def _other(self, before: Names, frame: FrameType, least: int = -1) -> bool:
        """Whether what told the sample is another index or listed file now.

        Args:
            least: a number up to this tells it only where the function was given it.
        """
        given = frame.f_code.co_varnames[: frame.f_code.co_argcount]
        for name, old in before.items():
            new = frame.f_locals.get(name)
            if type(new) is not type(old) or new == old:
                continue
            if _is_number(old) and (old > least or name in given):
                return True
            if not _is_number(old) and self._are_listed(old, new):
                return True
        return False

    def _are_listed(self, *names: Any) -> bool:
        """Whether they are elements of one list that the dataset holds."""
        return any(
            all(name in value for name in names)
            for _, value, _ in parts(self.subject.dataset)
            if isinstance(value, list | tuple) and value and isinstance(value[0], str | PathLike)
        )


def _is_number(value: Any) -> TypeGuard[int]:
    return isinstance(value, int | np.integer) and not isinstance(value, bool)


def _is_filler(sample: Any) -> bool:
    """Whether all arrays of a sample are one number over and over."""
    arrays = [leaf.values for leaf in leaves(sample)]
    held = [one for one in arrays if one is not None and one.size and not one.dtype.hasobject]
    return max((one.size for one in held), default=0) >= LEAST_FILLED and all(
        bool((one == one.flat[0]).all()) for one in held
    )


def _gives(code: CodeType) -> bool:
    """Whether a function gives anything but None."""
    steps = list(dis.get_instructions(code))
    return any(
        (step.opname == "RETURN_CONST" and step.argval is not None)
        or (step.opname == "RETURN_VALUE"
            and (before.opname, before.argval) != ("LOAD_CONST", None))
        for before, step in pairwise(steps)
    )  # fmt: skip


def _waits(outer: FrameType, inner: FrameType) -> bool:
    frame: FrameType | None = inner
    while frame is not None and frame is not outer:
        frame = frame.f_back
    return frame is outer


def _owner(frame: FrameType) -> Any:
    """The object whose method it is."""
    return frame.f_locals.get("self")


def _handler(file: str, lines: list[int]) -> tuple[ast.ExceptHandler | None, list[int]]:
    """What caught an error, and the lines of it that ran; else the first line that ran after."""
    for line in lines:
        around = [one for one in _handlers(file) if one.body[0].lineno <= line <= _end(one)]
        if around:
            own = max(around, key=lambda one: one.lineno)
            inner = [one for one in lines if own.body[0].lineno <= one <= _end(own)]
            return own, list(dict.fromkeys([own.lineno, *inner]))
    return None, lines[:1]


def _end(node: ast.ExceptHandler) -> int:
    return node.end_lineno or node.lineno


@functools.lru_cache(maxsize=64)
def _handlers(file: str) -> list[ast.ExceptHandler]:
    tree = parsed("".join(linecache.getlines(file)))
    return [node for node in ast.walk(tree) if isinstance(node, ast.ExceptHandler)]


def _looks_up(handler: ast.ExceptHandler | None) -> bool:
    kind = handler.type if handler else None
    named = {name_of(one) for one in (kind.elts if isinstance(kind, ast.Tuple) else [kind]) if one}
    return bool(named) and named <= LOOKUPS
