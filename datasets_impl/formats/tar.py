"""Tar shards as WebDataset reads them, with an index so that single images can be read too."""

from __future__ import annotations

import io
import tarfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from datasets_impl.files.atomic import atomic_write
from datasets_impl.formats.images import PartedImages
from datasets_impl.formats.plan import Format, Plan

BLOCK = 512  # bytes: a member's header, and what its content is padded to


def shard(number: int) -> str:
    return f"shard-{number:06}.tar"


class TarWriter:
    """A shard for each chunk: `<index>.jpg` members (`.bin` for pixels), each shard atomic."""

    def __init__(self, folder: Path, plan: Plan) -> None:
        self.folder, self.plan = folder, plan
        self.suffix = "jpg" if plan.kind == "jpeg" else "bin"

    def write(self, number: int, indices: range, pieces: Sequence[bytes]) -> None:
        content = io.BytesIO()
        with tarfile.open(fileobj=content, mode="w", format=tarfile.USTAR_FORMAT) as archive:
            for index, piece in zip(indices, pieces, strict=True):
                member = tarfile.TarInfo(f"{index:09}.{self.suffix}")
                member.size = len(piece)
                archive.addfile(member, io.BytesIO(piece))
        atomic_write(self.folder / shard(number), content.getvalue())

    def read_back(self, number: int, indices: range) -> list[bytes]:
        content = (self.folder / shard(number)).read_bytes()
        starts = self.offsets()
        return [
            content[int(starts[index]) : int(starts[index]) + int(self.plan.lengths[index])]
            for index in indices
        ]

    def offsets(self) -> np.ndarray[Any, np.dtype[np.uint64]]:
        """Of the content within its shard: every member has one header block before it."""
        size = self.plan.chunk_size
        taken = BLOCK - (-self.plan.lengths.astype(np.int64) // BLOCK) * BLOCK
        starts = np.concatenate([[0], np.cumsum(taken)])[:-1]
        first = starts[(np.arange(len(starts)) // size) * size]
        return np.asarray(starts - first + BLOCK, np.uint64)

    def close(self) -> None:
        return None


class TarFormat(Format):
    name = "tar"

    def writer(self, folder: Path, plan: Plan) -> TarWriter:
        return TarWriter(folder, plan)


class TarImages(PartedImages):
    """`read` returns a view into the mapped shard."""

    format = TarFormat.name
    part = staticmethod(shard)
