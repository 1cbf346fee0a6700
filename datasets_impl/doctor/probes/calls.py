"""Calls of one function by the user's code: their time, their arguments, and what came of them."""

from __future__ import annotations

import linecache
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image

from datasets_impl.doctor.probes.callees import Callee
from datasets_impl.doctor.probes.chunks import chunk_of
from datasets_impl.doctor.probes.epochs import attribute, has
from datasets_impl.doctor.probes.samples import fingerprint, leaves
from datasets_impl.doctor.probes.standing import Key, identity_of, key_of_call

MOST_CALLS = 2000  # of one function, beyond which its arguments are not compared
LONG = 1e-4  # seconds of a call, whose result is looked at
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
    within: int = 0  # calls that the same sample had made already
    objects: bool = False  # a result was an object that holds no data of its own
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
        elif (first := self.keys.get(key)) is None:
            self.keys[key] = sample
        elif first != sample:
            self.again += 1
        else:
            self.within += 1
        self.objects |= self.callee.makes or is_object(result)
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
        reads = self.callee.of_container and not (self.callee.makes or self.callee.of_class)
        if not self.chunk and reads:
            self.chunk = chunk_of(arguments[0], arguments[1], result)

    def told(self, whole: Sequence[float]) -> dict[str, Any]:
        (file, line), _ = self.lines.most_common(1)[0]
        path, times = self.files.most_common(1)[0] if self.files else ("", 0)
        return {
            "name": self.callee.name,
            "full_name": self.callee.full_name,
            "file": file,
            "line": line,
            "code": linecache.getline(file, line).strip()[:LONGEST],
            "share": self.share(whole),
            "seconds": self.seconds / self.calls,
            "samples": len(whole),
            "calls": self.calls,
            "known": self.calls - self.unknown,
            "again": self.again,
            "within": self.within,
            "objects": self.objects,
            "differs": self.differs,
            "arrays": self.arrays,
            "distinct": len(self.keys),
            "path": path,
            "times": times,
            "files": len(self.files),
            "gives": sorted(self.gives)[len(self.gives) // 2] if self.gives else 0,
            "takes": self.takes,
            "held": sorted(self.held)[len(self.held) // 2] if self.held else 0,
            "chunk": self.chunk,
        }


def is_object(result: Any) -> bool:
    """Whether it is there to be asked, as a client or a connection is: neither data nor of many
    parts."""
    kind = type(result)
    plain = kind.__module__ in ("builtins", "numpy", "torch") or has(result, "__array__")
    return not plain and not has(result, "__len__") and not isinstance(result, Image.Image)


def file_of(arguments: Sequence[Any]) -> str:
    """The file that a call is about, by its first argument."""
    first = arguments[0] if arguments else None
    name = identity_of(first) or first
    if not isinstance(name, str | Path):
        name = attribute(first, "name")
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
    if has(result, "memory_usage"):  # of a pandas table
        usage = result.memory_usage()
        return int(usage.sum() if has(usage, "sum") else usage)
    if has(result, "num_rows") and has(result, "nbytes"):  # of Arrow
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
