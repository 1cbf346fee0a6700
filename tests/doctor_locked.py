"""Datasets whose workers share a lock. Each takes a folder, and marks the line that waits for it.

`HELD` hold it while they read, which every worker could do by itself; `BRIEF` for a moment, or each
sample its own.
"""

from __future__ import annotations

import fcntl
import multiprocessing
from multiprocessing.managers import SyncManager
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import torch
from filelock import FileLock
from torch.utils.data import DataLoader

from datasets_impl.doctor.probes import clock
from tests.doctor_again import Frames

WORK = 4e-3  # seconds of a processor


class Locked(Frames):
    """Frames that are unpacked, which takes a while."""

    lock: Any

    def unpacked(self, index: int) -> torch.Tensor:
        until = clock.thread_time() + WORK
        while clock.thread_time() < until:
            pass
        return torch.from_numpy(self.rows[index])


class Telescope(Locked):
    def prepare(self) -> None:
        self.lock = multiprocessing.get_context("fork").Lock()

    def __getitem__(self, index: int) -> torch.Tensor:
        with self.lock:  # the costly line
            return self.unpacked(index)


class Asked(Telescope):
    """The lock is taken by its name, in another function."""

    def __getitem__(self, index: int) -> torch.Tensor:
        self.take()
        try:
            return self.unpacked(index)
        finally:
            self.lock.release()

    def take(self) -> None:
        self.lock.acquire()  # the costly line


class Managed(Telescope):
    def prepare(self) -> None:
        manager = SyncManager(ctx=multiprocessing.get_context("fork"))
        manager.start()
        self.manager, self.lock = manager, manager.Lock()


class OnFile(Locked):
    def __getitem__(self, index: int) -> torch.Tensor:
        with FileLock(self.folder / "telescope.lock"):  # the costly line
            return self.unpacked(index)


class Flocked(Locked):
    def __getitem__(self, index: int) -> torch.Tensor:
        with (self.folder / "telescope.lock").open("w") as file:
            fcntl.flock(file, fcntl.LOCK_EX)  # the costly line
            frame = self.unpacked(index)
            fcntl.flock(file, fcntl.LOCK_UN)
            return frame


class Counting(Telescope):
    """Holds the lock for as long as a number takes."""

    def prepare(self) -> None:
        super().prepare()
        self.count_read = multiprocessing.get_context("fork").Value("q", 0)

    def __getitem__(self, index: int) -> torch.Tensor:
        with self.lock:
            self.count_read.value += 1
        return self.unpacked(index)


class Once(Telescope):
    """Holds it while the first sample loads what others find."""

    ready = False

    def __getitem__(self, index: int) -> torch.Tensor:
        if not self.ready:
            with self.lock:
                self.unpacked(index)
                self.ready = True
        return self.unpacked(index)


class OfEach(Locked):
    """Each sample has a lock of its own, for which nobody waits."""

    def __getitem__(self, index: int) -> torch.Tensor:
        with FileLock(self.folder / f"{index}.lock"):
            return self.unpacked(index)


class Filed(Telescope):
    """Frames lie in one file, which is opened before workers are started."""

    def prepare(self) -> None:
        super().prepare()
        self.path = self.folder / "frames.raw"
        self.path.write_bytes(self.rows.tobytes())
        self.file: Any = self.path.open("rb")

    def __getitem__(self, index: int) -> torch.Tensor:
        with self.lock:
            self.file.seek(index * self.rows[0].nbytes)
            frame = np.frombuffer(self.file.read(self.rows[0].nbytes), np.float32)
        return torch.from_numpy(frame.copy())


class Stored(Telescope):
    """In HDF5, which an object inside reads; the lock is a file's."""

    def prepare(self) -> None:
        self.path = self.folder / "frames.h5"
        with h5py.File(self.path, "w") as file:
            file["frames"] = self.rows
        self.reader = Reader(self.path)

    def __getitem__(self, index: int) -> torch.Tensor:
        with self.reader.lock:
            return torch.from_numpy(self.reader.frames[index])


class Reader:
    def __init__(self, path: Path) -> None:
        self.frames = h5py.File(path)["frames"]
        self.lock = FileLock(path.with_suffix(".lock"))


class Counted(Filed):
    """What workers share and change needs its lock."""

    def prepare(self) -> None:
        super().prepare()
        self.read = torch.zeros(1).share_memory_()  # type: ignore[no-untyped-call]


class Kept(Filed):
    """The file is held in another place too, where it would still be shared."""

    def prepare(self) -> None:
        super().prepare()
        self.same = Reader.__new__(Reader)
        self.same.frames, self.same.lock = self.file, None  # type: ignore[assignment]


class InTurn(Filed):
    """Reads on from where the last sample ended."""

    def __getitem__(self, index: int) -> torch.Tensor:
        with self.lock:
            return torch.frombuffer(bytearray(self.file.read(64)), dtype=torch.uint8)


OPENED_ANEW, LEFT = (Filed, Stored), (Telescope, Counted, Kept, InTurn)
HELD = (Telescope, Asked, Managed, OnFile, Flocked)
BRIEF = (Counting, Once, OfEach)


def loader_of(kind: type[Locked], folder: Path) -> DataLoader[Any]:
    return DataLoader(kind(folder), batch_size=4, num_workers=2)
