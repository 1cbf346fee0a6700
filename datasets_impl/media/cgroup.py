"""Limit how fast a disk is read, and how much memory a child may take, with Linux control groups.

Both generations are known: version 1 (`blkio`, `memory`) and version 2 (`io`, `memory`). Groups
are made below the one this process is in, so that limits set from outside still hold; version 2
allows that only at its root, elsewhere they are made beside it. Their names carry the pid of their
owner; `sweep` removes those whose owner is gone.

See cgroups(7) and the kernel's admin-guide/cgroup-v1 and cgroup-v2.
"""

from __future__ import annotations

import os
import secrets
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from datasets_impl.errors import Unsupported, VoidMeasurement
from datasets_impl.observe.page_cache import evict, warm
from datasets_impl.system.hierarchy import NAMES, Place, device_of, find, words
from datasets_impl.system.owners import own_prefix, swept

# The kernel grants a throttled group its bytes in slices, of a tenth of a second on a disk that
# says it rotates: a short read may pass unthrottled, any other is off by up to one slice.
SLICE = 0.1
ADVANCE_SECONDS = 3 * SLICE
SHORTEST_SECONDS = 0.25
TOLERANCE = 0.05


@dataclass(frozen=True)
class Write:
    """One setting of a group; the kernel may lack an optional one."""

    file: str
    text: str
    optional: bool = False


def bandwidth_plan(version: int, device: str, bytes_per_second: int) -> list[Write]:
    """What limits reads from `device` ("major:minor") in a group."""
    if version == 1:
        return [Write("blkio.throttle.read_bps_device", f"{device} {bytes_per_second}")]
    return [Write("io.max", f"{device} rbps={bytes_per_second}")]


def memory_plan(version: int, limit: int) -> list[Write]:
    """What limits memory to `limit` bytes and keeps it from being swapped instead."""
    if version == 1:
        return [
            Write("memory.swappiness", "0", optional=True),
            Write("memory.limit_in_bytes", str(limit)),
            Write("memory.memsw.limit_in_bytes", str(limit), optional=True),
        ]
    return [
        Write("memory.max", str(limit)),
        Write("memory.swap.max", "0", optional=True),
    ]


@dataclass(frozen=True)
class Group:
    """A control group that this process made."""

    version: int
    folder: Path

    @property
    def members(self) -> Path:
        """The file that a process writes its pid to in order to join."""
        return self.folder / "cgroup.procs"

    def peak_bytes(self) -> int:
        """Most memory that the group held at once; 0 where the kernel does not say."""
        name = "memory.max_usage_in_bytes" if self.version == 1 else "memory.peak"
        return int((words(self.folder / name) or ["0"])[0])

    def out_of_memory_kills(self) -> int:
        """How many processes the kernel killed because the group reached its limit."""
        return self._count(
            "memory.oom_control" if self.version == 1 else "memory.events", "oom_kill"
        )

    def _count(self, file: str, key: str) -> int:
        found = words(self.folder / file)
        return int(dict(zip(found[::2], found[1::2], strict=False)).get(key, 0))


@contextmanager
def _group(place: Place, resource: str, plan: list[Write]) -> Iterator[Group]:
    """A group with the settings of `plan`; afterwards its processes go back and it is removed."""
    _sweep(place)
    folder = place.parent / f"{own_prefix()}{secrets.token_hex(4)}"
    try:
        if place.version == 2:
            _enable(place.parent, NAMES[resource][1])
        folder.mkdir()
    except OSError as error:
        raise Unsupported(
            f"this user may not make control groups ({error.strerror}); limits need root or a "
            "delegated group"
        ) from error
    owner = os.getpid()
    try:
        for write in plan:
            _set(folder / write.file, write)
        yield Group(place.version, folder)
    finally:
        if os.getpid() == owner:  # forked children run this too when they unwind
            _dissolve(folder, place.current)


def _enable(parent: Path, controller: str) -> None:
    if controller not in words(parent / "cgroup.subtree_control"):
        (parent / "cgroup.subtree_control").write_text(f"+{controller}")


def _set(path: Path, write: Write) -> None:
    if write.optional and not path.exists():
        return
    try:
        path.write_text(write.text)
    except OSError as error:
        if not write.optional:
            raise Unsupported(f"the kernel refused {write.file}: {error.strerror}") from error


def _dissolve(folder: Path, home: Path, seconds: float = 2.0) -> bool:
    """Send the processes in `folder` to `home` and remove it; False when the kernel refuses."""
    until = time.monotonic() + seconds
    while True:
        for pid in words(folder / "cgroup.procs"):
            try:
                (home / "cgroup.procs").write_text(pid)
            except OSError:
                continue  # it ended meanwhile
        try:
            folder.rmdir()
        except FileNotFoundError:
            return True
        except OSError:  # a process that ended is still being taken apart
            if time.monotonic() > until:
                return False
            time.sleep(0.01)
        else:
            return True


def _sweep(place: Place) -> int:
    return swept(place.parent, lambda folder: _dissolve(folder, place.current, seconds=0.1))


def sweep() -> int:
    """Remove groups of this study whose owner no longer runs; returns how many."""
    places = set()
    for resource in NAMES:
        try:
            places.add(find(resource))
        except Unsupported:
            continue  # a hierarchy that does not exist holds no leftovers
    return sum(_sweep(place) for place in places)


@contextmanager
def limited_bandwidth(path: Path, bytes_per_second: int) -> Iterator[Group]:
    """Inside the block, this process reads the disk that holds `path` at most that fast.

    Children it starts inside are limited with it.

    Raises:
        Unsupported: this system or this user cannot limit that disk.
    """
    place = find("io")
    plan = bandwidth_plan(place.version, device_of(path), bytes_per_second)
    with _group(place, "io", plan) as group:
        try:
            group.members.write_text(str(os.getpid()))
        except OSError as error:
            raise Unsupported(f"this process may not be moved: {error.strerror}") from error
        yield group


@contextmanager
def advance(folder: Path, limit: int) -> Iterator[Callable[[], None]]:
    """What a read of `limit` bytes per second may take in advance, as a function that takes it.

    The kernel lets the first slice of a throttled group pass at once, and makes what follows wait.
    The function reads a file of its own (made in `folder`, evicted) until it is made to wait, so
    that what is read right after is held to the limit from its first byte on.
    """
    with tempfile.NamedTemporaryFile(dir=folder, prefix=".advance-") as file:
        file.write(bytes(int(ADVANCE_SECONDS * limit)))
        file.flush()
        path = Path(file.name)
        evict([path])
        yield lambda: warm([path])


@contextmanager
def memory_limit(limit: int) -> Iterator[Group]:
    """A group whose processes hold at most `limit` bytes, page cache of files they read included.

    This process stays outside: a child joins by writing its pid to `group.members`, before it
    imports anything big.

    Raises:
        Unsupported: this system or this user cannot limit memory.
    """
    place = find("memory")
    with _group(place, "memory", memory_plan(place.version, limit)) as group:
        yield group


def require_long(size: int, limit: int) -> None:
    """Refuse a read of `size` bytes too short to be throttled to `limit` bytes per second.

    Raises:
        Unsupported: at the limit it would last less than `SHORTEST_SECONDS`.
    """
    if size < SHORTEST_SECONDS * limit:
        raise Unsupported(
            f"{size / 1e6:,.1f} MB at {limit / 1e6:,.0f} MB/s last {size / limit:.2f} s, and the "
            "kernel throttles in tenths of a second; more or larger images would do"
        )


def require_throttled(size: int, seconds: float, limit: int) -> float:
    """Bytes per second of a read of `size` bytes that was limited to `limit` bytes per second.

    It may exceed the limit by one `SLICE` and by `TOLERANCE`.

    Raises:
        VoidMeasurement: it was faster, so nothing held it back.
    """
    achieved = size / seconds
    if size > (1 + TOLERANCE) * limit * (seconds + SLICE):
        raise VoidMeasurement(
            f"{achieved / 1e6:,.0f} MB/s were read under a limit of {limit / 1e6:,.0f} MB/s"
        )
    return achieved
