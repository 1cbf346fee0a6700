"""How many cores there are to use."""

from __future__ import annotations

import os

from datasets_impl.system.hierarchy import cpu_quota


def cores() -> int:
    """Cores this process may keep busy: those it may run on, and no more than its container's
    share of time (1.5 cores are two)."""
    affinity = getattr(os, "sched_getaffinity", None)  # not on macOS
    allowed = len(affinity(0)) if affinity else os.cpu_count() or 1
    quota = cpu_quota()
    return allowed if quota is None else max(1, min(allowed, -int(-quota // 1)))
