"""Build a folder so that a reader sees the old one or the new one, never a part of either.

It is built as `.<name>.partial/new` beside its place, under a lock, and renamed when whole. What a
killed builder left is known by the note in it, and goes with the next one.
"""

from __future__ import annotations

import fcntl
import os
import re
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

from filelock import FileLock, Timeout

from datasets_impl.errors import StudyError
from datasets_impl.files.atomic import describe_write_error
from datasets_impl.files.records import text_of
from datasets_impl.files.replacing import Recognise, check_replaceable, put_in_place, remove_ours

NOTE, NEW = "unfinished", "new"
HELD = "held by process {} of pytorch-dataset-study\n"
MOST = 99  # characters that are read of a lock
TEXT = "A folder is being built here; if nothing runs that builds it, it may be deleted.\n"


@contextmanager
def whole_folder(
    target: Path,
    ours: Recognise,
    *,
    needed: Callable[[], bool] = lambda: True,
    waiting: Callable[[], None] = lambda: None,
    sources: Sequence[Path] = (),
    what: str = "the result",
) -> Iterator[Path | None]:
    """An empty folder that becomes `target` when the block ends without an error.

    Args:
        ours: whether what stands at `target` may be replaced; see `replacing`.
        needed: asked under the lock; if it says no, None is given and nothing changes.
        waiting: called when another process holds the lock.

    Raises:
        StudyError: `target` is somebody else's, or cannot be written.
    """
    partial = target.with_name(f".{target.name}.partial")
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        with locked(target, waiting):
            remove_unfinished(partial)
            if not needed():
                yield None
                return
            check_replaceable(target, ours, sources=sources, what=what)
            partial.mkdir()
            try:
                (partial / NOTE).write_text(TEXT)
                new = partial / NEW
                new.mkdir()
                yield new
                for folder in (*(path for path in new.rglob("*") if path.is_dir()), new):
                    sync(folder)
                put_in_place(new, target, ours, sources=sources, what=what)
                sync(target.parent)
            finally:
                remove_unfinished(partial)
    except OSError as error:
        raise describe_write_error(error, target) from error


def remove_unfinished(partial: Path) -> None:
    """Delete what a builder that was stopped left in `partial`, if that is what stands there."""
    remove_ours(partial, is_unfinished, what="an unfinished folder")


def is_unfinished(partial: Path) -> bool:
    """Whether `whole_folder` made this, and nobody else put anything beside what it builds."""
    names = {path.name for path in partial.iterdir()} if partial.is_dir() else set()
    try:
        begun = TEXT.startswith(text_of(partial / NOTE))  # killed while it wrote the note
    except (OSError, ValueError):
        return False
    return begun and names <= {NOTE, NEW}


@contextmanager
def locked(target: Path, waiting: Callable[[], None] = lambda: None) -> Iterator[None]:
    """Hold the lock of `target`, the file `.<name>.lock` beside it, which goes at the end.

    It is let go of by the kernel when a process is killed. `waiting` is called if another process
    has it, and may raise instead of waiting.

    Raises:
        StudyError: the file system has no locks, or something else than a file stands there.
    """
    place = _lock_of(target)
    if place.is_symlink() or (place.exists() and not place.is_file()):
        raise StudyError(
            f"{place} keeps two writers apart, so it is to be a file; move away what stands there, "
            "or name another place."
        )
    _made(place)  # where it cannot be, as in /proc, FileLock tries for ever
    lock = FileLock(place)
    try:
        lock.acquire(timeout=0)
    except Timeout:
        waiting()
        lock.acquire()
    try:
        if _is_lock(place):
            with suppress(OSError):  # the disk is full
                place.write_text(HELD.format(os.getpid()))
        yield
    finally:
        # While it is held: whoever has opened it meanwhile finds, once it is his, that the file
        # has no name any more, and begins anew. One with something else in it is somebody's.
        with suppress(OSError):
            if _is_lock(place):
                place.unlink()
        lock.release()


def _made(place: Path) -> None:
    """The file of a lock, where locks can be had; letting go of one that nobody holds says that."""
    flags = os.O_RDONLY | os.O_CREAT | os.O_CLOEXEC | os.O_NONBLOCK
    descriptor = os.open(place, flags, 0o644)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_UN)
    except OSError as error:
        if _is_lock(place):
            place.unlink()
        raise StudyError(
            f"{place.parent} is on a file system without locks ({error.strerror or error}), and "
            "nothing else keeps two writers apart; choose a place on another one, or have it "
            "mounted with them (Lustre: -o flock)."
        ) from error
    finally:
        os.close(descriptor)


def holder_of(target: Path) -> int | None:
    """The pid in the lock of `target`, None where there is none."""
    found = re.fullmatch(HELD.format("([0-9]+)"), _said(_lock_of(target)))
    return int(found[1]) if found else None


def _is_lock(place: Path) -> bool:
    """Of this project's, or empty."""
    return re.fullmatch(f"({HELD.format('[0-9]+')})?", _said(place)) is not None


def _said(place: Path) -> str:
    if not place.is_file():  # a pipe, which would be waited for
        return str(place)
    with place.open(errors="replace") as file:
        return file.read(MOST)


def _lock_of(target: Path) -> Path:
    return target.with_name(f".{target.name}.lock")


def sync(path: Path) -> None:
    """Make what a file holds, or a folder's names, survive a crash of the machine."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
