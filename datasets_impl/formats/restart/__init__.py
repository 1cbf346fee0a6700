"""JPEG with restart markers, so that a box of an image can be read and decoded without the rest.

What is stored of an image is a record of `jpeg`: the same coefficients, and where each interval
lies; `writing` puts the markers in, by `transcode`. Images that are no baseline JPEG are stored as
they are. Files hold a chunk each: the number of records, their lengths, the records.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from datasets_impl.files.atomic import atomic_write
from datasets_impl.formats.images import PartedImages
from datasets_impl.formats.plan import Format, Plan
from datasets_impl.formats.restart.jpeg import Unsuitable
from datasets_impl.formats.restart.writing import with_restarts
from datasets_impl.formats.stored import Kind

WORD = 4  # bytes of each number at the head of a part


def part(number: int) -> str:
    return f"part-{number:06}"


class RestartWriter:
    def __init__(self, folder: Path, plan: Plan) -> None:
        self.folder, self.plan = folder, plan

    def write(self, number: int, indices: range, pieces: Sequence[bytes]) -> None:
        head = np.array([len(pieces), *(len(piece) for piece in pieces)], "<u4")
        atomic_write(self.folder / part(number), head.tobytes() + b"".join(pieces))

    def read_back(self, number: int, indices: range) -> list[bytes]:
        content = (self.folder / part(number)).read_bytes()
        lengths = np.frombuffer(content, "<u4", len(indices), WORD)
        ends = WORD * (1 + len(indices)) + np.cumsum([0, *lengths], dtype=np.int64)
        return [content[ends[i] : ends[i + 1]] for i in range(len(indices))]

    def offsets(self) -> np.ndarray[Any, np.dtype[np.uint64]]:
        """Of each record within its part."""
        found = []
        for number in range(self.plan.chunks):
            indices = self.plan.chunk(number)
            lengths = self.plan.lengths[indices.start : indices.stop].astype(np.int64)
            found.append(WORD * (1 + len(indices)) + np.cumsum(lengths) - lengths)
        return np.concatenate(found).astype(np.uint64)

    def close(self) -> None:
        return None


class RestartFormat(Format):
    name = "restart"
    kinds: tuple[Kind, ...] = ("jpeg",)

    def writer(self, folder: Path, plan: Plan) -> RestartWriter:
        return RestartWriter(folder, plan)

    def encode(self, content: bytes) -> bytes:
        try:
            return with_restarts(content)
        except Unsuitable:
            return content


class RestartImages(PartedImages):
    """`read` returns a view of the record in the mapped part; see `restart/jpeg.py`."""

    format = RestartFormat.name
    part = staticmethod(part)
