"""What of the dataset's own data a read changes where it lies: rows of arrays, and what records
hold, of the dataset itself and of those that it wraps."""

from __future__ import annotations

import contextlib
import functools
import operator
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import islice
from types import FrameType
from typing import Any

import numpy as np
import torch
from PIL import Image

from datasets_impl.doctor.probes import clock
from datasets_impl.doctor.probes.epochs import attribute
from datasets_impl.doctor.probes.parts import parts
from datasets_impl.doctor.probes.raised import RAISED
from datasets_impl.doctor.probes.samples import Leaf, fingerprint, leaves
from datasets_impl.doctor.probes.source_lines import Line
from datasets_impl.doctor.probes.target import Subject
from datasets_impl.doctor.probes.tracing import lines_that_change

LEAST_ROW = 16  # numbers in a row, for it to be data; fewer may count or measure
DEEP, WIDE = 4, 64  # levels of a record, and elements of each, that are looked at
TRACED = 1.0  # seconds of a read that is followed line by line
Keys = dict[int, tuple[Any, Any]]  # by their addresses: what is read by an index, and by which


@dataclass(frozen=True)
class Row:
    """`get` gives an array, picture or list of numbers that belongs to a sample."""

    path: str
    get: Callable[[], Any]
    is_record: bool  # whether it is held by a record, or in a dictionary

    def look(self) -> tuple[Any, Any]:
        """What it is, and its numbers now."""
        value = self.get()
        return value, None if value is None else _numbers(value).copy()


def rewritten(
    subject: Subject, some: list[int], known: set[int], until: float
) -> tuple[str, list[Line]]:
    """Which data another read of one of `some` changed, after it had been read before, as caches
    would be filled by then; and the lines that write into it. "" where there is none."""
    for index in some:
        with contextlib.suppress(*RAISED):
            if path := _changed(subject, index):
                # What drifted far is changed by a small step no more.
                fresh = next((one for one in range(subject.count) if one not in known), index)
                return path, _lines(subject, fresh, path)
        if clock.perf_counter() > until:
            break
    return "", []


def _changed(subject: Subject, index: int) -> str:
    rows = list(_rows(subject, _keys(subject, index)))
    before = [row.look() for row in rows]
    sample = subject.read(index) if rows else None
    for row, (held, numbers) in zip(rows, before, strict=True):
        value, now = row.look()
        if now is None or numbers is None or now.shape != numbers.shape:
            continue
        if np.array_equal(now, numbers, equal_nan=now.dtype.kind == "f"):
            continue
        inside = value is held or not row.is_record  # a row of an array is a view
        if inside and (
            now.size >= LEAST_ROW
            or _is_in(sample, now)
            or _decides(subject, index, fingerprint(sample), value, numbers)
        ):
            return row.path
    return ""


def _is_in(sample: Any, numbers: Any) -> bool:
    """Whether a sample has these numbers one after the other."""
    arrays = (leaf.values for leaf in leaves(sample))
    return any(
        bool(np.isclose(array.reshape(-1, numbers.size), numbers.reshape(-1)).all(1).any())
        for array in arrays
        if array is not None and array.dtype.kind in "fiu" and array.ndim
        and array.size and array.size % numbers.size == 0
    )  # fmt: skip


def _decides(subject: Subject, index: int, first: str, value: Any, numbers: Any) -> bool:
    """Whether the sample is as the first time once the numbers are, and else another."""
    if isinstance(value, Image.Image):
        return False
    value[:] = torch.from_numpy(numbers) if isinstance(value, torch.Tensor) else numbers.tolist()
    return fingerprint(subject.read(index)) == first != fingerprint(subject.read(index))


def _lines(subject: Subject, index: int, path: str) -> list[Line]:
    until = clock.perf_counter() + TRACED
    with contextlib.suppress(*RAISED):
        row = next(one for one in _rows(subject, _keys(subject, index)) if one.path == path)
        return lines_that_change(
            lambda: subject.read(index), lambda: _numbers(row.get()).tobytes(), until
        )
    return []


def _keys(subject: Subject, index: int) -> Keys:
    """By which index a read asks each dataset, and whatever else has a `__getitem__`."""
    key = subject.keys[index] if subject.keys else index
    found: Keys = {id(subject.dataset): (subject.dataset, key)}

    def note(frame: FrameType, event: str, _: Any) -> None:
        code = frame.f_code
        if event == "call" and code.co_name == "__getitem__" and code.co_argcount > 1:
            held, key = (frame.f_locals[name] for name in code.co_varnames[:2])
            if isinstance(key, int | np.integer | str):
                found.setdefault(id(held), (held, key))

    outer = sys.getprofile()
    sys.setprofile(note)
    try:
        subject.read(index)
    finally:
        sys.setprofile(outer)
    return found


def _rows(subject: Subject, keys: Keys) -> Iterator[Row]:
    """All data that belongs to what was asked for by an index: the element of what is as long, and
    in dictionaries what has this index or one of these elements for its key."""
    asked, held, names = dict[str, tuple[Any, Any]](), list[tuple[str, Any, Any]](), list[Any]()
    for path, value, _ in parts(subject.dataset):
        if id(value) in keys:
            asked[path] = keys[id(value)]
        around = [one for one in asked if path.startswith((f"{one}.", f"{one}["))]
        owner, key = asked[max(around, key=len)] if around else (None, None)
        if isinstance(value, dict):
            held.append((path, value, key))
        elif isinstance(value, list | tuple | np.ndarray | torch.Tensor) and isinstance(
            key, int | np.integer
        ):
            with contextlib.suppress(*RAISED):
                if len(value) == len(owner):  # type: ignore[arg-type]
                    held.append((path, value, key))
                    names += [value[key]] if isinstance(value[key], str | int) else []
    for path, value, key in held:
        for one in [key, *names] if isinstance(value, dict) else [key]:
            if not isinstance(value, dict) or one in value:
                get = functools.partial(operator.getitem, value, one)
                yield from _inside(path, get, isinstance(value, dict))


def _inside(path: str, get: Callable[[], Any], is_record: bool, deep: int = 0) -> Iterator[Row]:
    with contextlib.suppress(*RAISED):
        value, found = get(), list[tuple[str, Any]]()
        if _holds_numbers(value):
            yield Row(path, get, is_record)
        elif isinstance(value, dict):
            found = [(f"[{key!r}]", one) for key, one in islice(value.items(), WIDE)]
        elif isinstance(value, list | tuple):
            found = [(f"[{at}]", one) for at, one in enumerate(islice(value, WIDE))]
        elif isinstance(attribute(value, "__dict__"), dict):
            found = [(f".{name}", one) for name, one in islice(vars(value).items(), WIDE)]
        for name, one in found if deep < DEEP else []:
            held = functools.partial(_same, one)
            yield from _inside(f"{path}{name}", held, True, deep + 1)


def _same(value: Any) -> Any:
    return value


def _holds_numbers(value: Any) -> bool:
    """More than one: a single one counts something."""
    if isinstance(value, list):
        return len(value) > 1 and all(type(one) in (int, float) for one in value)
    if isinstance(value, np.ndarray | torch.Tensor | Image.Image):
        array = Leaf("", value).values
        return (
            array is not None and array.ndim > 0 and array.size > 1 and array.dtype.kind in "fiub"
        )
    return False


def _numbers(value: Any) -> Any:
    return np.asarray(value if isinstance(value, list) else Leaf("", value).values)
