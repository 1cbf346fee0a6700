"""Further numbers of a measurement, which its log holds beside the one that asv got.

They become rows of the evidence like any other: a metric of the same benchmark, block by block.
"""

from __future__ import annotations

import math
import statistics
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from datasets_impl.factors import ALSO, NAMES
from scripts.judging.observed import Place, place_of

Row = dict[str, Any]


def further(rows: Sequence[Row], observations: Iterable[Mapping[str, Any]]) -> list[Row]:
    """A row for each further number of each of `rows`, of which disturbed blocks are NaN already.

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
    factors = {factor: row[factor] for factor in NAMES if row.get(factor) is not None}
    rounds = logged.get((row["benchmark"], tuple(sorted(factors.items()))), {})
    values = [rounds[number].get(name, math.nan) for number in sorted(rounds)]
    blocks = row["samples"]
    if blocks is None or len(blocks) != len(values):
        return None
    samples = [
        math.nan if math.isnan(block) else value
        for block, value in zip(blocks, values, strict=True)
    ]
    kept = [value for value in samples if not math.isnan(value)]
    return made | {"samples": samples, "median": statistics.median(kept)} if kept else None
