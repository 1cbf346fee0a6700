"""What a dataset is made of: its parts by name, and which of them are files that are open."""

from __future__ import annotations

import inspect
import sys
from collections import deque
from collections.abc import Iterator
from itertools import chain, islice
from typing import Any

import numpy as np
import torch
from torch.utils.data import Dataset

from datasets_impl.doctor.probes.epochs import attribute
from datasets_impl.doctor.probes.own_lines import is_users
from datasets_impl.doctor.probes.target import Subject

DEEP = 5  # levels of objects that are looked into
MOST = 2000  # objects in all
BIG = 50_000  # elements of a list that workers will copy
OF = " of "  # between a variable and its module
HANDLES = {  # type -> what users call it
    "h5py._hl.files.File": "an HDF5 file",
    "h5py._hl.dataset.Dataset": "an HDF5 dataset",
    "lmdb.Environment": "an LMDB environment",
    "builtins.Environment": "an LMDB environment",
    "sqlite3.Connection": "an SQLite connection",
    "zipfile.ZipFile": "a zip file",
    "tarfile.TarFile": "a tar file",
    "_io.BufferedReader": "an open file",
    "_io.TextIOWrapper": "an open file",
    "numpy.lib.npyio.NpzFile": "an npz archive",
    "gzip.GzipFile": "a gzip file",
    "bz2.BZ2File": "a bz2 file",
    "lzma.LZMAFile": "an LZMA file",
    "shelve.DbfilenameShelf": "a shelf",
}


def parts(thing: Any) -> Iterator[tuple[str, Any, Any]]:
    """Attributes and elements of `thing`, level by level: the path that leads there, the value, and
    the dataset that it is a part of."""
    queue: list[tuple[str, Any, Any, int]] = [("dataset", thing, thing, 0)]
    seen: set[int] = set()
    while queue and len(seen) < MOST:
        path, value, owner, deep = queue.pop(0)
        if id(value) in seen or isinstance(value, str | bytes | int | float | type):
            continue
        seen.add(id(value))
        yield path, value, owner
        if deep < DEEP:
            own = value if isinstance(value, Dataset) else owner
            queue += [(f"{path}{name}", inner, own, deep + 1) for name, inner in _inner(value)]


def _inner(value: Any) -> list[tuple[str, Any]]:
    if isinstance(value, np.ndarray | torch.Tensor) or inspect.ismodule(value):
        return []
    if kind_name(value) in HANDLES:
        return []
    # Others may read from a file what they are asked for: they are objects with attributes.
    if isinstance(value, dict):
        return (
            [(f"[{key!r}]", one) for key, one in list(value.items())[:16]]
            if len(value) < BIG
            else []
        )
    if isinstance(value, list | tuple | deque):
        return (
            [(f"[{at}]", one) for at, one in enumerate(islice(value, 16))]
            if len(value) < BIG
            else []
        )
    attributes = attribute(value, "__dict__")
    return [(f".{name}", one) for name, one in attributes.items()] if attributes else []


def open_handles(subject: Subject) -> list[str]:
    """What is open for reading in the trainer's process, and would be shared by forked workers."""
    return [f"{path}, {kind}" for path, kind in handles(subject)]


def handles(subject: Subject) -> Iterator[tuple[str, str]]:
    for path, value in chain(_held(subject), _held_by_modules(subject)):
        kind = HANDLES.get(kind_name(value))
        if kind and not _is_closed(value) and not _is_written(value):
            yield path, kind


def _held(subject: Subject) -> Iterator[tuple[str, Any]]:
    yield from ((path, value) for path, value, _ in parts(subject.dataset))


def _held_by_modules(subject: Subject) -> Iterator[tuple[str, Any]]:
    """Variables of the user's modules that the dataset's classes come from."""
    homes = dict.fromkeys(type(one).__module__ for _, one, _ in parts(subject.dataset))
    for home in homes:
        module = sys.modules.get(home)
        if is_users(attribute(module, "__file__") or "<"):
            yield from ((f"{name}{OF}{home}", one) for name, one in list(vars(module).items()))


def kind_name(value: Any) -> str:
    return f"{type(value).__module__}.{type(value).__qualname__}"


def _is_closed(value: Any) -> bool:
    archive = (attribute(value, name, value) for name in ("zip", "fp"))
    return attribute(value, "closed", False) is True or None in archive


def _is_written(value: Any) -> bool:
    mode = attribute(value, "mode", "")
    if isinstance(mode, str):
        return bool(set(mode) & set("wax"))
    return bool(attribute(value, "writable", bool)())  # of gzip, whose mode is a number
