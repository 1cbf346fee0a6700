"""Give this process its own copy of every page it still shares with the process that forked it.

asv forks each benchmark from a server that lives on, so the pages inherited from it count only in
part for this process (`Pss` shares a page out among all that map it), until a write copies them.
Memory that is merely copied later would look like the dataset's.
"""

from __future__ import annotations

import ctypes
from typing import Any

import numpy as np
import psutil

from datasets_impl.errors import Unsupported
from datasets_impl.observe.page_cache import PAGE

ENTRY = 8  # bytes of /proc/<pid>/pagemap for each page

MADV_POPULATE_WRITE = (
    23  # madvise(2), since Linux 5.14: as if each page were written, contents kept
)
PRESENT, EXCLUSIVE = 1 << 63, 1 << 56  # bits of /proc/<pid>/pagemap, see its kernel document
UNKNOWN_ADVICE = 22  # EINVAL


def unshare_memory() -> int:
    """Copy the inherited private pages that others map too; returns how many bytes that were.

    Raises:
        Unsupported: this is no Linux, or one older than 5.14.
    """
    copied = 0
    try:
        madvise = ctypes.CDLL(None, use_errno=True).madvise
        with open("/proc/self/pagemap", "rb", buffering=0) as pagemap:  # noqa: PTH123 - no buffer
            for first, last in _private_regions():
                pagemap.seek(first // PAGE * ENTRY)
                read = pagemap.read((last - first) // PAGE * ENTRY)
                for start, length in _shared_runs(np.frombuffer(read, dtype=np.uint64)):
                    at, size = first + start * PAGE, length * PAGE
                    if not madvise(ctypes.c_void_p(at), ctypes.c_size_t(size), MADV_POPULATE_WRITE):
                        copied += size
                    elif ctypes.get_errno() == UNKNOWN_ADVICE:
                        raise Unsupported("this kernel is older than 5.14, so memory stays shared")
    except (OSError, AttributeError) as error:
        raise Unsupported("this platform cannot unshare the memory of a forked process") from error
    return copied


def _private_regions() -> list[tuple[int, int]]:
    """First and last address of each writable private mapping of this process."""
    regions = []
    for region in psutil.Process().memory_maps(grouped=False):
        if region.perms.startswith("rw") and region.perms.endswith("p") and region.rss:
            first, last = (int(end, 16) for end in region.addr.split("-"))
            regions.append((first, last))
    return regions


def _shared_runs(entries: np.ndarray[Any, np.dtype[np.uint64]]) -> list[tuple[int, int]]:
    """(start, length) of each run of pages that are in memory and mapped by others too."""
    present = (entries & np.uint64(PRESENT)) != 0
    alone = (entries & np.uint64(EXCLUSIVE)) != 0
    marks = np.diff((present & ~alone).astype(np.int8), prepend=0, append=0)
    starts, ends = np.flatnonzero(marks == 1), np.flatnonzero(marks == -1)
    return [(int(start), int(end - start)) for start, end in zip(starts, ends, strict=True)]
