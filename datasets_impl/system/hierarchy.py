"""Where this process stands among the control groups of this machine, and which disk holds a file.

Read-only: `cgroup.py` makes groups. See cgroups(7), proc(5) and sysfs(5).
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

from datasets_impl.errors import Unsupported

PROC = Path("/proc")
SYS = Path("/sys")
NAMES = {"io": ("blkio", "io"), "memory": ("memory", "memory")}  # in version 1, in version 2


@dataclass(frozen=True)
class Mount:
    """A mounted hierarchy: `root` is the group that `point` shows, `controllers` those of v1."""

    version: int
    root: str
    point: Path
    controllers: frozenset[str]


@dataclass(frozen=True)
class Place:
    """Where this process is in one hierarchy, and the folder in which it may make groups."""

    version: int
    current: Path
    parent: Path


def mounts(mountinfo: str) -> list[Mount]:
    """The control-group hierarchies in the text of /proc/self/mountinfo (see proc(5))."""
    found = []
    for line in mountinfo.splitlines():
        before, separator, after = line.partition(" - ")
        left, right = before.split(), after.split()
        if not separator or len(left) < 5 or not right or right[0] not in ("cgroup", "cgroup2"):
            continue
        options = right[2].split(",") if right[0] == "cgroup" and len(right) > 2 else []
        version = 1 if right[0] == "cgroup" else 2
        found.append(Mount(version, left[3], Path(left[4]), frozenset(options)))
    return found


def membership(text: str) -> dict[str, str]:
    """Group of each v1 controller, and of version 2 under "", in the text of /proc/self/cgroup."""
    groups = {}
    for line in text.splitlines():
        _, controllers, group = line.split(":", 2)
        for controller in controllers.split(","):
            groups[controller] = group
    return groups


def find(resource: str, proc: Path | None = None) -> Place:
    """Where this process stands in the hierarchy that limits `resource`, "io" or "memory".

    Raises:
        Unsupported: no mounted hierarchy has the controller.
    """
    proc = proc or PROC
    first, second = NAMES[resource]
    try:
        hierarchies = mounts((proc / "self/mountinfo").read_text())
        groups = membership((proc / "self/cgroup").read_text())
    except OSError as error:
        raise Unsupported("this system has no control groups to set limits with") from error
    for mount in hierarchies:
        if mount.version == 1 and first in mount.controllers and first in groups:
            current = _below(mount, groups[first])
            return Place(1, current, current)
    for mount in hierarchies:
        if mount.version == 2 and "" in groups:
            current = _below(mount, groups[""])
            if second in words(current / "cgroup.controllers"):
                at_root = current == mount.point
                return Place(2, current, current if at_root else current.parent)
    raise Unsupported(
        f"no control group of this process has the {second} controller, or it is not delegated"
    )


def cpu_quota(proc: Path | None = None) -> float | None:
    """Cores' worth of time that this process's groups, and those above them, may take.

    None where nothing limits them, or no control groups are to be seen.
    """
    found = [_quota(version, folder) for version, folder in _groups("cpu", proc)]
    return min((quota for quota in found if quota), default=None)


def memory_left(proc: Path | None = None) -> int | None:
    """Bytes that this process's groups, and those above them, may still take.

    What the kernel keeps of files that nobody uses counts as left. None as for `cpu_quota`.
    """
    found = [_memory_left(version, folder) for version, folder in _groups("memory", proc)]
    return min((left for left in found if left is not None), default=None)


def _groups(controller: str, proc: Path | None) -> list[tuple[int, Path]]:
    """Version and folder of each group that limits this process, from its own upwards."""
    proc = proc or PROC
    try:
        hierarchies = mounts((proc / "self/mountinfo").read_text())
        groups = membership((proc / "self/cgroup").read_text())
    except (OSError, ValueError):
        return []
    found = []
    for mount in hierarchies:
        name = "" if mount.version == 2 else controller
        if name in groups and (mount.version == 2 or name in mount.controllers):
            group = _below(mount, groups[name])
            above = [folder for folder in group.parents if folder.is_relative_to(mount.point)]
            found += [(mount.version, folder) for folder in (group, *above)]
    return found


def _memory_left(version: int, folder: Path) -> int | None:
    """Bytes; None where the group is not limited."""
    limit, used, unused = (
        ("memory.max", "memory.current", "inactive_file")
        if version == 2
        else ("memory.limit_in_bytes", "memory.usage_in_bytes", "total_inactive_file")
    )
    told = words(folder / "memory.stat")
    kept = int(dict(zip(told[::2], told[1::2], strict=False)).get(unused, 0))
    try:
        (most,), (taken,) = words(folder / limit), words(folder / used)
        return max(0, int(most) - int(taken) + kept)
    except ValueError:  # "max", or no such file
        return None


def _quota(version: int, folder: Path) -> float | None:
    """Cores that one group may keep busy; None where it is not limited."""
    if version == 2:
        said = words(folder / "cpu.max")
    else:
        said = [
            word for kind in ("quota", "period") for word in words(folder / f"cpu.cfs_{kind}_us")
        ]
    try:
        quota, period = (int(word) for word in said)
    except ValueError:  # "max", or no such file
        return None
    return quota / period if quota > 0 and period > 0 else None


def _below(mount: Mount, group: str) -> Path:
    """The folder of `group`, which a container may show from its own root on."""
    inside = group.removeprefix(mount.root) if mount.root != "/" else group
    return mount.point / inside.strip("/")


def words(path: Path) -> list[str]:
    """The words in a file; none when it cannot be read."""
    try:
        return path.read_text().split()
    except OSError:
        return []


def device_of(path: Path, sys: Path | None = None) -> str:
    """The whole disk that holds `path`, as "major:minor"; limits cannot be set on a partition.

    Raises:
        Unsupported: no single block device stands behind it (a RAM disk, a network share).
    """
    sys = sys or SYS
    number = path.stat().st_dev
    entry = sys / "dev/block" / f"{os.major(number)}:{os.minor(number)}"
    if not entry.exists():
        raise Unsupported(f"no single block device stands behind {path}, so it cannot be throttled")
    disk = entry.resolve()
    if (disk / "partition").exists():
        disk = disk.parent
    return (disk / "dev").read_text().strip()


def read_ahead_kib(path: Path, sys: Path | None = None) -> int:
    """How far the kernel may read ahead on the disk that holds `path`; a fault of a mapping reads
    up to that much around the page it needs. 0 where unknown."""
    try:
        disk = (sys or SYS) / "dev/block" / device_of(path, sys)
        return int((disk / "queue/read_ahead_kb").read_text())
    except (Unsupported, OSError, ValueError):
        return 0
