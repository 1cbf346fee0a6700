"""Hold the C allocator's policy fixed, so that large batches cost the same every time.

glibc decides anew, from the sizes it has seen, whether a freed batch goes back to the kernel. A
12 MB batch then falls by chance into one of two regimes: its memory is reused, or each of its
3,072 pages is faulted in again, which makes one and the same epoch several times as long. Both
arms of a comparison must be in the same regime; the study takes the one that reuses memory, as
PyTorch's pinned and device allocators do.
"""

from __future__ import annotations

import ctypes

# Constants of mallopt(3), as glibc's malloc.h numbers them.
M_TRIM_THRESHOLD = -1
M_MMAP_MAX = -4
NEVER_TRIM = 2**31 - 1


def keep_freed_memory() -> bool:
    """Ask glibc to keep freed memory in this process and its forks; False where there is no glibc.

    Spawned workers do not inherit it; they hand batches over in shared memory, which glibc's
    allocator has no part in.
    """
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (OSError, AttributeError):
        return False
    return bool(mallopt(M_MMAP_MAX, 0) and mallopt(M_TRIM_THRESHOLD, NEVER_TRIM))


def give_back_freed_memory() -> bool:
    """Return what this process has freed to the kernel; False where there is no glibc.

    How much glibc keeps depends on the largest block freed so far, up to twice its size. Before
    memory is read, that is no property of what is measured.
    """
    try:
        malloc_trim = ctypes.CDLL(None).malloc_trim
    except (OSError, AttributeError):
        return False
    malloc_trim(0)
    return True
