"""What processes leave in the temporary folder and in shared memory.

Of shared memory only names count that this project's processes can have made, and that no living
process has mapped: others use the same folder. They may be about to remove what they made, or a
killed one's next run about to sweep it, so what is left is what stays.
"""

from __future__ import annotations

import multiprocessing
import os
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil

from datasets_impl.system.owners import PREFIX, here

SHARED = Path("/dev/shm")
PATIENCE = 120  # seconds; only what is left takes them
KEPT = "torchinductor_"  # PyTorch's cache, which importing torchvision makes
MADE = ("torch_", "sem.", "psm_", PREFIX, "doctor-", "stored-")


def present() -> set[Path]:
    """Everything in this process's temporary folder, and of such names in shared memory."""
    shared = [path for path in _entries(SHARED) if path.name.startswith(MADE)]
    own = _entries(Path(tempfile.gettempdir()))
    return {*shared, *(path for path in own if not path.name.startswith(KEPT))}


def left(before: set[Path], since: float) -> set[Path]:
    """What is `present` and stays, was not `before`, and was made after the time `since`.

    Neither what this process removes when it ends, nor what a living process has mapped.
    """
    found, until = _found(before, since), time.monotonic() + PATIENCE
    while found and time.monotonic() < until:
        time.sleep(0.2)
        found &= _found(before, since)
    return found


def _found(before: set[Path], since: float) -> set[Path]:
    own = Path(str(getattr(multiprocessing.current_process(), "_config", {}).get("tempdir")))
    new = present() - before - {own}
    mapped = _mapped() if any(path.parent == SHARED for path in new) else set()
    found = set()
    for path in new:
        try:
            status = path.lstat()
        except FileNotFoundError:
            continue
        ours = status.st_uid == os.getuid() and status.st_mtime >= since
        if path.parent != SHARED or (ours and status.st_ino not in mapped and not _owned(path)):
            found.add(path)
    return found


def _owned(path: Path) -> bool:
    """Whether the process whose number is in the name lives, and is not this one."""
    owner = path.name.removeprefix(PREFIX).split("-")[0]
    return owner.isdigit() and int(owner) != os.getpid() and psutil.pid_exists(int(owner))


def shared(paths: set[Path]) -> list[Path]:
    """Those in shared memory, where tests that run beside this one have theirs for a moment."""
    return [path for path in paths if path.parent == SHARED]


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


def _mapped() -> set[int]:
    """Inodes of what living processes have mapped of shared memory, as far as one may see.

    Not names: a semaphore is mapped under another name than the one it is found by.
    """
    used = set()
    for maps in Path("/proc").glob("[0-9]*/maps"):
        try:
            lines = maps.read_text(errors="replace").splitlines()
        except OSError:  # it ended, or is another user's
            continue
        used |= {int(line.split()[4]) for line in lines if f" {SHARED}/" in line}
    return used


def gone(process: psutil.Process) -> bool:
    """A zombie has ended; nobody may be there to reap it."""
    try:
        return process.status() == psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return True


def until(condition: Callable[[], bool], seconds: float = 600) -> bool:
    end = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > end:
            return False
        time.sleep(0.01)
    return True


def ended() -> int:
    """The id of a process that has ended."""
    process = subprocess.Popen(["true"])
    process.wait()
    return process.pid if not psutil.pid_exists(process.pid) else ended()


def of_ended() -> str:
    """How names begin of what a process left that has ended."""
    return f"{PREFIX}{ended()}-{here()}-"
