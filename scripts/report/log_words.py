"""What the log says of load and of cold states, in words."""

from __future__ import annotations

import statistics
from collections.abc import Mapping, Sequence
from typing import Any

from datasets_impl.observe import load
from scripts.judging.model import ColdState
from scripts.judging.observed import flagged, place_of
from scripts.report import wording

NAMED = 12  # at most so many cells are named on the page; the log holds all


def remark(rounds: Sequence[int]) -> str:
    """A flagged cell's remark, "" for a cell that is not flagged."""
    if not rounds:
        return ""
    plural = "s" if len(rounds) > 1 else ""
    return f"round{plural} {', '.join(map(str, rounds))} left out: disturbed by other programs"


def summary(observations: Sequence[Mapping[str, Any]]) -> str:
    """One sentence on load during the cells, "" for a log without it."""
    known = [entry for entry in observations if "foreign_cores" in entry]
    if not known:
        return ""
    voided = [entry for entry in known if entry.get("voided")]
    kept = [entry for entry in known if not entry.get("voided")]
    loaded = [entry for entry in kept if entry.get("loaded")]
    repeated = len({(place_of(entry), entry.get("round")) for entry in voided})
    quiet = [entry["foreign_cores"] for entry in kept if not entry.get("loaded")]
    usual = statistics.median(quiet) if quiet else 0.0
    return (
        f"{len(voided)} of {len(known)} measurements were voided under foreign load (more than "
        f"{load.FOREIGN_CORES:g} cores in other programs, or {load.STEAL_SHARE:.0%} taken by other "
        f"guests). They are of {repeated} cell{'' if repeated == 1 else 's'} in a round, each made "
        f"again; {len(loaded)} stayed disturbed and {'is' if len(loaded) == 1 else 'are'} left "
        f"out. Median foreign load of the others: {usual:.2f} cores"
    )


def left_out_by_name(observations: Sequence[Mapping[str, Any]]) -> str:
    """The flagged cells by name with their rounds, "" when there are none."""
    found = flagged(observations)
    names = [
        f"{benchmark} ({wording.factors(dict(levels))}): round {', '.join(map(str, rounds))}"
        for (benchmark, levels), rounds in sorted(found.items(), key=str)
    ]
    more = [f"{len(names) - NAMED} more, in the log"] if len(names) > NAMED else []
    return "; ".join(names[:NAMED] + more)


def frequencies(observations: Sequence[Mapping[str, Any]]) -> str:
    """Range of the CPU frequency over the measurements, "" where it cannot be read."""
    told = [entry["mhz"] for entry in observations if entry.get("mhz")]
    if not told:
        return ""
    low, high = min(told), max(told)
    return f"{low:,} MHz" if low == high else f"{low:,} to {high:,} MHz"


def in_words(state: ColdState) -> str:
    """Such as "0 % resident before, 1.05 times the bytes read after, at 0.99 times the limit"."""
    parts = [
        f"{state.resident_before:.0%} resident before",
        f"{state.read_share:.2f} times the bytes read after",
    ]
    if state.share_of_limit is not None:
        parts.append(f"at {state.share_of_limit:.2f} times the limit")
    return ", ".join(parts).replace("%", f"{wording.NBSP}%")
