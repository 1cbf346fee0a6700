"""Memory that all processes share, and whether there is room for it."""

from __future__ import annotations

import math
import shutil
from pathlib import Path

import torch

from datasets_impl.errors import StudyError

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
