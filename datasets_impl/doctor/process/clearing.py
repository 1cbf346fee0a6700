"""Ends the processes of a folder that the doctor has made, and removes it and what they left."""

from __future__ import annotations

import contextlib
import os
import re
import signal
from collections.abc import Iterator
from pathlib import Path

import psutil

from datasets_impl.doctor.probes.reading import FOLDER
from datasets_impl.media.workspaces import RAM_DISK, remove
from datasets_impl.system.owners import prefix_of
from datasets_impl.system.running import processes

# Programs that remove what others leave in shared memory, once all of those have ended.
JANITORS = ("multiprocessing.resource_tracker", "torch_shm_manager")
TIDYING = 5.0  # seconds that they get


def told_to_end(pid: int) -> bool:
    """As by a Ctrl-C, at which code may tidy up what it has begun to write."""
    with contextlib.suppress(OSError):
        os.kill(pid, signal.SIGINT)
    return True


def clear(folder: Path, session: int = 0) -> None:
    """End all processes of the folder but this one, and remove it and what they left.

    Args:
        folder: one that this process, or the one that told it of the folder, has made.
        session: processes of this session belong to it, whatever their environment has become.
    """
    end_all_of(folder, session)
    remove(folder)


def end_all_of(folder: Path, session: int = 0) -> None:
    """End the processes, and remove what they left in shared memory."""
    left = _end_processes(str(folder), session)
    owner = prefix_of(folder.name)
    left |= {
        path for path in RAM_DISK.glob(f"sem.{owner or '-'}*") if prefix_of(path.name) == owner
    }
    for path in left:
        path.unlink(missing_ok=True)


def _end_processes(folder: str, session: int) -> set[Path]:
    """Those whose work it was are killed; the janitors end by themselves when these are gone.

    Returns what of PyTorch they had in shared memory.
    """
    mine = [
        process for process in processes()
        if process.pid != os.getpid()
        and (folder_of(process) == folder or (session and _session_of(process) == session))
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


def folder_of(process: psutil.Process) -> str:
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
