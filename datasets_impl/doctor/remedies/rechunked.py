"""Arrays in files, written again in chunks of what a sample takes: HDF5, Zarr, packed volumes."""

from __future__ import annotations

import contextlib
import os
from abc import ABC, abstractmethod
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from datasets_impl.doctor.findings.again import of_chunks
from datasets_impl.doctor.probes.chunks import selected
from datasets_impl.doctor.probes.room import DISK
from datasets_impl.doctor.probes.standing import all_replaced, for_users, identity_of
from datasets_impl.doctor.remedies.kept_results import files_of
from datasets_impl.doctor.remedies.remedy import Context, Instead, Remedy, unharmed

H5 = """with h5py.File(path) as old, h5py.File(new, "w") as file:
    file.create_dataset({name!r}, data=old[{name!r}], chunks={chunk}, compression={packed!r})"""
ZARR = """old = zarr.open_array(path, mode="r")
new = zarr.create_array(new_path, shape=old.shape, dtype=old.dtype, chunks={chunk})
new[:] = old[:]"""
MAPPED = """np.save(new, np.asarray(nibabel.load(path).dataobj))  # once, for each volume
volume = np.load(new, mmap_mode="r")  # reads only the slice that is taken"""


class Again(ABC):
    """What samples take of one array, written to `place` in chunks of that size."""

    lines = ""

    def __init__(self, old: Any, chunk: tuple[int, ...], place: Path) -> None:
        self.shape, self.chunk, self.place = tuple(old.shape), chunk, place
        self.opened: Any = None
        self.owner = 0  # a handle is not shared with the processes that are forked from this one

    @abstractmethod
    def create(self, old: Any, dtype: Any) -> Any: ...

    @abstractmethod
    def open(self) -> Any: ...

    def close(self) -> None:
        """What is written is there to be read."""
        if self.opened is not None:
            with contextlib.suppress(AttributeError):
                self.opened.file.close()
        self.opened = None

    def write(self, old: Any, selection: Any, made: Any) -> None:
        if self.opened is None:
            self.opened = self.create(old, np.asarray(made).dtype)
        self.opened[selection] = made

    def read(self, selection: Any) -> Any:
        if self.opened is None or self.owner != os.getpid():
            self.opened, self.owner = self.open(), os.getpid()
        return self.opened[selection]


class InH5(Again):
    lines = H5

    def create(self, old: Any, dtype: Any) -> Any:
        import h5py

        file = h5py.File(self.place, "w")
        return file.create_dataset(
            "data", self.shape, dtype, chunks=self.chunk, compression=old.compression,
            shuffle=old.shuffle,
        )  # fmt: skip

    def open(self) -> Any:
        import h5py

        return h5py.File(self.place, "r")["data"]


class InZarr(Again):
    lines = ZARR

    def create(self, old: Any, dtype: Any) -> Any:
        import zarr

        return zarr.open_array(
            str(self.place), mode="w", shape=self.shape, chunks=self.chunk, dtype=old.dtype
        )

    def open(self) -> Any:
        import zarr

        return zarr.open_array(str(self.place), mode="r")


class InMapping(Again):
    lines = MAPPED

    def create(self, old: Any, dtype: Any) -> Any:
        return np.lib.format.open_memmap(self.place, "w+", dtype=dtype, shape=self.shape)

    def open(self) -> Any:
        return np.load(self.place, mmap_mode="c")


KINDS: dict[str, type[Again]] = {"Dataset": InH5, "Array": InZarr, "ArrayProxy": InMapping}


class Rewritten:
    """Stands in for reading by an index. While it is `writing` it keeps what is read, afterwards it
    gives that."""

    def __init__(self, original: Callable[..., Any], kind: type[Again], folder: Path) -> None:
        self.original, self.kind, self.folder = original, kind, folder
        self.arrays: dict[str, Again] = {}
        self.written: set[tuple[str, str]] = set()
        self.writing = True

    def __call__(self, container: Any, selection: Any, *more: Any) -> Any:
        name = identity_of(container)
        asked = (name, repr(selection))
        if not self.writing and asked in self.written:
            return self.arrays[name].read(selection)
        made = self.original(container, selection, *more)
        if self.writing and name and not isinstance(selection, str) and container.ndim:
            self._keep(container, name, selection, made)
            self.written.add(asked)
        return made

    def _keep(self, container: Any, name: str, selection: Any, made: Any) -> None:
        if name not in self.arrays:
            chunk = tuple(stop - start for start, stop in selected(selection, container.shape))
            place = self.folder / f"array-{len(self.arrays)}"
            self.arrays[name] = self.kind(container, chunk, place)
        self.arrays[name].write(container, selection, made)

    def finish(self) -> None:
        self.writing = False
        for one in self.arrays.values():
            one.close()


def rechunked(at: Context) -> list[Remedy]:
    """Tried over what the samples that are tried take of their arrays."""
    call = next(of_chunks(at.seen), None)
    callee = at.callees.get(call["name"]) if call else None
    kind = KINDS.get(call["name"].removesuffix("[]")) if call else None
    if call is None or callee is None or kind is None:
        return []
    chunk = call["chunk"]
    dtype = np.dtype(chunk["dtype"])
    packed = kind is InMapping
    title = (
        "Unpack each file once, and map what comes of it" if packed
        else "Write the store again, with chunks of a sample"
    )  # fmt: skip
    size = int(np.prod(chunk["shape"])) * dtype.itemsize * (files_of(call) if packed else 1)
    needs = at.ask_for(title, {DISK: size})
    folder = at.folder / "rechunked"
    folder.mkdir(exist_ok=True)
    stand_in = Rewritten(callee.function, kind, folder)
    pairs = [(callee, for_users(callee, stand_in))]
    with all_replaced(pairs):
        for place in range(len(at.part.indices)):
            at.part[place]
    stand_in.finish()
    made = Instead(at.part, pairs)
    if not unharmed(at, made):
        return []
    of_all = size / max(1, chunk["bytes"])  # chunks, each of which is read once
    taken = tuple(chunk["taken"])
    return [
        Remedy(
            "rechunked",
            title,
            kind.lines.format(
                chunk=taken, name=call["path"].rpartition(":")[2], packed=chunk.get("compression")
            ),
            made,
            at.subject.workers,
            "C11",
            cost="all of it",
            needs=needs,
            once_seconds=call["seconds"] * of_all,
            mends=("reads-too-much", "decompressing", "reading", "decoding", "waiting"),
        )
    ]
