"""Where a user's code runs: a folder, processes and semaphores that are known as the doctor's.

All of them are named after the doctor's process, so that they go when it ends. Of a killed one its
watchman removes them; where that was killed too, the next doctor that begins.
"""

from __future__ import annotations

import contextlib
import os
import re
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import psutil

from datasets_impl.doctor.probes.reading import FOLDER, PROCESSES
from datasets_impl.doctor.process.watchman import Watchman, watchman
from datasets_impl.media import workspaces as media
from datasets_impl.media.workspaces import (
    RAM_DISK,
    own_folder,
    remove,
    sweep,
    sweep_semaphores,
    temporary_parent,
)
from datasets_impl.system.owners import owner_is_gone, prefix_of
from datasets_impl.system.running import processes

# Programs that remove what others leave in shared memory, once all of those have ended.
JANITORS = ("multiprocessing.resource_tracker", "torch_shm_manager")
TIDYING = 5.0  # seconds that they get


@dataclass
class Sandbox:
    """A folder for one process and all that it starts, and that process's `session`."""

    folder: Path
    watchman: Watchman
    session: int = 0

    def work(self, session: int) -> None:
        """A process was started, in a session of its own."""
        self.session = session
        self.watchman.tell(self.folder, session)


@contextmanager
def sandbox() -> Iterator[Sandbox]:
    """After the block nothing is left of the folder, the processes and what they shared.

    Raises:
        StudyError: no folder can be made among the temporary ones.
    """
    sweep_dead()
    with watchman() as beside:
        folder = own_folder(temporary_parent())
        beside.tell(folder)
        (folder / PROCESSES).mkdir()
        made = Sandbox(folder, beside)
        try:
            yield made
        finally:
            clear(folder, made.session)


def environment(folder: Path) -> dict[str, str]:
    """What a process in the sandbox adds to its environment: temporary files go to the folder."""
    return {"TMPDIR": str(folder), FOLDER: str(folder)}


def name_semaphores(folder: Path) -> None:
    """Semaphores that this process and its workers make are named after the folder's owner."""
    media.name_semaphores(prefix_of(folder.name))


def clear(folder: Path, session: int = 0) -> None:
    """End all processes of the folder but this one, and remove it and what they left.

    Args:
        folder: one that this process, or the one that told it of the folder, has made.
        session: processes of this session belong to it, whatever their environment has become.
    """
    _end_all_of(folder, session)
    remove(folder)


def _end_all_of(folder: Path, session: int = 0) -> None:
    """End the processes, and remove what they left in shared memory."""
    left = _end_processes(str(folder), session)
    owner = prefix_of(folder.name)
    left |= {
        path for path in RAM_DISK.glob(f"sem.{owner or '-'}*") if prefix_of(path.name) == owner
    }
    for path in left:
        path.unlink(missing_ok=True)


def sweep_dead() -> None:
    """What doctors that were killed have left.

    A process's environment may name any folder: one goes only where `sweep` knows it as ours.
    """
    parents = {Path(tempfile.gettempdir()), temporary_parent()}
    for process in processes():
        folder = Path(_folder_of(process))
        if owner_is_gone(folder.name):
            _end_all_of(folder)
            parents.add(folder.parent)
    sweep_semaphores()
    for parent in parents:
        sweep(parent)


def _end_processes(folder: str, session: int) -> set[Path]:
    """Those whose work it was are killed; the janitors end by themselves when these are gone.

    Returns what of PyTorch they had in shared memory.
    """
    mine = [
        process for process in processes()
        if process.pid != os.getpid()
        and (_folder_of(process) == folder or (session and _session_of(process) == session))
    ]  # fmt: skip
    janitors = [process for process in mine if _is_janitor(process)]
    others = [process for process in mine if process not in janitors]
    for process in others:
        with contextlib.suppress(psutil.Error):
            process.suspend()  # it makes nothing more while it is looked at
    left = {path for process in others for path in _of_torch(process.pid)}
    _kill(others)
    _kill(psutil.wait_procs(janitors, TIDYING)[1])
    return left


def _kill(processes: list[psutil.Process]) -> None:
    for process in processes:
        with contextlib.suppress(psutil.Error):
            process.kill()
    psutil.wait_procs(processes, TIDYING)


def _folder_of(process: psutil.Process) -> str:
    try:
        return str(process.environ().get(FOLDER, ""))
    except (psutil.Error, OSError):  # another user's, or it has just ended
        return ""


def _session_of(process: psutil.Process) -> int:
    try:
        return os.getsid(process.pid)
    except OSError:
        return 0


def _is_janitor(process: psutil.Process) -> bool:
    try:
        return any(name in " ".join(process.cmdline()) for name in JANITORS)
    except psutil.Error:
        return False


def _of_torch(pid: int) -> Iterator[Path]:
    """Tensors in shared memory whose name a process has not unlinked yet.

    Not by their names, which hold its pid: another container's may have it too.
    """
    with contextlib.suppress(OSError):  # it has ended, or this is no Linux
        used = Path(f"/proc/{pid}/maps").read_text(errors="replace")
        for link in Path(f"/proc/{pid}/fd").iterdir():
            with contextlib.suppress(OSError):
                used += f"{link.readlink()}\n"
        yield from map(Path, re.findall(rf"{RAM_DISK}/torch_{pid}_[^\s/]+", used))
