"""What a process writes down while it reads samples, and how it can be asked where it stands.

A process of probes and each worker of its loaders has a file with the index that it is reading. A
signal makes faulthandler write the stacks of all its threads, also while code written in C holds
the interpreter's lock.
"""

from __future__ import annotations

import ctypes
import faulthandler
import mmap
import os
import signal
import struct
from pathlib import Path
from typing import Any

FOLDER = "DATASET_STUDY_DOCTOR"  # in the environment of every process that the doctor starts
PROCESSES = "processes"  # below that folder, the files of each
ASK = getattr(signal, "SIGRTMIN", signal.SIGUSR1) + 11  # one that programs seldom use
SHAPE = struct.Struct("qq")  # the index that is being read, -1 for none; how many reads were begun
HANG = "workers hang"  # why none are started any more
NOTHING_READ = SHAPE.pack(-1, 0)

slots: Any = (ctypes.c_int64 * 2)(-1, 0)
_kept: list[Any] = []  # files that faulthandler writes to by their descriptors


def files_of(folder: Path, pid: int) -> tuple[Path, Path]:
    """Where a process writes the index that it is reading, and the stacks that it is asked for."""
    return folder / PROCESSES / f"{pid}.reading", folder / PROCESSES / f"{pid}.stacks"


def note_in(folder: Path) -> None:
    """From now on, for this process and not for those that it forks."""
    global slots
    reading, stacks = files_of(folder, os.getpid())
    new = reading.with_suffix(".new")
    new.write_bytes(NOTHING_READ)
    with new.open("r+b") as file:
        slots = (ctypes.c_int64 * 2).from_buffer(mmap.mmap(file.fileno(), SHAPE.size))
    _kept.append(stacks.open("w"))
    faulthandler.register(ASK, _kept[-1])
    new.rename(reading)  # from here on it is asked
    if len(_kept) == 1:
        os.register_at_fork(after_in_child=_note_nowhere)


def note_in_worker() -> None:
    """The same, for a worker of a loader, where the doctor has started it."""
    folder = Path(os.environ.get(FOLDER, ""))
    if (folder / PROCESSES).is_dir():
        note_in(folder)


def _note_nowhere() -> None:
    global slots
    slots = (ctypes.c_int64 * 2)(-1, 0)
