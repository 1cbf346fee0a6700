"""Set and verify the page-cache state of files, without root.

Eviction is `fsync` followed by `posix_fadvise(POSIX_FADV_DONTNEED)`; proof is `mincore(2)`, which
tells for each page of a file whether it is in memory, and the process's own count of bytes that
came from the device (`read_bytes` of `/proc/<pid>/io`, see proc(5)).
"""

from __future__ import annotations

import ctypes
import mmap
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import psutil

from datasets_impl.errors import Unsupported, VoidMeasurement

PAGE = mmap.PAGESIZE
LEAST_READ = 0.9  # of the bytes of cold files, from the device


def resident_share(paths: Sequence[Path]) -> float:
    """Share of the files' pages that are in the page cache, 0-1 (1 for no files or empty ones).

    Raises:
        Unsupported: the platform has no `mincore`.
    """
    resident = total = 0
    for path in paths:
        size = path.stat().st_size
        if size:
            pages = _resident_pages(path, size)
            resident += int(np.count_nonzero(pages & 1))
            total += len(pages)
    return resident / total if total else 1.0


def _resident_pages(path: Path, size: int) -> np.ndarray[Any, np.dtype[np.uint8]]:
    pages = np.zeros(-(-size // PAGE), dtype=np.uint8)
    with path.open("rb") as handle:
        mapping = mmap.mmap(handle.fileno(), 0, prot=mmap.PROT_READ)
    view = np.frombuffer(mapping, dtype=np.uint8)
    failed = _libc_mincore()(
        ctypes.c_void_p(view.ctypes.data),
        ctypes.c_size_t(size),
        ctypes.c_void_p(pages.ctypes.data),
    )
    error = ctypes.get_errno()
    del view
    mapping.close()
    if failed:
        raise Unsupported(f"mincore refused {path.name}: {os.strerror(error)}")
    return pages


def _libc_mincore() -> Any:
    try:
        return ctypes.CDLL(None, use_errno=True).mincore
    except (OSError, AttributeError) as error:
        raise Unsupported("this platform has no mincore to verify the page cache with") from error


def evict(paths: Sequence[Path]) -> None:
    """Ask the kernel to drop the files' pages; dirty pages are written first, or they would stay.

    Raises:
        Unsupported: the platform has no `posix_fadvise`.
    """
    if not hasattr(os, "posix_fadvise"):
        raise Unsupported("this platform has no posix_fadvise to evict files with")
    for path in paths:
        descriptor = os.open(path, os.O_RDONLY)
        try:
            os.fsync(descriptor)
            os.posix_fadvise(descriptor, 0, 0, os.POSIX_FADV_DONTNEED)
        finally:
            os.close(descriptor)


def warm(paths: Sequence[Path]) -> None:
    """Read the files once, so that they are in the page cache."""
    for path in paths:
        with path.open("rb", buffering=0) as handle:
            while handle.read(1 << 20):
                pass


def large_pages() -> int:
    """Bytes of files that this process has mapped by large pages; 0 where the kernel does not tell.

    `FilePmdMapped` of `/proc/<pid>/smaps_rollup`, see proc_pid_smaps(5).
    """
    try:
        text = Path("/proc/self/smaps_rollup").read_text()
    except OSError:
        return 0
    found = (line.split()[1] for line in text.splitlines() if line.startswith("FilePmdMapped:"))
    return 1024 * int(next(found, "0"))


def release_mappings(dataset: Any) -> None:
    """Detach a dataset's mapped pages from this process; pages in use cannot be evicted."""
    for value in vars(dataset).values():
        if isinstance(value, np.memmap):
            value.flush()
            value._mmap.madvise(mmap.MADV_DONTNEED)  # type: ignore[attr-defined]


def bytes_read() -> int:
    """Bytes this process and its finished children fetched from a device so far.

    Raises:
        Unsupported: the kernel keeps no such count.
    """
    try:
        return int(psutil.Process().io_counters().read_bytes)
    except (AttributeError, OSError, psutil.Error) as error:
        raise Unsupported("this kernel does not count bytes read per process") from error


def require_cold(paths: Sequence[Path]) -> float:
    """Resident share of `paths` after an eviction, which must be zero.

    Raises:
        VoidMeasurement: pages are still resident.
    """
    share = resident_share(paths) if paths else 0.0
    if share > 0:
        raise VoidMeasurement(
            f"{share:.1%} of {len(paths)} files were still in the page cache after eviction"
        )
    return share


def require_read(read: int, paths: Sequence[Path], before: int = 0) -> int:
    """Bytes read from the device since `before`, which must cover the files' size.

    Raises:
        VoidMeasurement: less than `LEAST_READ` of it was read: something else served the bytes.
    """
    fetched = read - before
    expected = sum(path.stat().st_size for path in paths)
    if fetched < LEAST_READ * expected:
        raise VoidMeasurement(f"only {fetched:,} of {expected:,} bytes came from the device")
    return fetched
