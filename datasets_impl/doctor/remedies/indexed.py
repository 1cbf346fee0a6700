"""An index for what queries ask by, tried on a copy of the database."""

from __future__ import annotations

import contextlib
import copy
import sqlite3
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

from datasets_impl.doctor.findings.again import INDEXED, unindexed
from datasets_impl.doctor.probes import clock
from datasets_impl.doctor.probes.callees import Callee
from datasets_impl.doctor.probes.loaders import Part
from datasets_impl.doctor.probes.room import DISK
from datasets_impl.doctor.remedies.remedy import Context, Instead, Remedy, unharmed

CONNECT = Callee("sqlite3.connect", sqlite3, "connect")


def indexed(at: Context) -> list[Remedy]:
    """Only where the dataset connects again when its connection is taken away."""
    if unindexed(at.seen) is None:
        return []
    one = at.seen["repeats"]["queries"][0]
    source, title = Path(one["path"]), f"Make an index on {one['table']}.{one['column']}"
    size = source.stat().st_size
    at.ask_for(title, {DISK: 2 * size})  # for the copy that it is tried on, and its index
    copied = at.folder / "indexed.db"
    seconds = _index(source, copied, one)
    pairs = [(CONNECT, partial(_elsewhere, sqlite3.connect, source, copied))]
    made = Instead(_without_connection(at), pairs)
    if not unharmed(at, made):
        return []
    return [
        Remedy(
            "indexed",
            title,
            INDEXED.format_map(one),
            made,
            at.subject.workers,
            cost="a part of the database's size",
            needs={DISK: size},  # at most
            once_seconds=seconds,
            mends=("reads-too-much", "reading", "opening"),
        )
    ]


def _index(source: Path, copied: Path, one: dict[str, Any]) -> float:
    """Seconds that the index takes to be made."""
    with (
        contextlib.closing(
            sqlite3.connect(f"{source.resolve().as_uri()}?mode=ro", uri=True)
        ) as old,
        contextlib.closing(sqlite3.connect(copied)) as new,
    ):
        old.backup(new)
        begun = clock.perf_counter()
        new.execute('CREATE INDEX by_it ON "{table}" ("{column}")'.format_map(one))
        new.commit()
        return clock.perf_counter() - begun


def _elsewhere(
    connect: Callable[..., sqlite3.Connection], source: Path, copied: Path, database: Any,
    *given: Any, **options: Any,
) -> sqlite3.Connection:  # fmt: skip
    there = Path(str(database).removeprefix("file:").partition("?")[0])
    if there.exists() and there.resolve() == source.resolve():
        database = str(copied)
    return connect(database, *given, **options)


def _without_connection(at: Context) -> Part:
    """The dataset as it is before its first sample, or in a worker that was just started."""
    bare = copy.copy(at.subject.dataset)
    for name, value in vars(bare).items():
        if isinstance(value, sqlite3.Connection | sqlite3.Cursor):
            setattr(bare, name, None)
    return Part(replace(at.subject, dataset=bare), at.part.indices, len(at.part))
