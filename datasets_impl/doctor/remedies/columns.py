"""Columns of a pandas table as NumPy arrays, which rows are taken from by number and name."""

from __future__ import annotations

import copy
import sys
from dataclasses import replace
from typing import Any

from datasets_impl.doctor.probes.epochs import attribute
from datasets_impl.doctor.probes.loaders import Part
from datasets_impl.doctor.probes.room import MEMORY
from datasets_impl.doctor.remedies.remedy import Context, Remedy, unharmed

CAUSE = "pandas look-ups"
LINES = """self.columns = {{name: {table}[name].to_numpy() for name in {table}}}  # in __init__
# in __getitem__:
value = self.columns[name][index]  # in place of {table}.iloc[index][name]"""


class Row:
    """A row as `table.iloc[index]` gives it, to code that asks it for values by name."""

    def __init__(self, columns: dict[str, Any], index: int) -> None:
        self.columns, self.index = columns, index

    def __getitem__(self, name: str) -> Any:
        return self.columns[name][self.index]

    def __getattr__(self, name: str) -> Any:
        if name in ("columns", "index") or name not in self.columns:
            raise AttributeError(name)
        return self.columns[name][self.index]


class Columns:
    """A table of which rows are asked for by number, and columns by name."""

    def __init__(self, table: Any) -> None:
        self.columns = {name: table[name].to_numpy() for name in table}
        self.length = len(table)
        self.iloc = _ByNumber(self.columns)

    def __len__(self) -> int:
        return self.length

    def __getitem__(self, name: str) -> Any:
        return self.columns[name]


class _ByNumber:
    def __init__(self, columns: dict[str, Any]) -> None:
        self.columns = columns

    def __getitem__(self, asked: Any) -> Row:
        if isinstance(asked, tuple) and len(asked) == 2 and asked[1] == slice(None):
            asked = asked[0]
        return Row(self.columns, int(asked))


def columns(at: Context) -> list[Remedy]:
    """Where the code takes single rows of a table apart, by the names of their values."""
    pandas = sys.modules.get("pandas")
    if pandas is None or CAUSE not in at.found:
        return []
    held = attribute(at.subject.dataset, "__dict__", {})
    tables = {name: one for name, one in held.items() if isinstance(one, pandas.DataFrame)}
    if not tables:
        return []
    title = "Take the table's columns as arrays, once"
    size = sum(int(one.memory_usage().sum()) for one in tables.values())
    needs = at.ask_for(title, {MEMORY: size})
    bare = copy.copy(at.subject.dataset)
    for name, table in tables.items():
        setattr(bare, name, Columns(table))
    made = Part(replace(at.subject, dataset=bare), at.part.indices, len(at.part))
    if not unharmed(at, made):
        return []
    return [
        Remedy(
            "columns",
            title,
            LINES.format(table=f"self.{next(iter(tables))}"),
            made,
            at.subject.workers,
            "C12",
            needs=needs,
            mends=(CAUSE, "python"),
        )
    ]
