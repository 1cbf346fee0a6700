"""Pack: all images one after the other in one file, read through a mapping."""

from __future__ import annotations

import itertools
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from datasets_impl.formats.images import StoredImages
from datasets_impl.formats.plan import Format, Plan
from datasets_impl.formats.stored import mapped

DATA = "data"


class PackWriter:
    """Every image has its place before the first is written, so threads write where they please."""

    def __init__(self, folder: Path, plan: Plan) -> None:
        self.places = plan.offsets
        flags = os.O_RDWR | os.O_CREAT | os.O_CLOEXEC
        self.descriptor = os.open(folder / DATA, flags, 0o644)

    def write(self, number: int, indices: range, pieces: Sequence[bytes]) -> None:
        view, offset = memoryview(b"".join(pieces)), int(self.places[indices.start])
        while view:
            written = os.pwrite(self.descriptor, view, offset)
            view, offset = view[written:], offset + written

    def read_back(self, number: int, indices: range) -> list[bytes]:
        ends = [int(self.places[index]) for index in (*indices, indices.stop)]
        return [os.pread(self.descriptor, b - a, a) for a, b in itertools.pairwise(ends)]

    def offsets(self) -> np.ndarray[Any, np.dtype[np.uint64]]:
        return self.places[:-1]

    def close(self) -> None:
        os.close(self.descriptor)


class PackFormat(Format):
    name = "pack"

    def writer(self, folder: Path, plan: Plan) -> PackWriter:
        return PackWriter(folder, plan)


class PackImages(StoredImages):
    """`read` returns a view into the mapping; nothing is copied."""

    format = PackFormat.name

    @property
    def data_file(self) -> Path:
        """For readers that map it themselves; of a set with shards each has its own."""
        self.require_same()
        return self.folder / DATA

    def open(self) -> memoryview:
        file = self.data_file
        return mapped(file) if file.stat().st_size else memoryview(b"")

    def get(self, handle: memoryview, index: int) -> memoryview:
        start = int(self.index["offset"][index])
        return handle[start : start + int(self.index["length"][index])]
