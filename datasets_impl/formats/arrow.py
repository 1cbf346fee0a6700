"""Arrow streams as Hugging Face `datasets` reads them: a binary column, mapped, nothing copied."""

from __future__ import annotations

import io
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa

from datasets_impl.files.atomic import atomic_write
from datasets_impl.formats.images import StoredImages
from datasets_impl.formats.plan import Format, Plan
from datasets_impl.formats.stored import mapped

COLUMN = "image"


def part(number: int) -> str:
    return f"data-{number:06}.arrow"


class ArrowWriter:
    """A stream for each chunk, each atomic."""

    def __init__(self, folder: Path, plan: Plan) -> None:
        self.folder = folder

    def write(self, number: int, indices: range, pieces: Sequence[bytes]) -> None:
        table = pa.table({COLUMN: pa.array(pieces, pa.large_binary())})
        content = io.BytesIO()
        with pa.ipc.new_stream(content, table.schema) as stream:
            stream.write_table(table)
        atomic_write(self.folder / part(number), content.getvalue())

    def read_back(self, number: int, indices: range) -> list[bytes]:
        column = _column(self.folder / part(number))
        return [column[position].as_py() for position in range(len(indices))]

    def offsets(self) -> None:
        return None

    def close(self) -> None:
        return None


def _column(path: Path) -> Any:
    with pa.ipc.open_stream(pa.py_buffer(mapped(path))) as stream:  # Arrow takes UTF-8 names alone
        return stream.read_all()[COLUMN].combine_chunks()


class ArrowFormat(Format):
    name = "arrow"

    def writer(self, folder: Path, plan: Plan) -> ArrowWriter:
        return ArrowWriter(folder, plan)


class ArrowImages(StoredImages):
    format = ArrowFormat.name

    def open(self) -> dict[int, Any]:
        return {}

    def get(self, handle: dict[int, Any], index: int) -> memoryview:
        number, position = divmod(index, self.header.chunk)
        if number not in handle:
            self.require_same()
            handle[number] = _column(self.folder / part(number))
        return memoryview(handle[number][position].as_buffer()).cast(
            "B"
        )  # Arrow calls bytes signed
