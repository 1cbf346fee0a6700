"""Names of what goes when its process ends: they bear that process's pid."""

from __future__ import annotations

import re

from datasets_impl.system.running import runs

PREFIX = "dataset-study-"
NAMED = re.compile(rf"(?:sem\.)?{PREFIX}([0-9]{{1,9}})-.*", re.DOTALL)  # of a folder or semaphore


def owner_of(name: str) -> int | None:
    """The pid in a name, None where it is none of ours."""
    found = NAMED.fullmatch(name)
    return int(found[1]) if found else None


def owner_is_gone(name: str) -> bool:
    """Whether a name is ours, and the process that it bears does not run any more."""
    owner = owner_of(name)
    return owner is not None and not runs(owner)
