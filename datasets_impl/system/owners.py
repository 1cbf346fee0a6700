"""Names of what goes when its process ends: they bear that process's pid, and where it counts.

A pid means one process only in one container of one machine, until that starts again; `/dev/shm`, a
folder for temporary files or a cache may be shared with others, whose processes cannot be looked
for from here.
"""

from __future__ import annotations

import hashlib
import os
import re
import socket
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from datasets_impl.system.running import runs

PREFIX = "dataset-study-"
# Of a folder or semaphore: the pid, and where it counts. One of an older version does not say that.
NAMED = re.compile(
    rf"(?:sem\.)?({PREFIX}([0-9]{{1,9}})-(?:([0-9a-f]{{8}})-)?).*", re.ASCII | re.DOTALL
)
MACHINE = (Path("/proc/sys/kernel/random/boot_id"), Path("/etc/machine-id"))
PIDS = "/proc/self/ns/pid"


def here() -> str:
    """This container of this machine since it was started, in eight letters.

    Hosts may have one name, or be copies of one image: what is drawn at each start tells them.
    """
    facts = [socket.gethostname()]
    for path in MACHINE:
        with suppress(OSError):  # no Linux
            facts.append(path.read_text(errors="replace"))
    with suppress(OSError):
        facts.append(os.readlink(PIDS))  # noqa: PTH115 - it leads nowhere
    return hashlib.sha256("\n".join(facts).encode(errors="replace")).hexdigest()[:8]


def own_prefix() -> str:
    """How names begin that this process gives to what goes with it."""
    return f"{PREFIX}{os.getpid()}-{here()}-"


def prefix_of(name: str) -> str:
    """The same of the process that gave a name; "" where the name is none of ours."""
    found = NAMED.fullmatch(name)
    return found[1] if found else ""


def is_elsewhere(name: str) -> bool:
    """Whether a name is ours, and nothing here tells whether its process runs."""
    found = NAMED.fullmatch(name)
    return found is not None and found[3] != here()


def owner_is_gone(name: str) -> bool:
    """Whether a name is ours, and its process ran here and does not any more."""
    found = NAMED.fullmatch(name)
    return found is not None and found[3] == here() and not runs(int(found[2]))


def swept(
    parent: Path,
    remove: Callable[[Path], bool],
    kind: str = "",
    or_gone: Callable[[Path], bool] = lambda path: False,
) -> int:
    """`remove` what stands in `parent` under such names, with `kind` before them, and whose owner
    is gone. Returns how many it says it has."""
    return sum(
        remove(path)
        for path in parent.glob(f"{kind}{PREFIX}*-*")
        if owner_is_gone(path.name) or or_gone(path)
    )
