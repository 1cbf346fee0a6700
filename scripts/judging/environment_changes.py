"""What `across` finds: an environment of a machine beside its reference."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from scripts.judging.interval import Interval


@dataclass(frozen=True)
class Change:
    """A time or size in two environments; `ratio` is the other's over the base's."""

    place: str  # key of an `across.Place`
    benchmark: str
    unit: str
    factors: dict[str, Any]
    base: float  # geometric mean over the blocks
    other: float
    ratio: Interval
    changed: bool  # the whole interval lies beyond the margin


@dataclass(frozen=True)
class Across:
    """An environment of a machine beside that machine's reference, or beside its quick run.

    `cells` of claims are decided in both, `agreeing` of them alike.
    """

    machine: str
    environment: str
    profile: str
    commit: str
    base: str
    base_profile: str
    base_commit: str
    hours: float  # from the end of one run to the end of the other
    cells: int
    agreeing: int
    changes: list[Change]
