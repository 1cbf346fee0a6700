"""What the log says of load during measurements: which were repeated, which were kept under load.

The benchmarks void a measurement while other programs or guests use the CPU, and make it again; see
`datasets_impl/observe/load.py` for the thresholds.
"""

from __future__ import annotations

import statistics
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from datasets_impl.observe import load
from scripts import wording
from scripts.claims import Test
from scripts.model import Cell
from scripts.observed import Place, of_cell, place_of

Flags = dict[str, dict[Place, tuple[int, ...]]]  # by machine
NAMED = 12  # at most so many cells are named on the page; the log holds all


def flagged(observations: Sequence[Mapping[str, Any]]) -> dict[Place, tuple[int, ...]]:
    """Cells with a measurement that was kept under load, and the rounds it was kept in.

    A log of plain asv names no rounds: there they are counted by the cell's records.
    """
    seen: Counter[Place] = Counter()
    found: dict[Place, tuple[int, ...]] = {}
    for entry in observations:
        if "factors" not in entry or entry.get("voided"):
            continue
        place = place_of(entry)
        seen[place] += 1
        if entry.get("loaded"):
            found[place] = (*found.get(place, ()), int(entry.get("round", seen[place])))
    return found


def marked(cells: Sequence[Cell], test: Test, flags: Flags) -> list[Cell]:
    """`cells` of `test`, each with the rounds in which one of its arms was kept under load."""
    return [replace(cell, loaded=rounds_of(cell, test, flags)) for cell in cells]


def rounds_of(cell: Cell, test: Test, flags: Flags) -> tuple[int, ...]:
    """Rounds in which an arm of the cell was kept under load; of a slope, at any level."""
    found = of_cell(cell, test, flags.get(cell.machine, {}))
    return tuple(sorted({number for rounds in found for number in rounds}))


def remark(rounds: Sequence[int]) -> str:
    """A flagged cell's remark, "" for a cell that is not flagged."""
    if not rounds:
        return ""
    plural = "s" if len(rounds) > 1 else ""
    return f"kept under foreign load in round{plural} {', '.join(map(str, rounds))}"


def summary(observations: Sequence[Mapping[str, Any]]) -> str:
    """One sentence on load during the cells, "" for a log without it."""
    known = [entry for entry in observations if "foreign_cores" in entry]
    if not known:
        return ""
    voided = [entry for entry in known if entry.get("voided")]
    kept = [entry for entry in known if not entry.get("voided")]
    loaded = [entry for entry in kept if entry.get("loaded")]
    repeated = len({(place_of(entry), entry.get("round")) for entry in voided})
    usual = statistics.median(entry["foreign_cores"] for entry in kept) if kept else 0.0
    return (
        f"{len(voided)} of {len(known)} measurements were voided under foreign load (more than "
        f"{load.FOREIGN_CORES:g} cores in other programs, or {load.STEAL_SHARE:.0%} taken by other "
        f"guests), {repeated} {'was' if repeated == 1 else 'were'} made again, {len(loaded)} kept "
        f"under load; median foreign load of the kept ones {usual:.2f} cores"
    )


def kept_under_load(observations: Sequence[Mapping[str, Any]]) -> str:
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
