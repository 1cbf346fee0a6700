"""Write a file so that a reader sees the old one or the new one, never a part of either."""

from __future__ import annotations

import errno
import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

from datasets_impl.errors import StudyError


@contextmanager
def atomic_file(path: Path) -> Iterator[BinaryIO]:
    """Open a temporary file beside `path`; on success fsync it and rename it into place.

    Raises `StudyError` when the folder is read-only or the disk is full; nothing is left behind.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        descriptor, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.", suffix=".tmp")
    except OSError as error:
        raise describe_write_error(error, path) from error
    temporary = Path(name)
    try:
        with os.fdopen(descriptor, "wb") as handle:
            yield handle
            handle.flush()
            os.fsync(handle.fileno())
        temporary.chmod(0o644)
        temporary.replace(path)
    except OSError as error:
        raise describe_write_error(error, path) from error
    finally:
        temporary.unlink(missing_ok=True)


def atomic_write(path: Path, content: str | bytes) -> None:
    """Write `content` to `path` atomically (UTF-8 for text)."""
    with atomic_file(path) as handle:
        handle.write(content.encode() if isinstance(content, str) else content)


def check_writable(path: Path) -> None:
    """Before long work whose result goes to `path`; its folder is made, and nothing else.

    Raises `StudyError` when it could not be written.
    """
    if path.is_dir():
        raise StudyError(f"{path} is a folder; name a file.")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        descriptor, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.", suffix=".tmp")
    except OSError as error:
        raise describe_write_error(error, path) from error
    os.close(descriptor)
    Path(name).unlink()


def describe_write_error(error: OSError, path: Path) -> StudyError:
    """Say in one sentence why `path` could not be written and what to do about it."""
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        return StudyError(f"The disk is full: could not write {path}; free some space and rerun.")
    if error.errno in (errno.EACCES, errno.EPERM, errno.EROFS):
        return StudyError(f"{path} may not be written; choose another folder or mend its rights.")
    return StudyError(f"Could not write {path}: {error.strerror or error}.")
