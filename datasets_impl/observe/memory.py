"""What a tree of processes really holds in memory, read from the parent and split honestly.

Linux tells for every process how many bytes it maps and shares out each page by the number of
processes that map it (`Pss` of `/proc/<pid>/smaps_rollup`, see proc_pid_smaps(5)), so the sum over
a tree counts shared memory once. Resident set size, which `top` shows, counts it once per process.

Processes are read one after the other, not at one instant: take the figures of a tree at rest.
"""

from __future__ import annotations

import threading
from collections.abc import Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from types import TracebackType
from typing import Any

import psutil

from datasets_impl.errors import Unsupported
from datasets_impl.system.running import runs

PROC = Path("/proc")
KIB = 1024
INTERVAL = 0.05  # seconds between two samples of `PeakMemory`
SHARED_MEMORY = ("/dev/shm/", "/memfd:", "/SYSV", "/dev/zero")  # noqa: S108 - as maps name them


@dataclass(frozen=True)
class Memory:
    """Bytes of one process, or summed over several.

    Split by who else maps a page: `private` (mapped by this process alone: its unique set size) and
    `shared` (its part of pages that others map too). Split by kind: `anonymous` (heap and stack),
    `page_cache` (files; clean pages can be given back at any time) and `shm` (/dev/shm, memfd).
    Either split adds up to `total`, the proportional set size. `swapped` is outside both.
    """

    private: int = 0
    shared: int = 0
    anonymous: int = 0
    page_cache: int = 0
    shm: int = 0
    swapped: int = 0

    @property
    def total(self) -> int:
        """Proportional set size, bytes."""
        return self.private + self.shared

    @property
    def held(self) -> int:
        """Bytes that the kernel cannot take back without swapping: all but the page cache."""
        return self.anonymous + self.shm

    def __add__(self, other: Memory) -> Memory:
        return Memory(*(getattr(self, f.name) + getattr(other, f.name) for f in fields(self)))

    def __sub__(self, other: Memory) -> Memory:
        return Memory(*(getattr(self, f.name) - getattr(other, f.name) for f in fields(self)))


@dataclass(frozen=True)
class Tree:
    """Memory of a process and its descendants, by pid."""

    processes: dict[int, Memory]

    @property
    def summed(self) -> Memory:
        """Over all processes; a page that several of them share is counted once."""
        return sum(self.processes.values(), start=Memory())


def process_memory(pid: int) -> Memory:
    """Memory of one process.

    Raises:
        psutil.NoSuchProcess: it is gone, or has ended and only waits to be collected.
        Unsupported: this kernel does not tell, or not to this user.
    """
    try:
        text = (PROC / str(pid) / "smaps_rollup").read_text()
    except (FileNotFoundError, ProcessLookupError) as error:
        if not runs(pid) or isinstance(error, ProcessLookupError):
            raise psutil.NoSuchProcess(pid) from error
        return _from_regions(pid)
    except PermissionError as error:
        raise Unsupported(f"the kernel refuses to show the memory of process {pid}") from error
    sizes = {
        name: int(value.split()[0]) * KIB
        for name, _, value in (line.partition(":") for line in text.splitlines()[1:])
    }
    if not sizes:
        raise psutil.NoSuchProcess(pid)
    if "Pss_Anon" not in sizes:
        return _from_regions(pid)  # before Linux 5.4
    private = sum(sizes.get(f"Private_{kind}", 0) for kind in ("Clean", "Dirty", "Hugetlb"))
    return Memory(
        private=private,
        shared=max(0, sizes["Pss"] + sizes.get("Private_Hugetlb", 0) - private),
        anonymous=sizes["Pss_Anon"],
        page_cache=sizes["Pss_File"],
        shm=sizes["Pss_Shmem"],
        swapped=sizes.get("SwapPss", 0),
    )


def _from_regions(pid: int) -> Memory:
    """The same from the single regions, for kernels without the sums (before Linux 5.4).

    A region of a file that has pages of its own (written to, copied) is split in proportion.
    """
    private = total = anonymous = page_cache = shm = swapped = 0
    for region in _regions(pid):
        private += region.private_clean + region.private_dirty
        total += region.pss
        swapped += region.swap
        own = region.pss * region.anonymous // region.rss if region.rss else 0
        if region.path.startswith(SHARED_MEMORY):
            shm += region.pss
        elif region.path.startswith("/"):
            anonymous += own
            page_cache += region.pss - own
        else:
            anonymous += region.pss
    return Memory(private, max(0, total - private), anonymous, page_cache, shm, swapped)


def _regions(pid: int) -> list[Any]:
    try:
        regions = psutil.Process(pid).memory_maps(grouped=False)
    except psutil.AccessDenied as error:
        raise Unsupported(f"the kernel refuses to show the memory of process {pid}") from error
    except AttributeError as error:
        raise Unsupported("this platform does not tell how memory is shared") from error
    if regions and not hasattr(regions[0], "pss"):
        raise Unsupported("this platform does not tell how memory is shared")
    return regions


def tree_memory(pid: int | None = None) -> Tree:
    """Memory of process `pid` (this one by default) and of all its descendants.

    A process that ends between being listed and being read is left out.

    Raises:
        psutil.NoSuchProcess: the root of the tree itself is gone.
        Unsupported: this kernel does not tell.
    """
    root = psutil.Process(pid)
    found = {root.pid: process_memory(root.pid)}
    for child in root.children(recursive=True):
        try:
            found[child.pid] = process_memory(child.pid)
        except psutil.NoSuchProcess:
            continue
    return Tree(found)


def mapped_bytes(pid: int, files: Sequence[Path]) -> int:
    """Proportional part of the pages of `files` that process `pid` maps, bytes.

    `Memory.page_cache` has libraries in it too, and what a process is charged for those changes
    with every other program that maps them.

    Raises:
        Unsupported: this kernel does not tell.
    """
    if not files:
        return 0
    names = {str(path.resolve()) for path in files}
    return sum(region.pss for region in _regions(pid) if region.path in names)


class PeakMemory:
    """Sample a tree of processes from a thread and keep the sample with the largest total.

    Sampling takes the time of what it samples (about 10 ms a process and GB), so nothing is timed
    inside this block. A peak shorter than `interval` seconds can be missed. Do not fork inside: a
    child forked while another thread runs may inherit that thread's locks.

    Raises (at the end of the block):
        Unsupported: this kernel does not tell.
    """

    def __init__(self, interval: float = INTERVAL) -> None:
        self.interval = interval
        self.samples = 0
        self.peak = Memory()
        self._error: Exception | None = None
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._run, name="peak-memory", daemon=True)

    def __enter__(self) -> PeakMemory:
        self._sample()
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._ended.set()
        self._thread.join()
        if kind is None:
            if self._error is not None:
                raise self._error
            self._sample()

    def _run(self) -> None:
        try:
            while not self._ended.wait(self.interval):
                self._sample()
        except (psutil.Error, Unsupported) as error:
            self._error = error

    def _sample(self) -> None:
        now = tree_memory().summed
        self.samples += 1
        if now.total > self.peak.total:
            self.peak = now
