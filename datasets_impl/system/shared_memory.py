"""Memory that all processes share, and whether there is room for it."""

from __future__ import annotations

import contextlib
import fcntl
import math
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch

from datasets_impl.errors import StudyError
from datasets_impl.system.threads import lock_anew_in_forks

SHARED_MEMORY = Path("/dev/shm")  # noqa: S108 - where Linux keeps it


def shared_empty(shape: tuple[int, ...], dtype: torch.dtype = torch.uint8) -> torch.Tensor:
    """An uninitialised tensor in shared memory, as PyTorch's collating allocates it.

    `torch.empty(...).share_memory_()` would copy every page of it, and so allocate them all.

    Raises:
        StudyError: there is not so much shared memory, or no descriptor left for it.
    """
    size = math.prod(shape) * dtype.itemsize
    try:
        storage = torch.UntypedStorage._new_shared(size)  # type: ignore[no-untyped-call]
    except RuntimeError as error:
        raise StudyError(
            f"{size:,} bytes of shared memory are not to be had ({error}); make {SHARED_MEMORY} "
            "larger, or take smaller batches or fewer images."
        ) from error
    with torch.inference_mode(False):  # a tensor made in that mode cannot be filled outside of it
        empty = torch.empty(0, dtype=dtype, device="cpu")
        return empty.set_(storage).view(shape)  # type: ignore[call-overload]


@contextlib.contextmanager
def alone_with(shared: torch.Tensor) -> Iterator[None]:
    """No other thread is in such a block meanwhile, nor, on Linux, another process with the same
    shared tensor."""
    with _alone:
        storage: Any = shared.untyped_storage()
        by: Any = torch.multiprocessing.get_sharing_strategy  # by a file that is open, or by name
        if not (storage.is_shared() and by() == "file_descriptor" and SHARED_MEMORY.is_dir()):
            yield
            return
        file, _ = storage._share_fd_cpu_()
        fcntl.lockf(file, fcntl.LOCK_EX)  # of this process alone: a fork does not hold it
        try:
            yield
        finally:
            fcntl.lockf(file, fcntl.LOCK_UN)


_alone = lock_anew_in_forks()


def lacking_room(wanted: int) -> str:
    """Why `wanted` bytes of shared memory are not to be had, "" if they are.

    A process that writes to a page that does not fit is killed, so this is asked before.
    """
    if not SHARED_MEMORY.is_dir():
        return ""  # not Linux: shared memory has another place and no such limit
    free = shutil.disk_usage(SHARED_MEMORY).free
    if free >= wanted:
        return ""
    return f"{SHARED_MEMORY} has {free // 2**20} MiB free, not the {-(-wanted // 2**20)} MiB needed"
