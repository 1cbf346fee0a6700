"""Write a file so that a reader sees the old one or the new one, never a part of either."""

from __future__ import annotations

import errno
import fcntl
import glob
import os
import secrets
import shutil
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import BinaryIO

from datasets_impl.errors import StudyError

FULL = (errno.ENOSPC, errno.EDQUOT)
MARK = ".dataset-study.tmp"  # at the end of a temporary file's name
LITTLE = 1 << 20  # bytes: a library that could not write so few ran out of room


@contextmanager
def atomic_file(path: Path) -> Iterator[BinaryIO]:
    """Open a temporary file beside `path`; on success fsync it and rename it into place.

    Raises `StudyError` when the folder is read-only or the disk is full; nothing is left behind,
    and what a killed writer of `path` left goes now.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        sweep_temporaries(path)
        descriptor, temporary = _temporary(path)
    except OSError as error:
        raise describe_write_error(error, path) from error
    try:
        with os.fdopen(descriptor, "wb") as handle:
            yield handle
            handle.flush()
            os.fsync(handle.fileno())
            temporary.replace(path)  # before it is closed, which ends its lock
    except OSError as error:
        raise describe_write_error(error, path) from error
    finally:
        with suppress(OSError):  # the folder's rights were taken away; the next writer sweeps it
            temporary.unlink(missing_ok=True)


def _temporary(path: Path) -> tuple[int, Path]:
    """A new file beside `path`, open, and locked as long as its writer lives."""
    while True:
        temporary = path.with_name(f".{path.name}.{secrets.token_hex(4)}{MARK}")
        try:  # with the rights that the user's umask leaves; `tempfile` would give none to others
            descriptor = os.open(
                temporary, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o666
            )
        except FileExistsError:
            continue
        with suppress(OSError):  # a file system without locks
            fcntl.flock(descriptor, fcntl.LOCK_EX)
        if temporary.exists():  # nobody has swept it before it was locked
            return descriptor, temporary
        os.close(descriptor)


def atomic_write(path: Path, content: str | bytes) -> None:
    """Write `content` to `path` atomically (UTF-8 for text)."""
    with atomic_file(path) as handle:
        handle.write(content.encode() if isinstance(content, str) else content)


def atomic_writes(contents: Mapping[Path, str]) -> None:
    """Text to several files: where one has no room, all stay as they were."""
    with ExitStack() as together:
        handles = {path: together.enter_context(atomic_file(path)) for path in contents}
        for path, handle in handles.items():
            try:
                handle.write(contents[path].encode())
                handle.flush()
            except OSError as error:
                raise describe_write_error(error, path) from error


def with_line_ends_of(path: Path, content: bytes) -> bytes:
    """Text for the file at `path`, with CRLF where the one that stands there has it: git or an
    editor may have changed what this project writes with LF."""
    try:
        with path.open("rb") as file:
            first = file.readline(LITTLE)
    except OSError:
        return content
    return content.replace(b"\n", b"\r\n") if first.endswith(b"\r\n") else content


def sweep_temporaries(path: Path) -> None:
    """Remove what killed writers of `path` left beside it: marked files that nobody locks."""
    for left in path.parent.glob(f".{glob.escape(path.name)}.*{MARK}"):
        with suppress(OSError), left.open("rb") as file:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            left.unlink()


def check_writable(path: Path) -> None:
    """Before long work whose result goes to `path`; its folder is made, and nothing else.

    Raises `StudyError` when it could not be written.
    """
    if path.is_dir():
        raise StudyError(f"{path} is a folder; name a file.")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        descriptor, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.", suffix=MARK)
    except OSError as error:
        raise describe_write_error(error, path) from error
    os.close(descriptor)
    Path(name).unlink()


def describe_write_error(error: Exception, path: Path) -> StudyError:
    """Say in one sentence why `path` could not be written and what to do about it.

    `error` may be a library's own, which tells of a full disk in its text alone, or not at all.
    """
    number, text = getattr(error, "errno", None), str(error)
    said = number in FULL or any(os.strerror(each) in text for each in FULL)
    if said or (number is None and _is_full(path)):
        return StudyError(f"The disk is full: could not write {path}; free some space and rerun.")
    if number in (errno.EACCES, errno.EPERM, errno.EROFS):
        return StudyError(f"{path} may not be written; choose another folder or mend its rights.")
    if number in (errno.EEXIST, errno.ENOTDIR):
        return StudyError(
            f"Could not write {path}: a file, or a link that leads nowhere, stands where a folder "
            "would be; name another place."
        )
    why = getattr(error, "strerror", None) or text.rstrip(".") or type(error).__name__
    if number == errno.EFBIG:
        return StudyError(f"Could not write {path}: {why}; raise the limit of ulimit -f.")
    return StudyError(f"Could not write {path}: {why}; mend that, or name another place.")


def _is_full(path: Path) -> bool:
    try:
        return shutil.disk_usage(path.parent).free < LITTLE
    except OSError:
        return False
