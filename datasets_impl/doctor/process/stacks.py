"""Where the threads of a process stand, by what faulthandler wrote."""

from __future__ import annotations

import linecache
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from datasets_impl.doctor.probes.own_code import DOCTOR, is_own

FRAME = re.compile(r'^  File "(.+)", line (\d+) in (.*)$')
# What a line waits for: a lock that is taken by name, or that is asked for.
TAKES = re.compile(r"^with ([\w.\[\]'\"]+)( as \w+)?:")
ASKS = re.compile(r"([\w.\[\]'\"]+(?:\(\))?)\.(?:acquire|wait|join|get|recv)\(")
LONGEST = 60  # characters of a line
MOST_FRAMES = 3  # that are told


@dataclass(frozen=True)
class Frame:
    file: str
    line: int
    function: str

    @property
    def code(self) -> str:
        return linecache.getline(self.file, self.line).strip()

    @property
    def is_users(self) -> bool:
        return is_own(self.file) and not self.file.startswith(DOCTOR)

    @property
    def awaited(self) -> str:
        """By its text, "" where the line does not wait by itself."""
        found = TAKES.search(self.code) or ASKS.search(self.code)
        return found[1] if found else ""

    def __str__(self) -> str:
        code = self.code if len(self.code) <= LONGEST else f"{self.code[:LONGEST]}…"
        return f"{Path(self.file).name}:{self.line}  {code}" + f" (in {self.function})"


def written(path: Path) -> str:
    try:
        return path.read_text(errors="backslashreplace")
    except OSError:
        return ""


def threads(text: str) -> list[list[Frame]]:
    """The frames of every thread, innermost first; the thread that was asked comes first."""
    found: list[list[Frame]] = []
    for line in text.splitlines():
        if line.startswith(("Thread ", "Current thread ")):
            found.insert(0 if line.startswith("Current") else len(found), [])
            at = found[0] if line.startswith("Current") else found[-1]
        elif (match := FRAME.match(line)) and found:
            at.append(Frame(match[1], int(match[2]), match[3]))
    return found


def users(frames: Sequence[Frame]) -> list[Frame]:
    return [frame for frame in frames if frame.is_users]


def reads(frames: Sequence[Frame]) -> bool:
    """Whether the doctor has called this thread: not one that the user's code has started."""
    return any(frame.file.startswith(DOCTOR) for frame in frames)


def stand_of(text: str) -> str:
    """The innermost line of the user's in the thread that reads samples, or else in another, and
    what the thread waits for."""
    frames = _telling(text)
    for own in users(frames)[:1]:
        waits = own.awaited or frames[0].awaited
        return f"{own}" + (f", waiting for {waits}" if waits else "")
    return ""


def places_of(text: str) -> list[str]:
    """The lines of the user's in that thread, the innermost first."""
    return [str(one) for one in users(_telling(text))[:MOST_FRAMES]]


def _telling(text: str) -> list[Frame]:
    there = sorted(threads(text), key=lambda frames: not reads(frames))
    return next(filter(users, there), [])
