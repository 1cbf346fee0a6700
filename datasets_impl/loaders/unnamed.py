"""Memory without a name that processes can share, and whether there is enough of it.

It is gone when the last descriptor and mapping of it are, however their processes ended.
"""

from __future__ import annotations

import contextlib
import errno
import math
import os
import tempfile
from collections.abc import Iterator

import psutil

from datasets_impl.errors import StudyError
from datasets_impl.files.paths import temporary_files
from datasets_impl.system.hierarchy import memory_left

HAS_MEMFD = hasattr(os, "memfd_create")


@contextlib.contextmanager
def unnamed_file() -> Iterator[int]:
    """Its descriptor."""
    if HAS_MEMFD:
        descriptor = os.memfd_create("batches", os.MFD_CLOEXEC)
        try:
            yield descriptor
        finally:
            os.close(descriptor)
    else:
        with tempfile.TemporaryFile() as file:
            yield file.fileno()


def allocate(file: int, nbytes: int) -> None:
    """
    Raises:
        OSError: there is not so much.
    """
    if hasattr(os, "posix_fallocate"):
        # A page that is not to be had ends the process that touches it, so all are now.
        os.posix_fallocate(file, 0, nbytes)
    else:  # macOS: what is free was looked up a moment ago
        os.ftruncate(file, nbytes)


def require_memory(nbytes: int, count: int) -> None:
    """
    Raises:
        StudyError: there is no memory for `count` batches.
    """
    free = [psutil.virtual_memory().available, memory_left()]
    if not HAS_MEMFD:
        free.append(psutil.disk_usage(str(temporary_files())).free)
    least = min(each for each in free if each is not None)
    if count * nbytes > least:
        raise StudyError(lacking(nbytes, count, f"{least:,} are free"))


def lacking(nbytes: int, count: int, why: str, number: int | None = None) -> str:
    """`number`: of the error, if one raised."""
    if number == errno.EFBIG:
        return (
            f"A batch needs {nbytes:,} bytes of shared memory ({why}); raise the limit on the size "
            "of files (ulimit -f)."
        )
    many = f"{count} batches of {nbytes:,} bytes need" if count > 1 else "A batch needs"
    return (
        f"{many} {math.prod((nbytes, count)):,} bytes of shared memory ({why}); take a smaller "
        "batch_size or prefetch_factor."
    )
