"""What the log says of a cell: load meanwhile, its verified state, and its further numbers.

The benchmarks void a measurement while other programs or guests use the CPU, and make it again, at
most twice; see `datasets_impl/observe/load.py` for the thresholds. One that is disturbed to the
last is in asv's results like any other, so it is here that its block is left out.
"""

from __future__ import annotations

import math
import statistics
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any, TypeVar

from datasets_impl.factors import ALSO
from scripts.judging.claims import Paired, Slope, Test
from scripts.judging.model import Cell, ColdState, Reason
from scripts.judging.pairing import Row, factors_of

T = TypeVar("T")
Place = tuple[str, tuple[tuple[str, Any], ...]]  # benchmark, its factor levels sorted by name
Flags = dict[str, dict[Place, tuple[int, ...]]]  # by machine
States = dict[str, dict[Place, ColdState]]  # by machine
ALL_DISTURBED = Reason("all disturbed")
UNTOLD = Reason("disturbed, untold")  # a round was, and which sample is its cannot be told


def place_of(entry: Mapping[str, Any]) -> Place:
    """Where a record of the log belongs, in the form the evidence looks cells up by."""
    return entry["benchmark"], tuple(sorted(entry["factors"].items()))


def place_of_row(row: Row) -> Place:
    """The same of a row of the evidence."""
    return row["benchmark"], tuple(sorted(factors_of(row).items()))


def _of_cell(cell: Cell, test: Test, known: Mapping[Place, T]) -> Iterator[T]:
    """What is known of either arm of the cell; of a slope, at any level."""
    benchmark = cell.benchmark.rpartition(".")[0]
    levels_of = test.baseline if isinstance(test, Paired) else {}
    baseline = {name: level for name, level in levels_of.items() if level != "*"}
    over = test.over if isinstance(test, Slope) else None
    arms = [
        {name: level for name, level in arm.items() if name != over}
        for arm in (cell.factors, {**cell.factors, **baseline})
    ]
    for (name, levels), found in known.items():
        place = {factor: level for factor, level in levels if factor != over}
        if name == benchmark and place in arms:
            yield found


# ---------------------------------------------------------------------------- load


def kept(observations: Iterable[Mapping[str, Any]]) -> dict[Place, dict[int, bool]]:
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


def flagged(observations: Iterable[Mapping[str, Any]]) -> dict[Place, tuple[int, ...]]:
    """Cells with a measurement that stayed disturbed, and the rounds of it."""
    return {
        place: tuple(sorted(number for number, under_load in rounds.items() if under_load))
        for place, rounds in kept(observations).items()
        if any(rounds.values())
    }


def disturbed(observations: Iterable[Mapping[str, Any]]) -> dict[Place, list[bool]]:
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
    quiet = [math.nan if bad else value for value, bad in zip(samples, blocks, strict=True)]
    return (None, ALL_DISTURBED) if all(blocks) else (quiet, None)


def marked(cells: Sequence[Cell], test: Test, flags: Flags) -> list[Cell]:
    """`cells` of `test`, each with the rounds that are left out for load on one of its arms."""
    found = []
    for cell in cells:
        of_arms = _of_cell(cell, test, flags.get(cell.machine, {}))
        loaded = tuple(sorted({number for rounds in of_arms for number in rounds}))
        found.append(replace(cell, loaded=loaded))
    return found


# ---------------------------------------------------------------------------- cold states


def cold_states(observations: Iterable[Mapping[str, Any]]) -> dict[Place, ColdState]:
    """The worst state of each cell over its rounds; only of those that were measured cold."""
    found: dict[Place, ColdState] = {}
    for entry in observations:
        if not was_cold(entry) or not entry["bytes_of_files"]:
            continue
        place, state = place_of(entry), _state(entry)
        found[place] = worst([found[place], state]) if place in found else state
    return found


def was_cold(entry: Mapping[str, Any]) -> bool:
    """Whether a record of the log is of a measurement over evicted files that was kept.

    A child with limited memory starts from evicted files too, and then keeps what fits: its state
    is another (`require_state` in `datasets_impl/experiments/beyond_memory.py`).
    """
    return "bytes_read" in entry and "peak_bytes" not in entry and not entry.get("voided")


def _state(entry: Mapping[str, Any]) -> ColdState:
    """Resident before, read after, and how fast."""
    limit = entry.get("limit") if "bytes_per_second" in entry else None
    return ColdState(
        resident_before=float(entry["resident_before"]),
        read_share=entry["bytes_read"] / entry["bytes_of_files"],
        share_of_limit=entry["bytes_per_second"] / limit if limit else None,
    )


def worst(states: Sequence[ColdState]) -> ColdState:
    """Of several: the most that was resident, the least that was read, the fastest reading."""
    rates = [each.share_of_limit for each in states if each.share_of_limit is not None]
    return ColdState(
        resident_before=max(each.resident_before for each in states),
        read_share=min(each.read_share for each in states),
        share_of_limit=max(rates, default=None),
    )


def stated(cells: Sequence[Cell], test: Test, states: States) -> list[Cell]:
    """`cells` of `test`, each with the worst state of its arms where they were measured cold."""
    found = []
    for cell in cells:
        own = list(_of_cell(cell, test, states.get(cell.machine, {})))
        found.append(replace(cell, cold=worst(own)) if own else cell)
    return found


# ---------------------------------------------------------------------------- further numbers


def further(rows: Sequence[Row], observations: Iterable[Mapping[str, Any]]) -> list[Row]:
    """The numbers that the log holds beside the one that asv got, as further rows: a metric of the
    same benchmark, block by block. Disturbed blocks of `rows` are NaN already.

    A row that was not measured gives rows that were not, for the same reason; one whose blocks
    the log does not tell apart gives none.
    """
    logged = _logged(observations)
    names: dict[str, dict[str, None]] = {}  # of each benchmark, in order of first appearance
    for (benchmark, _), rounds in logged.items():
        for each in rounds.values():
            names.setdefault(benchmark, {}).update(dict.fromkeys(each))
    return [
        made
        for row in rows
        for name in names.get(row["benchmark"], ())
        if (made := _row(row, name, logged)) is not None
    ]


def _logged(observations: Iterable[Mapping[str, Any]]) -> dict[Place, dict[int, dict[str, float]]]:
    """Of each cell that has further numbers, those of each of its rounds."""
    found: dict[Place, dict[int, dict[str, float]]] = {}
    for entry in observations:
        if "also" in entry and "value" in entry and not entry.get("voided"):
            rounds = found.setdefault(place_of(entry), {})
            numbers = {str(name): float(value) for name, value in entry["also"].items()}
            rounds[int(entry.get("round", len(rounds) + 1))] = numbers
    return found


def _row(row: Row, name: str, logged: Mapping[Place, dict[int, dict[str, float]]]) -> Row | None:
    made = row | {
        "name": f"{row['benchmark']}.{name}",
        "metric": name,
        "unit": ALSO.get(name, ""),
        "q25": None,
        "q75": None,
    }
    if row["status"] != "ok":
        return made
    rounds = logged.get(place_of_row(row), {})
    values = [rounds[number].get(name, math.nan) for number in sorted(rounds)]
    blocks = row["samples"]
    if blocks is None or len(blocks) != len(values):
        return None
    samples = [
        math.nan if math.isnan(block) else value
        for block, value in zip(blocks, values, strict=True)
    ]
    known = [value for value in samples if not math.isnan(value)]
    return made | {"samples": samples, "median": statistics.median(known)} if known else None
