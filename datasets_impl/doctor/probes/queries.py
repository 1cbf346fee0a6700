"""Queries of SQLite that a sample asks, and those of them that go through a whole table."""

from __future__ import annotations

import contextlib
import re
import sqlite3
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from datasets_impl.doctor.probes.callees import Callee
from datasets_impl.doctor.probes.parts import parts
from datasets_impl.doctor.probes.raised import RAISED
from datasets_impl.doctor.probes.reads import indices
from datasets_impl.doctor.probes.standing import replaced
from datasets_impl.doctor.probes.target import Subject

ASKED_BY = re.compile(r"\b(?:WHERE|AND)\s+\(?[\"'`\[]?(?:\w+\.)?(\w+)[\"'`\]]?\s*(?:=|IN\b)", re.I)
SCANNED = re.compile(r"^SCAN (?:TABLE )?(\w+)")
SAMPLES = 3


def queries(subject: Subject) -> list[dict[str, Any]]:
    """Table, column and rows of each query that has no index to go by."""
    if "sqlite3" not in sys.modules:
        return []
    asked: dict[tuple[str, str], None] = {}
    with _listening(subject, asked):
        for index in indices(subject, SAMPLES):
            with contextlib.suppress(*RAISED):
                subject.read(index)
    found: dict[tuple[str, str, str], dict[str, Any]] = {}
    for path, sql in list(asked)[: 4 * SAMPLES]:
        with contextlib.suppress(sqlite3.Error):
            for table, column, rows in _scans(path, sql):
                found[path, table, column] = {
                    "path": path, "table": table, "column": column, "rows": rows,
                }  # fmt: skip
    return list(found.values())


@contextlib.contextmanager
def _listening(subject: Subject, asked: dict[tuple[str, str], None]) -> Iterator[None]:
    """Every statement of connections that are open, or are opened meanwhile."""
    connect, heard = sqlite3.connect, list[sqlite3.Connection]()

    def listen(connection: sqlite3.Connection) -> None:
        path = file_of(connection)
        if path:
            heard.append(connection)
            connection.set_trace_callback(lambda sql: asked.setdefault((path, sql)))

    def opened(*arguments: Any, **options: Any) -> sqlite3.Connection:
        made: sqlite3.Connection = connect(*arguments, **options)
        with contextlib.suppress(*RAISED):
            listen(made)
        return made

    for one in connections(subject.dataset):
        with contextlib.suppress(*RAISED):
            listen(one)
    try:
        with replaced(Callee("sqlite3.connect", sqlite3, "connect"), opened):
            yield
    finally:
        for connection in heard:
            with contextlib.suppress(sqlite3.Error):
                connection.set_trace_callback(None)


def connections(dataset: Any) -> list[sqlite3.Connection]:
    return [one for _, one, _ in parts(dataset) if isinstance(one, sqlite3.Connection)]


def file_of(connection: sqlite3.Connection) -> str:
    return str(connection.execute("PRAGMA database_list").fetchone()[2])


def _scans(path: str, sql: str) -> Iterator[tuple[str, str, int]]:
    columns = ASKED_BY.findall(sql)
    if not columns or not sql.lstrip().upper().startswith("SELECT"):
        return
    reading = sqlite3.connect(f"{Path(path).resolve().as_uri()}?mode=ro", uri=True)
    with contextlib.closing(reading) as reader:
        for *_, detail in reader.execute(f"EXPLAIN QUERY PLAN {sql}").fetchall():
            match = SCANNED.match(detail)
            if not match or "USING" in detail:
                continue
            (table,) = match.groups()
            named = {
                row[1].lower(): row[1] for row in reader.execute(f'PRAGMA table_info("{table}")')
            }
            rows = reader.execute(f'SELECT MAX(rowid) FROM "{table}"').fetchone()[0] or 0
            if asked := [named[one.lower()] for one in columns if one.lower() in named]:
                yield table, asked[0], int(rows)
