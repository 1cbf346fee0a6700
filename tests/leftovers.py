"""What processes leave in the temporary folder and in shared memory.

Of shared memory only names count that this project's processes can have made, and that no living
process has open: others use the same folder.
"""

from __future__ import annotations

import multiprocessing
import os
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

SHARED = Path("/dev/shm")
MADE = ("torch_", "sem.", "psm_", "dataset-study-", "doctor-", "stored-")


def present() -> set[Path]:
    """Everything in this process's temporary folder, and of such names in shared memory."""
    shared = [path for path in _entries(SHARED) if path.name.startswith(MADE)]
    return {*_entries(Path(tempfile.gettempdir())), *shared}


def left(before: set[Path], since: float) -> set[Path]:
    """What is `present` now, was not `before`, and was made after the time `since`.

    Neither what this process removes when it ends, nor what a living process has open.
    """
    own = str(getattr(multiprocessing.current_process(), "_config", {}).get("tempdir"))
    found = set()
    for path in present() - before - {Path(own)}:
        try:
            status = path.lstat()
        except FileNotFoundError:
            continue
        if path.parent != SHARED or (status.st_uid == os.getuid() and status.st_mtime >= since):
            found.add(path)
    open_now = _open() if any(path.parent == SHARED for path in found) else set()
    return {
        path
        for path in found
        if os.path.lexists(path) and not (path.parent == SHARED and path.lstat().st_ino in open_now)
    }


class Watch:
    """Tells what was left since it began, and which test it was first seen after."""

    def __init__(self) -> None:
        self.before, self.since = present(), time.time()
        self.seen: dict[Path, str] = {}

    def after(self, test: str) -> None:
        for path in present() - self.before - self.seen.keys():
            self.seen[path] = test

    def report(self) -> list[str]:
        """A line for each thing that is left."""
        return [
            f"{path}, first seen after {self.seen.get(path, 'the last test')}"
            for path in sorted(left(self.before, self.since))
        ]


def _entries(folder: Path) -> Iterator[Path]:
    return folder.iterdir() if folder.is_dir() else iter(())


def _open() -> set[int]:
    """Inodes of what processes have mapped or open in shared memory, as far as one may see.

    Not names: a semaphore is mapped under another name than the one it is found by.
    """
    used = set()
    for process in Path("/proc").glob("[0-9]*"):
        try:
            lines = (process / "maps").read_text().splitlines()
            used |= {int(line.split()[4]) for line in lines if f" {SHARED}/" in line}
            files = [
                file for file in (process / "fd").iterdir() if f"{SHARED}/" in os.readlink(file)
            ]
            used |= {file.stat().st_ino for file in files}
        except OSError:  # it ended, or is another user's
            continue
    return used
