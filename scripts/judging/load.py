"""What the log says of load during measurements: which were repeated, which stayed disturbed.

The benchmarks void a measurement while other programs or guests use the CPU, and make it again, at
most twice; see `datasets_impl/observe/load.py` for the thresholds. One that is disturbed to the
last is in asv's results like any other, so it is here that its block is left out.
"""

from __future__ import annotations

import math
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from datasets_impl.observe import load
from scripts.judging.claims import Test
from scripts.judging.model import Cell
from scripts.judging.observed import Place, of_cell, place_of
from scripts.report import wording

Flags = dict[str, dict[Place, tuple[int, ...]]]  # by machine
ALL_DISTURBED = "every round was disturbed by other programs; measure again on an idle machine"
NAMED = 12  # at most so many cells are named on the page; the log holds all


def flagged(observations: Sequence[Mapping[str, Any]]) -> dict[Place, tuple[int, ...]]:
    """Cells with a measurement that stayed disturbed, and the rounds of it."""
    found: dict[Place, tuple[int, ...]] = {}
    for place, rounds in _kept(observations).items():
        if loaded := tuple(sorted(number for number, under_load in rounds.items() if under_load)):
            found[place] = loaded
    return found


def _kept(observations: Sequence[Mapping[str, Any]]) -> dict[Place, dict[int, bool]]:
    """Cell -> round -> whether it was disturbed, of what was measured and not made again.

    A log of plain asv names no rounds: there they are counted by the cell's records.
    """
    found: dict[Place, dict[int, bool]] = {}
    for entry in observations:
        if "factors" not in entry or "value" not in entry or entry.get("voided"):
            continue
        rounds = found.setdefault(place_of(entry), {})
        number = int(entry.get("round", len(rounds) + 1))
        rounds[number] = rounds.get(number, False) or bool(entry.get("loaded"))
    return found


def disturbed(observations: Sequence[Mapping[str, Any]]) -> dict[Place, list[bool]]:
    """Of each cell with a disturbed measurement, block by block: was it?"""
    return {
        place: [rounds[number] for number in sorted(rounds)]
        for place, rounds in _kept(observations).items()
        if any(rounds.values())
    }


def left_out(
    samples: Sequence[float] | None, blocks: Sequence[bool]
) -> tuple[list[float] | None, str]:
    """`samples` with NaN for the blocks that were disturbed; or None and why nothing is left."""
    if samples is None or len(samples) != len(blocks):
        return (
            None,
            "a round was disturbed by other programs, and which sample is its cannot be told",
        )
    kept = [math.nan if bad else value for value, bad in zip(samples, blocks, strict=True)]
    return (None, ALL_DISTURBED) if all(blocks) else (kept, "")


def marked(cells: Sequence[Cell], test: Test, flags: Flags) -> list[Cell]:
    """`cells` of `test`, each with the rounds that are left out for load on one of its arms."""
    return [replace(cell, loaded=rounds_of(cell, test, flags)) for cell in cells]


def rounds_of(cell: Cell, test: Test, flags: Flags) -> tuple[int, ...]:
    """Rounds in which an arm of the cell was disturbed; of a slope, at any level."""
    found = of_cell(cell, test, flags.get(cell.machine, {}))
    return tuple(sorted({number for rounds in found for number in rounds}))


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
        f"guests), {repeated} {'was' if repeated == 1 else 'were'} made again, {len(loaded)} left "
        f"out; median foreign load of the kept ones {usual:.2f} cores"
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
