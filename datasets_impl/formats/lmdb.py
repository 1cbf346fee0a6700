"""LMDB: a B+ tree of images by index, in one mapped file."""

from __future__ import annotations

import os
import threading
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import lmdb

from datasets_impl.formats.images import StoredImages
from datasets_impl.formats.plan import Format, Plan

DATA = "data.lmdb"
SPARE = 64 << 20  # bytes of the map beyond the images: the tree itself


def _key(index: int) -> bytes:
    return index.to_bytes(8, "big")  # in the order of the index, so that neighbours are neighbours


class LmdbWriter:
    def __init__(self, folder: Path, plan: Plan) -> None:
        pages = int((-(-plan.lengths.astype(int) // 4096) * 4096).sum())
        # Each image takes whole pages and a header; the map is only address space until written.
        size = 2 * pages + SPARE
        self.lock = threading.Lock()  # in place of LMDB's, which leaves a file
        self.environment = lmdb.open(
            os.fsencode(folder / DATA), map_size=size, subdir=False, lock=False
        )  # synced with every chunk: LMDB may abort the process over pages that a crash lost

    def write(self, number: int, indices: range, pieces: Sequence[bytes]) -> None:
        with self.lock, self.environment.begin(write=True) as transaction:
            for index, piece in zip(indices, pieces, strict=True):
                transaction.put(_key(index), piece)

    def read_back(self, number: int, indices: range) -> list[bytes]:
        with self.environment.begin() as transaction:
            return [transaction.get(_key(index)) or b"" for index in indices]

    def offsets(self) -> None:
        return None

    def close(self) -> None:
        self.environment.sync(True)
        self.environment.close()


class LmdbFormat(Format):
    name = "lmdb"

    def writer(self, folder: Path, plan: Plan) -> LmdbWriter:
        return LmdbWriter(folder, plan)


# A process may open a file once only, so all readers share it, under whichever name they know it.
# It stays open, as views into it would be left hanging otherwise: (device, inode) -> (process,
# opened). While it is open, no other file gets its inode.
_OPENED: dict[tuple[int, int], tuple[int, Any]] = {}


_opening = threading.Lock()
os.register_at_fork(
    before=_opening.acquire, after_in_parent=_opening.release, after_in_child=_opening.release
)


def _environment(path: Path) -> Any:
    status = path.stat()
    key = status.st_dev, status.st_ino
    with _opening:
        known = _OPENED.get(key)
        if known and known[0] == os.getpid():
            return known[1]
        if known:
            known[1].close()  # inherited over a fork
        found = lmdb.open(
            os.fsencode(path), subdir=False, readonly=True, lock=False, readahead=False
        )
        _OPENED[key] = os.getpid(), found
        return found


class LmdbImages(StoredImages):
    """One read transaction for each process; `read` returns a view into the mapping."""

    format = LmdbFormat.name

    def open(self) -> Any:
        return _environment(self.folder / DATA).begin(buffers=True)

    def get(self, handle: Any, index: int) -> Any:
        found = handle.get(_key(index))
        if found is None:
            raise KeyError(index)
        return found
