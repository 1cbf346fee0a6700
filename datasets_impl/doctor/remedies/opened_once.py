"""A file that every sample opens, opened once in each worker."""

from __future__ import annotations

import contextlib
import os
import re
import sys
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import numpy as np

from datasets_impl.doctor.probes.callees import Callee
from datasets_impl.doctor.probes.raised import RAISED
from datasets_impl.doctor.probes.standing import Key, for_users, key_of_call
from datasets_impl.doctor.remedies.remedy import (
    DRAWS,
    FEW,
    Context,
    Instead,
    Remedy,
    alike,
    seeded,
)

OPENERS = (  # module, name
    ("h5py", "File"),
    ("numpy", "load"),
    ("zipfile", "ZipFile"),
    ("tarfile", "open"),
    ("lmdb", "open"),
    ("sqlite3", "connect"),
    ("zarr", "open"),
    ("zarr", "open_group"),
    ("zarr", "open_array"),
    ("pyarrow.parquet", "ParquetFile"),
)
ALONE = ("lmdb.open",)  # the user's way and this one cannot both have it open in one process
LINES = """if self.file is None:  # on first use in each worker, not in __init__
    self.file = {name}(self.path)"""


class Lasting:
    """What was opened, which stays open when the code closes it."""

    def __init__(self, opened: Any) -> None:
        self.opened = opened

    def __enter__(self) -> Lasting:
        return self

    def __exit__(self, *_: object) -> None:
        """Others go on with it."""

    def close(self) -> None:
        """The same."""

    def __getattr__(self, name: str) -> Any:
        if name == "opened":
            raise AttributeError(name)
        return getattr(self.opened, name)

    def __getitem__(self, key: Any) -> Any:
        return self.opened[key]

    def __iter__(self) -> Iterator[Any]:
        return iter(self.opened)

    def __len__(self) -> int:
        return len(self.opened)

    def __contains__(self, key: Any) -> bool:
        return key in self.opened


class Opened:
    """Stands in for a function that opens; each process opens for itself."""

    def __init__(self, original: Callable[..., Any]) -> None:
        self.original, self.owner = original, 0
        self.kept: dict[Key, Lasting] = {}
        self.used = False

    def __call__(self, *given: Any, **options: Any) -> Any:
        key = key_of_call(given, options)
        if key is None or _writes(given, options):
            return self.original(*given, **options)
        if self.owner != os.getpid():
            self.owner, self.kept = os.getpid(), {}
        if key not in self.kept:
            opened = self.original(*given, **options)
            if isinstance(opened, np.ndarray):  # of a file that is not kept open
                return opened
            self.kept[key] = Lasting(opened)
        self.used = True
        return self.kept[key]

    def close(self) -> None:
        """Before the user's own way opens the same."""
        for one in self.kept.values():
            with contextlib.suppress(*RAISED):
                one.opened.close()
        self.kept = {}


def _writes(given: tuple[Any, ...], options: dict[str, Any]) -> bool:
    mode = options.get("mode", given[1] if len(given) > 1 else "r")
    # What follows a colon or a bar is tarfile's name of a compression, such as "r:xz".
    return isinstance(mode, str) and bool(set(re.split("[:|]", mode)[0]) & set("wax+"))


def _same(at: Context, made: Instead) -> bool:
    """As `unharmed`, after all that the user's way gives: LMDB opens a store once in a process."""
    few = range(min(FEW, len(at.samples)))
    try:
        known: list[Any] = [[seeded(at.part, index, draw) for index in few] for draw in DRAWS]
        return all(alike(replace(at, part=known[draw]), made, True, draw) for draw in DRAWS)
    except RAISED:
        return False


def opened_once(at: Context) -> list[Remedy]:
    if not {"reopens", "opening", "reading", "reads-too-much"} & set(at.found):
        return []
    pairs, opened = [], list[tuple[str, Opened]]()
    for home, name in OPENERS:
        module = sys.modules.get(home)
        if module is None or not hasattr(module, name):
            continue
        callee = Callee(f"{home}.{name}", module, name)
        stand_in = Opened(callee.function)
        opened.append((callee.name, stand_in))
        pairs.append((callee, for_users(callee, stand_in)))
    made = Instead(at.part, pairs)
    same = bool(pairs) and _same(at, made)
    used = [name for name, stand_in in opened if stand_in.used]
    for _, stand_in in opened:
        stand_in.close()
    if not same or not used or (used[0] in ALONE and not at.subject.workers):
        return []
    return [
        Remedy(
            "opened-once",
            "Open the file once in each worker",
            LINES.format(name=used[0]),
            made,
            at.subject.workers,
            "C12",
            mends=("reopens", "opening", "reading", "reads-too-much"),
        )
    ]
