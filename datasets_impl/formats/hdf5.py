"""HDF5: pixels in one dataset, images x height x width x 3; JPEG bytes in one flat dataset."""

from __future__ import annotations

import os
import threading
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import h5py
import numpy as np

from datasets_impl.formats.images import StoredImages
from datasets_impl.formats.plan import Format, Plan

DATA, NAME = "data.h5", "images"
SPARE = 64 << 10  # bytes of the file beyond the images, at most


class Hdf5Writer:
    """Contiguous layout; the library allows one thread at a time."""

    def __init__(self, folder: Path, plan: Plan) -> None:
        self.plan, self.places = plan, plan.offsets
        self.lock = threading.Lock()
        path, size = folder / DATA, int(self.places[-1])
        if not path.exists():
            _reserve(path, size + SPARE)  # is there room?
            path.unlink()
        self.file = h5py.File(path, "a")
        if NAME not in self.file:
            early = h5py.h5p.create(h5py.h5p.DATASET_CREATE)
            early.set_alloc_time(h5py.h5d.ALLOC_TIME_EARLY)
            early.set_fill_time(h5py.h5d.FILL_TIME_NEVER)
            early.set_obj_track_times(False)  # the same images, the same bytes
            whole = h5py.h5s.create_simple(self._shape(size))
            h5py.h5d.create(self.file.id, NAME.encode(), h5py.h5t.STD_U8LE, whole, early)
            self.file.flush()
        self.data = self.file.require_dataset(NAME, self._shape(size), np.uint8, exact=True)
        _reserve(path, path.stat().st_size)

    def _shape(self, size: int) -> tuple[int, ...]:
        return (len(self.plan.paths), *self.plan.shape) if self.plan.shape else (size,)

    def write(self, number: int, indices: range, pieces: Sequence[bytes]) -> None:
        flat = np.frombuffer(b"".join(pieces), np.uint8)
        with self.lock:
            if self.plan.shape:
                rows = flat.reshape(len(indices), *self.plan.shape)
                self.data[indices.start : indices.stop] = rows
            else:
                start = int(self.places[indices.start])
                self.data[start : start + len(flat)] = flat
            self.file.flush()

    def read_back(self, number: int, indices: range) -> list[bytes]:
        return [_read(self.data, self.plan.shape, self.places, index) for index in indices]

    def offsets(self) -> np.ndarray[Any, np.dtype[np.uint64]]:
        return self.places[:-1]

    def close(self) -> None:
        self.file.close()


def _reserve(path: Path, size: int) -> None:
    """Have the disk keep `size` bytes for the file: HDF5 crashes the process over a full disk."""
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
    try:
        if hasattr(os, "posix_fallocate"):  # not on macOS
            os.posix_fallocate(descriptor, 0, size)
    finally:
        os.close(descriptor)


def _read(data: Any, shape: Sequence[int], places: Any, index: int) -> bytes:
    if len(shape):
        return bytes(data[index].tobytes())
    return bytes(data[int(places[index]) : int(places[index + 1])].tobytes())


class Hdf5Format(Format):
    name = "hdf5"

    def writer(self, folder: Path, plan: Plan) -> Hdf5Writer:
        return Hdf5Writer(folder, plan)


class Hdf5Images(StoredImages):
    """Opened in each process: a handle taken across a fork reads garbage."""

    format = Hdf5Format.name

    def open(self) -> Any:
        return h5py.File(self.folder / DATA, "r")[NAME]

    def get(self, handle: Any, index: int) -> np.ndarray[Any, np.dtype[np.uint8]]:
        if self.header.shape:
            return np.ascontiguousarray(handle[index])
        start = int(self.index["offset"][index])
        return np.ascontiguousarray(handle[start : start + int(self.index["length"][index])])
