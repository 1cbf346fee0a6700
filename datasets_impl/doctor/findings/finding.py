"""A finding, how findings are ordered, and the thresholds below which there is none.

A finding's `rank` orders them: wrong results first, then a mechanism that was seen at work, then
where the time goes.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np

from datasets_impl.doctor.findings.time_account import account
from datasets_impl.doctor.probes.thresholds import TURNS

WRONG, MECHANISM, SHARE, NOTE = 3.0, 2.0, 1.0, 0.0
OUTLIER_TIMES, OUTLIER_SHARE = 10.0, 0.2  # the slowest 1 % against the median, and of all time
READ_TIMES = 8.0  # bytes read for an item over the bytes of its sample
LARGE_PICKLE = 16 << 20
LEAST_SHARE = 0.35  # of an item's time, for its cause to be named
LARGEST_SHARE = 0.2  # the same for the largest, where none has that
STEADY = 0.5  # the smallest growth of an epoch over the largest, of a leak
LARGER = 6.0  # pixels decoded over pixels used
WORKERS_COST = 1.3
WORTH = 1.1  # the whole interval of a remedy's gain must be above this to be recommended
NEAR = 1.5  # times the ceiling's time: nothing is left to find
LITTLE_MORE, HIDDEN = 3.0, 5e-3  # times a cheap item; seconds of a batch


@dataclass(frozen=True)
class Finding:
    """`evidence` is one sentence with numbers; `lines` are the few lines of code to change."""

    name: str
    title: str
    evidence: str
    remedy: str
    rank: float
    claim: str = ""
    lines: str = ""
    places: list[str] = field(default_factory=list)


Probes = dict[str, Any]  # probe -> its answer (one that failed is missing); the loader's settings


def nothing(seen: Probes) -> float:
    """Seconds: an item that takes less on this machine costs next to nothing."""
    return TURNS * float(seen.get("look", {}).get("turn", 0.0))


def cheap(seen: Probes) -> float:
    """Seconds: an item that takes less on this machine is no problem by itself; nor is one that
    takes a little more, where a whole batch takes less than half of a short training step."""
    least = nothing(seen)
    batch = seen.get("inside", {}).get("batch_size")
    return max(least, min(LITTLE_MORE * least, HIDDEN / batch)) if batch else least


def share_of(seen: Probes, *causes: str) -> float:
    """Of a sample's time."""
    whole = account(seen)
    return sum(whole.share(cause) for cause in causes)


def tried_of(seen: Probes, remedy: str) -> dict[str, Any] | None:
    """What came of trying a remedy; None where it was not tried."""
    remedies = seen.get("tried", {}).get("remedies", [])
    return next((one for one in remedies if one["name"] == remedy), None)


def gain_of(seen: Probes, remedy: str) -> float | None:
    """How many times as fast a remedy was, by the middle of its rounds; None where none was."""
    one = tried_of(seen, remedy)
    return float(np.median(np.array(one["beside"]) / np.array(one["blocks"]))) if one else None
