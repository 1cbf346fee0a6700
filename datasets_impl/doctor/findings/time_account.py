"""Where the time of a sample goes, all parts together, against a total that was measured apart."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from datasets_impl.doctor.probes.causes import BASIC, KINDS

Answers = dict[str, Any]  # probe -> what it answered; a probe that failed is missing

ORDER = (*BASIC, *KINDS)


# How functions are called that the profiler does not see -> what they do; they are timed apart.
UNSEEN = {"numpy.random.": "drawing random numbers", "lmdb.open": "opening"}
PACKED = ("gzip", "szip")  # of chunks of HDF5, which take longer to unpack than to read


@dataclass(frozen=True)
class Account:
    """Seconds per sample in one process. `total` is an epoch of a loader without workers, where it
    could be run; `parts` come from the profile of items, scaled to time without the profiler."""

    total: float
    parts: dict[str, float]
    hand_over: float | None  # from a worker to the trainer; beside the total
    starting: float | None  # seconds until workers give their first batch, beyond its own items

    @property
    def unattributed(self) -> float:
        """What the parts leave over; below 0 when they are more than the total."""
        return self.total - sum(self.parts.values())

    def share(self, cause: str) -> float:
        return self.parts.get(cause, 0.0) / self.total if self.total else 0.0


def account(answers: Answers) -> Account:
    """From the probes `causes` and `batches`."""
    causes, batches = answers.get("causes", {}), answers.get("batches", {})
    parts = {name: float(seconds) for name, seconds in causes.get("causes", {}).items()}
    collating = float(causes.get("collating", 0.0))
    parts["collating"] = parts.get("collating", 0.0) + collating
    total = float(causes.get("total", 0.0)) + collating
    for kind, held_for, call in unseen(answers):
        part = min(parts.get(held_for, 0.0), call["share"] * total)
        parts[held_for] = parts.get(held_for, 0.0) - part
        parts[kind] = parts.get(kind, 0.0) + part
    ordered = {name: parts[name] for name in ORDER if parts.get(name)}
    return Account(total, ordered, batches.get("hand_over"), batches.get("starting"))


def unseen(answers: Answers) -> Iterator[tuple[str, str, dict[str, Any]]]:
    """Calls whose work the profile does not see: what they do, what it holds them for, and the
    call."""
    for call in answers.get("repeats", {}).get("calls", []):
        for name, kind in UNSEEN.items():
            if call["full_name"].startswith(name):
                yield kind, "python", call
        if call.get("chunk", {}).get("compression") in PACKED:  # unpacked within the library
            yield "decompressing", "reading", call
