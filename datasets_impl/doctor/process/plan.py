"""Which probes the time allows, once it is known how long a sample takes."""

from __future__ import annotations

from collections.abc import Sequence

# Probe -> samples, and batches of samples, that it cannot do without.
LEAST_READS = {
    "items": (3, 0),
    "causes": (3, 0),
    "pictures": (1, 0),
    "repeats": (4, 0),
    "repeated": (4, 0),
    "ceiling": (1, 0),
    "batches": (12, 0),
    "growth": (0, 6),
    "tried": (24, 0),
}
FOREMOST = ("tried", "causes")  # they are given what the others leave over


def plan(asked: Sequence[tuple[str, float]], cost: float, batch: int) -> dict[str, float]:
    """Seconds of each probe, 0.0 where a sample of `cost` seconds is too slow for it.

    What is left over goes to trying remedies; where there is not time enough even so, to finding
    where the time goes.
    """
    found = dict(asked)

    def needed(probe: str) -> float:
        samples, batches = LEAST_READS.get(probe, (0, 0))
        return cost * (samples + batches * batch)

    spare = 0.0
    for probe, seconds in asked:
        if probe not in FOREMOST and needed(probe) > seconds:
            found[probe], spare = 0.0, spare + seconds
    for probe in FOREMOST:
        if probe not in found:
            continue
        if needed(probe) <= found[probe] + spare:
            found[probe] += spare
            spare = 0.0
        else:
            spare += found[probe]
            found[probe] = 0.0
    return found
