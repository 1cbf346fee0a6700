"""Why a process of probes came to its end, and over which sample."""

from __future__ import annotations

import os
import re
import signal
from pathlib import Path

from datasets_impl.doctor.probes import clock
from datasets_impl.doctor.probes.reading import SHAPE, files_of
from datasets_impl.doctor.process.stacks import stand_of, written

# What PyTorch says of a worker that came to its end, where it tells how.
ENDED = re.compile(
    r"DataLoader worker \(pid(?:\(s\))? ([\d, ]+)\)(?: is killed by signal: ([\w ]+))?"
)


class Sample:
    """The sample that another process is reading, as `Subject.read` writes it down."""

    def __init__(self, path: Path) -> None:
        self.path, self.seen, self.since = path, (-1, 0), clock.monotonic()

    def look(self) -> bool:
        """Whether it went on since the last look."""
        if not self.path.exists():
            return False
        seen = SHAPE.unpack(self.path.read_bytes())
        if seen == self.seen:
            return False
        self.seen, self.since = seen, clock.monotonic()
        return True

    @property
    def index(self) -> int | None:
        return None if self.seen[0] < 0 else self.seen[0]

    @property
    def age(self) -> float:
        """Seconds since it was first seen to be read."""
        return clock.monotonic() - self.since


def overran(stacks: Path) -> bool:
    """Whether the process ended itself because its time was over."""
    return bool(written(stacks))


def where(stacks: Path) -> str:
    """The line of the user's that it stood at, and what it waited for there."""
    found = stand_of(written(stacks))
    return f"; it stood at {found}" if found else ""


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


def worker_death(folder: Path, error: str) -> tuple[int, str] | None:
    """The sample over which a loader's worker ended, and how, where `error` tells of such."""
    told = ENDED.search(error)
    for pid in told[1].split(", ") if told else ():
        sample = Sample(files_of(folder, int(pid))[0])
        if told and sample.look() and sample.index is not None:
            how = f"was ended by the signal {told[2]}" if told[2] else "came to its end"
            memory = ", as it is where memory runs out" if told[2] == "Killed" else ""
            return sample.index, f"its worker {how}{memory}"
    return None
