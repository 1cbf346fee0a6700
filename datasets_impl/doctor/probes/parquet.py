"""Parquet files: which file an open one is, and what of it a row group holds."""

from __future__ import annotations

import functools
import sys
from os import PathLike, fspath
from typing import Any

SOURCE = "doctors_source"  # the attribute of an open file that has its path
KIND = "ParquetFile"


def note_sources() -> None:
    """From now on files that are opened by their path know it; pyarrow itself forgets it."""
    kind = getattr(sys.modules.get("pyarrow.parquet.core"), KIND, None)
    if kind is None or hasattr(kind.__init__, "__wrapped__"):
        return
    original = kind.__init__

    @functools.wraps(original)
    def opened(self: Any, source: Any, *given: Any, **options: Any) -> None:
        original(self, source, *given, **options)
        if isinstance(source, str | PathLike):
            setattr(self, SOURCE, fspath(source))

    kind.__init__ = opened


def rows_of(file: Any, groups: Any) -> dict[str, Any]:
    """Rows of the row groups that are read at once, and how many groups the file has."""
    chosen = groups if isinstance(groups, list | tuple | range) else [groups]
    told = file.metadata
    return {
        "rows": sum(told.row_group(int(one)).num_rows for one in chosen),
        "groups": int(told.num_row_groups),
        "of": int(told.num_rows),
    }
