"""Where a user's code runs: a folder, processes and semaphores that are known as the doctor's.

All of them are named after the doctor's process, so that they go when it ends. Of a killed one its
watchman removes them; where that was killed too, the next doctor that begins.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from datasets_impl.doctor.probes.own_code import DOCTOR
from datasets_impl.doctor.probes.reading import FOLDER, PROCESSES
from datasets_impl.doctor.process.clearing import clear, end_all_of, folder_of
from datasets_impl.doctor.process.watchman import Watchman, watchman
from datasets_impl.files.paths import temporary_files
from datasets_impl.media import workspaces as media
from datasets_impl.media.workspaces import (
    own_folder,
    sweep,
    sweep_semaphores,
    temporary_parent,
)
from datasets_impl.system.owners import owner_is_gone, prefix_of
from datasets_impl.system.running import processes


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
    """What a process in the sandbox adds to its environment: temporary files go to the folder, and
    this package is found from wherever the user's code changes to."""
    packages = [str(Path(DOCTOR).parents[1]), *filter(None, [os.environ.get("PYTHONPATH")])]
    return {"TMPDIR": str(folder), FOLDER: str(folder), "PYTHONPATH": os.pathsep.join(packages)}


def name_semaphores(folder: Path) -> None:
    """Semaphores that this process and its workers make are named after the folder's owner."""
    media.name_semaphores(prefix_of(folder.name))


def sweep_dead() -> None:
    """What doctors that were killed have left.

    A process's environment may name any folder: one goes only where `sweep` knows it as ours.
    """
    parents = {temporary_files(), temporary_parent()}
    for process in processes():
        folder = Path(folder_of(process))
        if owner_is_gone(folder.name):
            end_all_of(folder)
            parents.add(folder.parent)
    sweep_semaphores()
    for parent in parents:
        sweep(parent)
