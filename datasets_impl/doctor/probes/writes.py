"""Whether the user's code may have written anything outside of the doctor's temporary folder.

What did is not run a second time: a process of the doctor's may be ended half way, and would leave
a file of the user's cut. Python's own audit events tell of files that are opened for writing; for
what code written in C does, the system counts the bytes that were written.
"""

from __future__ import annotations

import contextlib
import os
import stat
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psutil

from datasets_impl.doctor.probes.reading import FOLDER

TO_WRITE = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_APPEND
NAMED = {  # event -> which of its arguments are paths, and those of the folders they are below
    "os.rename": ((0, 2), (1, 3)), "os.link": ((1, 3),), "os.symlink": ((1, 2),),
    "os.remove": ((0, 1),), "os.mkdir": ((0, 2),), "os.rmdir": ((0, 1),), "os.truncate": ((0, -1),),
}  # fmt: skip
GOES = ("os.remove", "os.rmdir", "os.truncate")  # nothing is done where nothing is there
PROGRAMS = (
    "subprocess.Popen", "os.system", "os.posix_spawn", "os.spawn", "os.exec", "os.fork",
    "os.forkpty", "pty.spawn",
)  # fmt: skip
BASE = "sqlite3.connect"
FEW = 256  # bytes: threads wake each other by writing some
PRINTED, ERRORS = 1, 2  # where standard output and errors go, by number


class Writes:
    """What code did between `on` and `off`, as the end of a sentence; "" where it wrote nothing.

    Args:
        programs: whether another program or process counts, which may write.
    """

    def __init__(self, programs: bool = True) -> None:
        self.found, self.programs, self.counted, self._on = "", programs, False, False
        self.base = ""  # the first that was opened
        self.devices = False  # whether it wrote to one: those bytes are not told from others
        self.folder = os.path.realpath(os.environ[FOLDER]) if os.environ.get(FOLDER) else ""
        sys.addaudithook(self._hook)  # hooks cannot be removed: it is switched off instead

    @contextlib.contextmanager
    def on(self) -> Iterator[None]:
        with self._counting():
            self._on = True
            try:
                yield
            finally:
                self._on = False

    def _hook(self, event: str, arguments: tuple[Any, ...]) -> None:
        if not self._on or self.found:
            return
        try:
            self.found = self._told(event, arguments)
        except (OSError, TypeError, ValueError, IndexError):  # what was asked for fails as well
            return

    def _told(self, event: str, arguments: tuple[Any, ...]) -> str:
        if event == "open":
            path, mode, flags = arguments
            changes = flags & TO_WRITE or set(mode or "") & set("wax+")
            return self._outside(path) if changes else ""
        if event == BASE:  # one that is only read is opened alike
            self.base = self.base or self._outside(arguments[0])
            return "" if self.counted else self.base
        if event in PROGRAMS and self.programs:
            return "starts another process, which may write"
        for place, below in NAMED.get(event, ()):
            path = _below(arguments[place], arguments[below] if below > 0 else -1)
            there = os.path.lexists(path)
            if (event in GOES and not there) or (event == "os.mkdir" and there):
                continue
            if told := self._outside(path):
                return told
        return ""

    def _outside(self, path: Any) -> str:
        """Not what is written to a file that is open already: opening it has told."""
        if isinstance(path, int) or os.fsdecode(path) in ("", ":memory:"):
            return ""
        named = os.path.realpath(os.fsdecode(path))
        if self.folder and f"{named}{os.sep}".startswith(f"{self.folder}{os.sep}"):
            return ""
        if "__pycache__" in named or named.endswith(".pyc") or named.startswith("/proc/"):
            return ""
        with contextlib.suppress(OSError):  # it is made only now
            kind = os.stat(named).st_mode  # noqa: PTH116 - in a hook, which is to be quick
            if not (stat.S_ISREG(kind) or stat.S_ISDIR(kind)):
                self.devices = True
                return ""
        return f"writes {named}"

    @contextlib.contextmanager
    def _counting(self) -> Iterator[None]:
        """Counts bytes, in a process of the doctor's own; what is printed goes to a file until
        the end, so that it can be told from those."""
        before = _written() if self.folder else None
        _flush()
        kept = self._redirected() if before else None  # told of none, though some were written
        if kept is None:
            yield
            return
        self.counted, before, own = True, _written(), self._own()
        try:
            yield
        finally:
            _flush()
            more = (_written() or 0) - (before or 0) - (self._own() - own)
            with contextlib.suppress(OSError):  # where the user's code has closed all files
                os.dup2(kept, PRINTED)
                os.close(kept)
            if not self.found and not self.devices and more > FEW:
                self.found = self.base or "writes to a file"

    def _redirected(self) -> int | None:
        """Another number of where output went; None where the user's code has closed that, or has
        deleted the folder."""
        with contextlib.suppress(OSError):
            with Path(self.folder, "printed").open("ab") as printed:
                kept = os.dup(PRINTED)
                os.dup2(printed.fileno(), PRINTED)
            return kept
        return None

    def _own(self) -> int:
        """Bytes of what is printed and of files in the doctor's folder."""
        files: list[Any] = [PRINTED, ERRORS, *Path(self.folder).rglob("*")]
        sizes = {}
        for one in files:
            with contextlib.suppress(OSError):
                told = os.stat(one)  # noqa: PTH116 - of a path, or of an open file
                if stat.S_ISREG(told.st_mode):
                    sizes[told.st_dev, told.st_ino] = told.st_size
        return sum(sizes.values())


def _below(path: Any, folder: int) -> str:
    named = os.fsdecode(path)
    if folder is None or folder < 0:
        return named
    return str(Path(os.readlink(f"/proc/self/fd/{folder}"), named))  # noqa: PTH115


def _written() -> int | None:
    """Bytes that this process handed to the system; None where it is not told."""
    try:
        return int(psutil.Process().io_counters().write_chars)
    except (AttributeError, psutil.Error, OSError):
        return None


def _flush() -> None:
    for stream in (sys.stdout, sys.stderr):
        with contextlib.suppress(AttributeError, OSError, ValueError):
            stream.flush()
