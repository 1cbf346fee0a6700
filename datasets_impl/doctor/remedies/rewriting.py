"""An array of a file, written once more in other chunks: what a trial reads, and the lines that
write the whole file again and lose nothing of it."""

from __future__ import annotations

import bz2
import contextlib
import gzip
import math
import os
import shutil
from abc import ABC, abstractmethod
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from datasets_impl.doctor.probes.raised import RAISED

AT_ONCE = 1 << 28  # bytes that the lines hold in memory
H5 = """shutil.copyfile(path, new)  # all else in the file stays as it is
with h5py.File(path) as old, h5py.File(new, "r+") as file:
    for name, chunk, axis, step in {arrays}:
        rows, kept = old[name], old[name].id.get_create_plist()  # compression and the like
        kept.set_chunk(chunk)
        del file[name]
        told = name.encode(), rows.id.get_type(), rows.id.get_space(), kept
        made = h5py.Dataset(h5py.h5d.create(file.id, *told))
        for key in rows.attrs:
            made.attrs.create(key, rows.attrs[key], dtype=rows.attrs.get_id(key).dtype)
        for at in range(0, rows.shape[axis], step):
            part = (slice(None),) * axis + (slice(at, at + step),)
            made[part] = rows[part]
# The same by HDF5's own tool, which also keeps references to the array:
# h5repack {layouts} old.h5 new.h5"""
COPIED = "shutil.copytree(path, new)  # all else in the store stays as it is"
ELSEWHERE = "# `new` is a copy of all of the store at `path`: all else stays as it is"
ZARR = """
for name, chunk, axis, step in {arrays}:
    old = zarr.open_array(path, path=name, mode="r")
    made = zarr.from_array(
        new, name=name, data=old, chunks=chunk, fill_value=old.fill_value,{shards}
        attributes=old.attrs.asdict(), write_data=False, overwrite=True,
    )
    for at in range(0, old.shape[axis], step):
        part = (slice(None),) * axis + (slice(at, at + step),)
        made[part] = old[part]"""
CONSOLIDATED = "\nzarr.consolidate_metadata(new)  # which still tells of the old chunks"
UNPACKED = """with {module}.open(path) as old, open(new, "wb") as file:  # once, for each volume
    shutil.copyfileobj(old, file)  # piece by piece, header and all
volume = nibabel.load(new).dataobj  # reads only the slice that is taken"""


class Again(ABC):
    """What samples take of one array, written to `place` in chunks of that size."""

    whole = False  # it is written as a whole, whatever is taken of it

    def __init__(self, old: Any, chunk: tuple[int, ...], place: Path) -> None:
        self.chunk, self.place = chunk, place
        written = getattr(old, "shards", None) or getattr(old, "chunks", None) or old.shape
        self.cut = piece_of(old.shape, written, old.dtype.itemsize)
        self.opened: Any = None
        self.owner = 0  # a handle is not shared with the processes that are forked from this one

    @staticmethod
    @abstractmethod
    def inner(old: Any) -> str:
        """Its name inside the file."""

    @abstractmethod
    def create(self, old: Any) -> Any: ...

    @abstractmethod
    def open(self) -> Any: ...

    @staticmethod
    @abstractmethod
    def lines(old: Any, arrays: Sequence[tuple[str, Again]]) -> str:
        """For files such as that of `old`, and these arrays in it."""

    def close(self) -> None:
        """What is written is there to be read."""
        if self.opened is not None:
            with contextlib.suppress(AttributeError):
                self.opened.file.close()
        self.opened = None

    def write(self, old: Any, selection: Any, made: Any) -> None:
        if self.opened is None:
            self.opened = self.create(old)
        if not self.whole:
            self.opened[selection] = made

    def read(self, selection: Any) -> Any:
        if self.opened is None or self.owner != os.getpid():
            self.opened, self.owner = self.open(), os.getpid()
        return self.opened[selection]


class InH5(Again):
    @staticmethod
    def inner(old: Any) -> str:
        return str(old.name)

    def create(self, old: Any) -> Any:
        import h5py

        file, kept = h5py.File(self.place, "w"), old.id.get_create_plist()
        kept.set_chunk(self.chunk)
        told = old.id.get_type(), old.id.get_space(), kept
        return h5py.Dataset(h5py.h5d.create(file.id, b"data", *told))

    def open(self) -> Any:
        import h5py

        return h5py.File(self.place, "r")["data"]

    @staticmethod
    def lines(old: Any, arrays: Sequence[tuple[str, Again]]) -> str:
        layouts = (f"-l {name}:CHUNK={'x'.join(map(str, one.chunk))}" for name, one in arrays)
        return H5.format(arrays=_told(arrays), layouts=" ".join(layouts))


class InZarr(Again):
    @staticmethod
    def inner(old: Any) -> str:
        return str(old.path)

    def create(self, old: Any) -> Any:
        import zarr

        return zarr.from_array(
            str(self.place), data=old, chunks=self.chunk, fill_value=old.fill_value,
            shards=old.shards if _divides(self.chunk, old.shards) else None, write_data=False,
            overwrite=True,
        )  # fmt: skip

    def open(self) -> Any:
        import zarr

        return zarr.open_array(str(self.place), mode="r")

    @staticmethod
    def lines(old: Any, arrays: Sequence[tuple[str, Again]]) -> str:
        import zarr

        kept = all(_divides(one.chunk, old.shards) for _, one in arrays)
        lines = COPIED if type(old.store).__name__ == "LocalStore" else ELSEWHERE
        lines += ZARR.format(arrays=_told(arrays), shards="" if kept else " shards=None,")
        with contextlib.suppress(*RAISED):  # it is the array of no group
            root = zarr.open_group(old.store, mode="r")
            lines += CONSOLIDATED if root.metadata.consolidated_metadata is not None else ""
        return lines


class Unpacked(Again):
    """A packed volume as it is in its file, of which a slice can then be read."""

    whole = True

    @staticmethod
    def inner(old: Any) -> str:
        return ""

    def create(self, old: Any) -> Any:
        self.kind = type(old)
        self.told = tuple(old.shape), old.dtype, old.offset, old.slope, old.inter
        module = bz2 if str(old.file_like).endswith(".bz2") else gzip
        with module.open(old.file_like) as packed, self.place.open("wb") as file:
            shutil.copyfileobj(packed, file)
        return self.open()

    def open(self) -> Any:
        return self.kind(str(self.place), self.told)

    @staticmethod
    def lines(old: Any, arrays: Sequence[tuple[str, Again]]) -> str:
        return UNPACKED.format(module="bz2" if str(old.file_like).endswith(".bz2") else "gzip")


def piece_of(
    shape: Sequence[int], chunk: Sequence[int], itemsize: int, most: int = AT_ONCE
) -> tuple[int, int]:
    """The axis along which an array is read piece by piece, and how much of that at once: whole
    chunks, each of which is unpacked only once, where they are not too large for memory."""
    axis = max(range(len(shape)), key=lambda one: shape[one] / chunk[one])
    each = max(1, itemsize * math.prod(shape) // max(1, shape[axis]))
    chunks = most // (each * chunk[axis])
    return axis, min(shape[axis], chunk[axis] * chunks or max(1, most // each))


def _divides(chunk: Sequence[int], shards: Sequence[int] | None) -> bool:
    return shards is None or not any(
        whole % each for whole, each in zip(shards, chunk, strict=True)
    )


def _told(arrays: Sequence[tuple[str, Again]]) -> str:
    return repr([(name, one.chunk, *one.cut) for name, one in arrays])
