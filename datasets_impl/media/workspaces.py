"""Working folders on a chosen medium: RAM disk, disk with warm or with cold page cache.

A dataset may write beside its images (example 3 does), so each measurement works in a folder of
its own: hard links to the cached corpus on disk, copies on the RAM disk. Folders are named
after their owner, see `datasets_impl.system.owners`, and hold a note by which they are known;
`sweep` removes those whose owner is gone, so a killed run leaves nothing for long. Machines and
containers that share a folder leave each other's alone, for a week.
"""

from __future__ import annotations

import multiprocessing
import os
import shutil
import stat
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import psutil

from datasets_impl.errors import StudyError, Unsupported
from datasets_impl.files.atomic import describe_write_error
from datasets_impl.files.paths import cache_dir, temporary_files
from datasets_impl.media import cgroup
from datasets_impl.system.owners import is_elsewhere, own_prefix, swept
from datasets_impl.system.termination import stopping_on_termination

NOTE = ".working-folder"  # in each working folder, by which it is known
TEXT = "This folder goes when the process ends whose number is in its name.\n"
LONGEST_RUN = 7 * 86_400  # seconds; what is older was left by a machine that comes no more
RAM_DISK = Path("/dev/shm")  # noqa: S108 - the RAM disk is the point
SHORT = Path("/tmp")  # noqa: S108 - where the usual place is too deep
LONGEST = 35  # bytes of a path below which a socket's name, of 107, can still be made
MEMORY_FILESYSTEMS = {"tmpfs", "ramfs"}


def filesystem(path: Path) -> str:
    """Type of the file system that holds `path`, for example "ext4" or "tmpfs"."""
    resolved = path.resolve()
    mounts = psutil.disk_partitions(all=True)
    above = [mount for mount in mounts if resolved.is_relative_to(mount.mountpoint)]
    best = max(above, key=lambda mount: len(mount.mountpoint), default=None)
    return best.fstype if best else "unknown"


def scratch_parent(medium: str) -> Path:
    """The folder in which working folders on `medium` are made.

    Raises:
        ValueError: no such medium.
        Unsupported: this machine does not have the medium.
    """
    if medium not in PARENTS:
        raise ValueError(f"unknown medium {medium!r}; known: {', '.join(PARENTS)}")
    return PARENTS[medium]()


def _ram_disk() -> Path:
    if not RAM_DISK.is_dir() or filesystem(RAM_DISK) not in MEMORY_FILESYSTEMS:
        raise Unsupported("this machine has no RAM disk at /dev/shm")
    return RAM_DISK


def _disk() -> Path:
    parent = cache_dir() / "scratch"
    parent.mkdir(parents=True, exist_ok=True)
    if filesystem(parent) in MEMORY_FILESYSTEMS:
        raise Unsupported(
            "the cache folder is on a RAM disk, so no disk can be measured; set "
            "DATASET_STUDY_CACHE to a folder on a disk"
        )
    return parent


PARENTS = {"ramdisk": _ram_disk, "disk-warm": _disk, "disk-cold": _disk}  # for each local medium


@contextmanager
def workspace(images: Path, medium: str) -> Iterator[Path]:
    """A folder on `medium` that holds the JPEG files of `images`, removed afterwards.

    Raises:
        Unsupported: this machine does not have the medium, or not enough room on it.
        StudyError: the folder cannot be written.
    """
    parent = scratch_parent(medium)
    sweep(parent)
    if medium == "ramdisk":
        _require_room(images, parent)
    home = own_folder(parent)
    with _removed_on_termination(home):
        # A dataset may also write beside its image folder, so the folder stands in one of its own.
        folder = home / "images"
        try:
            folder.mkdir()
            for source in sorted(images.iterdir()):
                _place(source, folder / source.name, link=medium != "ramdisk")
        except OSError as error:
            raise describe_write_error(error, folder) from error
        yield folder


def _require_room(images: Path, parent: Path) -> None:
    # Room for the files, for their pixels (about 5 to 10 times as many bytes) and for the workers.
    need = 12 * sum(path.stat().st_size for path in images.iterdir())
    if shutil.disk_usage(parent).free < need:
        raise Unsupported(f"less than {need / 1e6:,.0f} MB free on the RAM disk {parent}")


def _place(source: Path, target: Path, link: bool) -> None:
    if link:
        try:
            target.hardlink_to(source)
        except OSError:  # another file system, or one without hard links
            shutil.copyfile(source, target)
    else:
        shutil.copyfile(source, target)


@contextmanager
def _removed_on_termination(folder: Path) -> Iterator[None]:
    """Remove `folder` at the end of the block, also when the process is asked to stop."""
    owner = os.getpid()
    try:
        with stopping_on_termination(lambda number: SystemExit(128 + number)):
            yield
    finally:
        if os.getpid() == owner:  # forked workers run this too when they unwind
            remove(folder)


def temporary_parent() -> Path:
    """The system's place for temporary files, or a shorter one: sockets are made far below it."""
    usual = temporary_files()
    too_long = len(os.fsencode(usual)) > LONGEST and os.access(SHORT, os.W_OK | os.X_OK)
    return SHORT if too_long else usual


@contextmanager
def temporary_folder() -> Iterator[Path]:
    """A folder for the temporary files of child processes, in the system's place for them.

    Removed afterwards; `sweep_all` removes the one of an owner that was killed.

    Raises:
        StudyError: the folder cannot be written.
    """
    folder = own_folder(temporary_parent())
    try:
        yield folder
    finally:
        remove(folder)


def own_folder(parent: Path) -> Path:
    """A new folder in `parent` that `sweep` knows as this process's.

    Raises:
        StudyError: it cannot be made.
    """
    try:
        folder = Path(tempfile.mkdtemp(dir=parent, prefix=own_prefix()))
        (folder / NOTE).write_text(TEXT)
    except OSError as error:
        raise describe_write_error(error, parent) from error
    return folder


def remove(folder: Path) -> None:
    """Remove a working folder as far as it can be, its note last.

    Where the process is killed over it, the next `sweep` knows the folder and goes on.
    """
    for name in set(_names(folder)) - {NOTE}:
        path = folder / name
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path, ignore_errors=True)
        else:
            with suppress(OSError):
                path.unlink()
    if _names(folder) == [NOTE] or not _names(folder):
        shutil.rmtree(folder, ignore_errors=True)


def _names(folder: Path) -> list[str]:
    try:
        return os.listdir(folder)  # noqa: PTH208 - names
    except OSError:
        return []


def sweep(parent: Path) -> int:
    """Remove working folders below `parent` whose owner no longer runs; returns how many.

    A folder of such a name without the note is somebody else's if it holds any file. Without one a
    process made it again that outlived its folder, as libraries do that make theirs with all above.
    """
    return swept(parent, _removed, or_gone=_comes_no_more)


def _removed(folder: Path) -> bool:
    ours = (folder / NOTE).is_file() or _holds_no_file(folder)
    if ours := ours and not folder.is_symlink():
        remove(folder)
    return ours


def _comes_no_more(folder: Path) -> bool:
    """Whether its owner ran where nothing here can look for it, longer ago than a study runs."""
    try:
        age = time.time() - folder.stat().st_mtime
    except OSError:
        return False
    return age > LONGEST_RUN and is_elsewhere(folder.name)


def _holds_no_file(folder: Path) -> bool:
    """Whether a folder of this user's holds folders and sockets alone."""
    try:
        if folder.stat().st_uid != os.getuid():
            return False
        inside = [path.lstat().st_mode for path in folder.rglob("*")]
    except OSError:
        return False
    return all(stat.S_ISDIR(mode) or stat.S_ISSOCK(mode) for mode in inside)


@contextmanager
def own_traces() -> Iterator[None]:
    """Let sockets and semaphores of multiprocessing be named after this process, for `sweep_all`.

    Its own names, `pymp-…` and `sem.mp-…`, are nobody's once all processes are killed. What a
    killed one left is removed first. Where no folder can be made, multiprocessing says so when it
    needs one.
    """
    name_semaphores()
    sweep_semaphores()
    try:
        parent = temporary_parent()
        sweep(parent)
        folder = own_folder(parent)
    except (OSError, StudyError):
        yield
        return
    config: dict[str, Any] = multiprocessing.current_process()._config  # type: ignore[attr-defined]
    config["tempdir"] = str(folder)
    try:
        yield
    finally:
        del config["tempdir"]
        remove(folder)


def name_semaphores(prefix: str = "") -> None:
    """Let semaphores that this process and its workers make be named after it, for `sweep_all`, or
    after another owner.

    Those that are not forked are sent names, which a killed process cannot take back.
    """
    config: dict[str, Any] = multiprocessing.current_process()._config  # type: ignore[attr-defined]
    if RAM_DISK.is_dir():  # elsewhere none can be swept, and such names may be too long
        config["semprefix"] = f"/{(prefix or own_prefix()).removesuffix('-')}"


def sweep_semaphores() -> int:
    """Remove semaphores whose owner no longer runs; another user's stay. Returns how many."""
    return swept(RAM_DISK, _unlinked, "sem.")


def _unlinked(path: Path) -> bool:
    try:
        path.unlink()
    except OSError:  # it is another user's, or has just gone
        return False
    return True


def sweep_all() -> int:
    """`sweep` on every medium of this machine, among temporary files and control groups."""
    removed = cgroup.sweep() + sweep_semaphores()
    for parent in {temporary_files(), temporary_parent()}:
        removed += sweep(parent)
    for medium in ("ramdisk", "disk-warm"):
        try:
            removed += sweep(scratch_parent(medium))
        except Unsupported:
            continue  # a medium that does not exist holds no leftovers
    return removed
