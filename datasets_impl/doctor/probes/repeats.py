"""Work that is done again: what the user's code calls, with which arguments, and how much of what
comes of it a sample holds."""

from __future__ import annotations

import contextlib
import linecache
import sys
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image

from datasets_impl.doctor.probes import clock
from datasets_impl.doctor.probes.attribution import queue_seconds
from datasets_impl.doctor.probes.callees import Callee, callees
from datasets_impl.doctor.probes.chunks import chunk_of
from datasets_impl.doctor.probes.generators import Instead, callee_of, standing_in
from datasets_impl.doctor.probes.own_lines import is_users
from datasets_impl.doctor.probes.queries import queries
from datasets_impl.doctor.probes.raised import RAISED
from datasets_impl.doctor.probes.reads import indices
from datasets_impl.doctor.probes.samples import fingerprint, leaves
from datasets_impl.doctor.probes.searching import searched
from datasets_impl.doctor.probes.standing import (
    Key,
    all_replaced,
    for_users,
    identity_of,
    key_of_call,
)
from datasets_impl.doctor.probes.steps import steps
from datasets_impl.doctor.probes.target import Subject

PLACES = 12  # spread over the dataset; at each of them two samples that follow each other
TIMED = (12, 4, 1)  # samples, to see which calls take time; so many as there is time for
LEAST_SHARE = 0.1  # of a sample's time, of a call that is looked at
MOST_CALLS = 2000  # of one function, beyond which its arguments are not compared
LEAST = 1e-9  # seconds of a sample
LONG = 1e-4  # seconds of a call, whose result is looked at
LARGE = 1 << 20  # bytes of a result, from which on it is looked at whatever the time it takes
MEASURED = 9  # results whose bytes are counted
COMPARED = 2  # arguments whose results are compared
ARRAYS = (np.ndarray, torch.Tensor, tuple)
TAKEN = (np.ndarray, torch.Tensor, Image.Image)  # arguments that are data
MOST_VALUES = 100  # of a result that is no array, whose size is estimated from these
LONGEST = 120  # characters of a line


@dataclass
class Seen:
    """Calls of one function from the user's code. Bytes are those of the usual call."""

    callee: Callee
    spent: dict[int, float] = field(default_factory=dict)  # seconds, by sample
    calls: int = 0
    lines: Counter[tuple[str, int]] = field(default_factory=Counter)
    keys: dict[Key, int] = field(default_factory=dict)  # and the sample that asked first
    results: dict[Key, str] = field(default_factory=dict)  # fingerprints, of a few
    compared: int = 0  # results with those of the same arguments
    unknown: int = 0  # calls whose arguments cannot be compared
    again: int = 0  # calls that an earlier sample had made already
    arrays: bool = True  # every result is an array, or a tuple of arrays and numbers
    differs: bool = False  # it gave another result for the same arguments
    gives: list[int] = field(default_factory=list)
    takes: int = 0  # in arrays, at most
    held: list[int] = field(default_factory=list)  # with the storage that tensors are a part of
    files: Counter[str] = field(default_factory=Counter)
    chunk: dict[str, Any] = field(default_factory=dict)
    most: int = 0  # bytes of the largest arrays that came of it

    @property
    def seconds(self) -> float:
        return sum(self.spent.values())

    def share(self, whole: Sequence[float]) -> float:
        """Of a sample's time, the usual one: a busy machine makes some of them longer."""
        shares = [self.spent.get(at, 0.0) / taken for at, taken in enumerate(whole) if taken > 0]
        return min(1.0, float(np.median(shares))) if shares else 0.0

    def note(self, sample: int, place: tuple[str, int], seconds: float, result: Any) -> None:
        self.calls += 1
        self.spent[sample] = self.spent.get(sample, 0.0) + seconds
        self.lines[place] += 1
        if seconds > LONG and isinstance(result, ARRAYS):
            self.most = max(self.most, bytes_of(result))

    def _compare(self, key: Key, result: Any) -> None:
        """A few results of the same arguments with each other."""
        known = key in self.results
        if key is None or self.compared >= COMPARED or not (known or len(self.results) < COMPARED):
            return
        self.compared += known
        found = fingerprint(result)
        self.differs |= self.results.setdefault(key, found) != found

    def compare(self, sample: int, arguments: Any, options: Any, result: Any) -> None:
        if len(self.keys) > MOST_CALLS:
            return
        key = key_of_call(arguments, options)
        if key is None:
            self.unknown += 1
        elif self.keys.setdefault(key, sample) != sample:
            self.again += 1
        self._compare(key, result)
        if file := file_of(arguments):
            self.files[file] += 1
        self.arrays &= all(
            isinstance(one, np.ndarray | torch.Tensor | np.number | int | float)
            for one in (result if isinstance(result, tuple) else (result,))
        )
        if len(self.gives) < MEASURED:
            self.gives.append(bytes_of(result))
            given = [one for one in arguments if isinstance(one, TAKEN)]
            self.takes = max(self.takes, bytes_of(given))
            self.held.append(storage_of(result))
        if not self.chunk and self.callee.of_container and not self.callee.makes:
            self.chunk = chunk_of(arguments[0], arguments[1], result)


def repeats(subject: Subject, seconds: float) -> dict[str, Any]:
    """The functions that take the time of samples, the most costly first; queries that read whole
    tables, lists that are searched, and steps on more than a sample holds."""
    found = {"calls": [], "queries": [], "searched": searched(subject), "steps": {}}
    if subject.iterable or not subject.count:
        return found
    found |= {"calls": calls(subject, 0.8 * seconds), "queries": queries(subject)}
    return found | {"steps": steps(subject, clock.perf_counter() + 0.2 * seconds)}


def calls(subject: Subject, seconds: float) -> list[dict[str, Any]]:
    until = clock.perf_counter() + seconds
    chosen = side_by_side(subject, PLACES)
    few = next((one for one in TIMED if one * subject.cost < seconds / 4), TIMED[-1])
    whole, timed = _watched(subject, callees(subject), chosen[:few], until, compared=False)
    costly = [one for one in timed if _matters(one, whole)]
    found = [_told(one, whole) for one in costly if one.calls and not one.callee.replaceable]
    compared = [one.callee for one in costly if one.callee.replaceable]
    if compared:
        whole, seen = _watched(subject, compared, chosen, until, compared=True)
        found += [_told(one, whole) for one in seen if one.calls and _matters(one, whole)]
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
            one.note(reading[0], _users_place(), clock.perf_counter() - begun, result)
            return result

        return noting

    return instead


def _users_place() -> tuple[str, int]:
    """The innermost line of the user that led here."""
    frame = sys._getframe(2)
    while frame.f_back is not None and not is_users(frame.f_code.co_filename):
        frame = frame.f_back
    return frame.f_code.co_filename, frame.f_lineno


def file_of(arguments: Sequence[Any]) -> str:
    """The file that a call is about, by its first argument."""
    first = arguments[0] if arguments else None
    name = identity_of(first) or first
    if not isinstance(name, str | Path):
        name = getattr(first, "name", None)
    try:
        path = Path(name) if isinstance(name, str | Path) and len(str(name)) < 4096 else None
        return str(path) if path and (path.exists() or identity_of(first)) else ""
    except (OSError, ValueError):
        return ""


def bytes_of(result: Any) -> int:
    """As arrays; of nested lists about, by the first of their parts; none of what is mapped."""
    if isinstance(result, np.memmap):
        return 0
    if isinstance(result, list | tuple | dict) and len(result) > MOST_VALUES:
        values = list(result.values() if isinstance(result, dict) else result[:MOST_VALUES])
        some = values[:MOST_VALUES]
        return sum(map(bytes_of, some)) * len(result) // len(some)
    if hasattr(result, "memory_usage"):  # of a pandas table
        usage = result.memory_usage()
        return int(usage.sum() if hasattr(usage, "sum") else usage)
    if hasattr(result, "num_rows") and hasattr(result, "nbytes"):  # of Arrow
        return int(result.nbytes)
    return sum(leaf.nbytes for leaf in leaves(result))


def storage_of(result: Any) -> int:
    """Bytes of the memory that tensors are a part of, which they hold whole."""
    whole: dict[int, int] = {}
    rest = 0
    if isinstance(result, np.memmap):
        return 0
    for leaf in leaves(result):
        if isinstance(leaf.value, torch.Tensor) and leaf.value.layout == torch.strided:
            storage = leaf.value.untyped_storage()
            whole[storage.data_ptr()] = storage.nbytes()
        else:
            rest += leaf.nbytes
    return rest + sum(whole.values())


def _told(one: Seen, whole: Sequence[float]) -> dict[str, Any]:
    (file, line), _ = one.lines.most_common(1)[0]
    path, times = one.files.most_common(1)[0] if one.files else ("", 0)
    return {
        "name": one.callee.name,
        "full_name": one.callee.full_name,
        "file": file,
        "line": line,
        "code": linecache.getline(file, line).strip()[:LONGEST],
        "share": one.share(whole),
        "seconds": one.seconds / one.calls,
        "samples": len(whole),
        "calls": one.calls,
        "known": one.calls - one.unknown,
        "again": one.again,
        "differs": one.differs,
        "arrays": one.arrays,
        "distinct": len(one.keys),
        "path": path,
        "times": times,
        "files": len(one.files),
        "gives": sorted(one.gives)[len(one.gives) // 2] if one.gives else 0,
        "takes": one.takes,
        "held": sorted(one.held)[len(one.held) // 2] if one.held else 0,
        "chunk": one.chunk,
    }
