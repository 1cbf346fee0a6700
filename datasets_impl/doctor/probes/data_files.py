"""Files and folders that a dataset's samples come from: those that it holds the names of, and those
that were opened when samples were read."""

from __future__ import annotations

import contextlib
import os
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np

from datasets_impl.doctor.probes.epochs import attribute, has
from datasets_impl.doctor.probes.own_code import DOCTOR, LIBRARIES
from datasets_impl.doctor.probes.parts import parts

MOST_PLACES = 8  # of the data, that are looked at
LONGEST_PATH = 4096  # characters
LISTED, FIELDS = 4, 16  # of a list, and of one of its elements, that are looked at
DEEP = 3  # levels: a list of dictionaries of lists
FRAMES = ("pandas", "polars")
LOOKED_AT = 64  # opened files, that cost a call to the file system each
LEAST_OF_BYTES = 0.1  # of those that were opened, for files of a device to be the data
OF_DEVICE = 2  # files that are named
# No data: what Python itself and the system are read from.
OTHERS = (*LIBRARIES, DOCTOR, "/proc/", "/sys/", "/dev/pts/", "/etc/")
CODE = (".py", ".pyc", ".so")


def places(dataset: Any, opened: Iterable[str] = ()) -> list[Path]:
    """A few that the dataset holds the names of, and after these the `opened` ones."""
    found: dict[Path, None] = {}
    for text in _names(dataset):
        with contextlib.suppress(OSError, ValueError):
            path = Path(text)
            if len(text) < LONGEST_PATH and len(path.parts) > 1 and path.exists():
                found.setdefault(path.resolve())
        if len(found) == MOST_PLACES:
            break
    return list(dict.fromkeys([*found, *map(Path, opened)]))


def _names(dataset: Any) -> Iterator[str]:
    seen = set[int]()
    for _, value, _ in parts(dataset):
        held = attribute(value, "__dict__")
        inner = list(held.values()) if isinstance(held, dict) else []
        for one in [value, *inner]:
            yield from _texts(one, DEEP, seen)


def _texts(value: Any, deep: int, seen: set[int]) -> Iterator[str]:
    if isinstance(value, bytes) and len(value) < LONGEST_PATH:
        yield os.fsdecode(value)
    elif isinstance(value, str | Path):
        yield str(value)
    elif deep and id(value) not in seen:
        seen.add(id(value))
        for one in _few(value):
            yield from _texts(one, deep - 1, seen)


def _few(value: Any) -> list[Any]:
    """Of what holds many; nothing is called that is the user's own."""
    if isinstance(value, dict):
        return [one for pair in islice(value.items(), FIELDS) for one in pair]
    if isinstance(value, list | tuple | set | frozenset):
        return list(islice(value, FIELDS if isinstance(value, tuple) else LISTED))
    if type(value).__module__.partition(".")[0] in FRAMES and has(value, "head"):
        value = value.head(LISTED).to_numpy()
    if isinstance(value, np.ndarray) and value.dtype.kind in "USO":
        return list(value.flat[: LISTED * FIELDS].tolist())
    return []


def files_of_data(opened: Mapping[str, int]) -> list[str]:
    """Of files that were opened so many times each, some of every device that much of what they
    hold lies on. The last that were opened first: what comes before is the code's own."""
    by_device: dict[int, dict[str, int]] = defaultdict(dict)
    for text in islice(filter(_may_be_data, reversed(list(opened))), LOOKED_AT):
        with contextlib.suppress(OSError, ValueError):
            path = Path(text).resolve()
            if path.is_file() and _may_be_data(str(path)):
                told = path.stat()
                by_device[told.st_dev][str(path)] = told.st_size * opened[text]
    total = sum(sum(files.values()) for files in by_device.values())
    return [
        path
        for files in by_device.values()
        if sum(files.values()) >= LEAST_OF_BYTES * max(1, total)
        for path in sorted(files, key=lambda one: -files[one])[:OF_DEVICE]
    ]


def _may_be_data(text: str) -> bool:
    return not text.startswith(OTHERS) and not text.endswith(CODE)
