"""Why a process of probes came to its end, and over which sample."""

from __future__ import annotations

import ctypes
import mmap
import os
import signal
import struct
from pathlib import Path

from datasets_impl.doctor.probes import clock
from datasets_impl.doctor.probes.own_code import DOCTOR, is_own

SHAPE = struct.Struct("qq")  # the index that is being read, -1 for none; how many reads were begun
NOTHING_READ = SHAPE.pack(-1, 0)


class Sample:
    """The sample that another process is reading, as `Subject.read` writes it down."""

    def __init__(self, path: Path) -> None:
        self.path, self.seen, self.since = path, (-1, 0), clock.monotonic()

    def look(self) -> None:
        seen = SHAPE.unpack(self.path.read_bytes())
        if seen != self.seen:
            self.seen, self.since = seen, clock.monotonic()

    @property
    def index(self) -> int | None:
        return None if self.seen[0] < 0 else self.seen[0]

    @property
    def age(self) -> float:
        """Seconds since it was first seen to be read."""
        return clock.monotonic() - self.since


def slots(path: Path) -> ctypes.Array[ctypes.c_int64]:
    """The same file as two numbers in memory, for the process that reads."""
    with path.open("r+b") as file:
        return (ctypes.c_int64 * 2).from_buffer(mmap.mmap(file.fileno(), SHAPE.size))


def overran(stacks: Path) -> bool:
    """Whether the process ended itself because its time was over."""
    return bool(_stack(stacks))


def where(stacks: Path) -> str:
    """The innermost line of the dump that is the user's: not a library's, not the doctor's."""
    for line in _stack(stacks):
        place = line.strip().removeprefix("File ")
        file = place.partition('"')[2].partition('"')[0]
        if file and is_own(file) and not file.startswith(DOCTOR):
            return f"; it stood at {place}"
    return ""


def _stack(stacks: Path) -> list[str]:
    try:
        return stacks.read_text(errors="backslashreplace").splitlines()
    except OSError:
        return []


def death(code: int, said: Path) -> str:
    """In words, by the exit code of a process."""
    if code == -signal.SIGKILL:
        return "its process was ended by SIGKILL, as it is where memory runs out"
    if code < 0:
        return f"its process was ended by {signal.Signals(-code).name}"
    with said.open("rb") as file:
        file.seek(max(0, os.fstat(file.fileno()).st_size - 4096))
        text = file.read().decode(errors="backslashreplace")
    last = text.strip().splitlines()[-1:] or ["it said nothing"]
    return f"its process ended with code {code}: {last[0]}"
