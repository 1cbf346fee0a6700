"""What there is room for, and what is left out because there is none: one rule for all remedies.

Bytes by place: a remedy's needs are those of all samples, not of the few that it is tried on.
"""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from pathlib import Path

import psutil
from rich.filesize import decimal

from datasets_impl.files.paths import temporary_files
from datasets_impl.media.workspaces import RAM_DISK
from datasets_impl.system.hierarchy import memory_left

MEMORY, SHARED, DISK = "memory", "shared memory", "disk"
KEPT_FREE = 0.1  # of what is free, for all else
TRIED_WITH = 0.125  # of what is free, that a probe may take at once
Bytes = dict[str, int]


def room(folder: Path | None = None) -> Bytes:
    """What is free: memory, within the limits of a container; what workers share; the disk that
    holds `folder`, by default the one that the user works on."""
    memory = psutil.virtual_memory().available
    left = memory_left()
    memory = memory if left is None else min(memory, left)
    shared = shutil.disk_usage(RAM_DISK).free if RAM_DISK.is_dir() else memory
    disk = shutil.disk_usage(folder or ".").free
    return {MEMORY: memory, SHARED: min(shared, memory), DISK: disk}


def at_once(there: Bytes | None = None) -> int:
    """Bytes that a probe may hold at once, anywhere."""
    found = there or room(temporary_files())
    return int(TRIED_WITH * min(found.values()))


def lacking(title: str, needs: Mapping[str, float], there: Mapping[str, float]) -> str:
    """Why what `title` says is left out, as a sentence without its dot; "" where there is room."""
    for place, need in needs.items():
        fits = (1 - KEPT_FREE) * there.get(place, float("inf"))
        if need > fits:
            return (
                f"{title} was left out: it needs {decimal(int(need))} of {place}, and this machine "
                f"has room for {decimal(int(fits))}"
            )
    return ""


def priced(needs: Mapping[str, float], there: Mapping[str, float]) -> str:
    """Bytes of what is needed beside what is free: of the scarcest place."""
    if not needs:
        return ""
    place = max(needs, key=lambda one: needs[one] / max(1.0, there.get(one, float("inf"))))
    free = f" ({decimal(int(there[place]))} free)" if place in there else ""
    return f"{decimal(int(needs[place]))} of {place}{free}"
