"""What the log says of load during measurements: which were repeated, which stayed disturbed.

The benchmarks void a measurement while other programs or guests use the CPU, and make it again, at
most twice; see `datasets_impl/observe/load.py` for the thresholds. One that is disturbed to the
last is in asv's results like any other, so it is here that its block is left out.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from scripts.judging.claims import Test
from scripts.judging.model import Cell, Reason
from scripts.judging.observed import Place, of_cell, place_of

Flags = dict[str, dict[Place, tuple[int, ...]]]  # by machine
ALL_DISTURBED = Reason("all disturbed")
UNTOLD = Reason("disturbed, untold")  # a round was, and which sample is its cannot be told


def flagged(observations: Sequence[Mapping[str, Any]]) -> dict[Place, tuple[int, ...]]:
    """Cells with a measurement that stayed disturbed, and the rounds of it."""
    found: dict[Place, tuple[int, ...]] = {}
    for place, rounds in kept(observations).items():
        if loaded := tuple(sorted(number for number, under_load in rounds.items() if under_load)):
            found[place] = loaded
    return found


def kept(observations: Sequence[Mapping[str, Any]]) -> dict[Place, dict[int, bool]]:
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
        for place, rounds in kept(observations).items()
        if any(rounds.values())
    }


def left_out(
    samples: Sequence[float] | None, blocks: Sequence[bool]
) -> tuple[list[float] | None, Reason | None]:
    """`samples` with NaN for the blocks that were disturbed; or None and why nothing is left."""
    if samples is None or len(samples) != len(blocks):
        return None, UNTOLD
    kept = [math.nan if bad else value for value, bad in zip(samples, blocks, strict=True)]
    return (None, ALL_DISTURBED) if all(blocks) else (kept, None)


def marked(cells: Sequence[Cell], test: Test, flags: Flags) -> list[Cell]:
    """`cells` of `test`, each with the rounds that are left out for load on one of its arms."""
    return [replace(cell, loaded=rounds_of(cell, test, flags)) for cell in cells]


def rounds_of(cell: Cell, test: Test, flags: Flags) -> tuple[int, ...]:
    """Rounds in which an arm of the cell was disturbed; of a slope, at any level."""
    found = of_cell(cell, test, flags.get(cell.machine, {}))
    return tuple(sorted({number for rounds in found for number in rounds}))
