"""Rows of the evidence that a test compares: which take part, and which are partners."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pandas as pd

from datasets_impl.factors import NAMES
from scripts.judging.claims import BreakEven, Paired

Row = dict[str, Any]  # one row of `Evidence.cells`


def allowed(cells: pd.DataFrame, where: dict[str, list[Any]]) -> pd.Series[bool]:
    """Which rows have the levels of `where`; "!x" stands for every level but x."""
    keep = pd.Series(True, index=cells.index)
    for factor, levels in where.items():
        refused = [str(level)[1:] for level in levels if str(level).startswith("!")]
        if refused:
            keep &= ~cells[factor].astype(str).isin(refused)
        else:
            keep &= cells[factor].isin(levels)
    return keep


def records(cells: pd.DataFrame) -> list[Row]:
    """The rows of the evidence as plain dictionaries."""
    # `to_dict` looks up each of dozens of columns by itself: most of the time of judging a claim.
    names = [str(name) for name in cells.columns]
    return [dict(zip(names, row, strict=True)) for row in cells.astype(object).to_numpy().tolist()]


def factors_of(row: Row) -> dict[str, Any]:
    """The row's factor levels, without the factors its benchmark does not have."""
    return {name: row[name] for name in NAMES if row.get(name) is not None}


def level(value: Any) -> Any:
    """A factor level as a plain number or word: 64, not 64.0 or a NumPy scalar."""
    value = value.item() if hasattr(value, "item") else value
    return int(value) if isinstance(value, float) and value.is_integer() else value


def pairs_of(test: Paired, cells: pd.DataFrame) -> Iterator[tuple[Row, Row]]:
    """(treatment, baseline) rows that agree in machine, benchmark and every other factor."""
    arms = set(test.treatment)
    rows = records(cells)

    def place(row: Row) -> tuple[Any, ...]:
        others = {key: level for key, level in factors_of(row).items() if key not in arms}
        return (row["machine"], row["benchmark"], tuple(others.items()))

    baselines = {place(row): row for row in rows if _is(row, test.baseline)}
    for row in rows:
        if _is(row, test.treatment) and not _is(row, test.baseline) and place(row) in baselines:
            yield row, baselines[place(row)]


def _is(row: Row, arm: dict[str, Any]) -> bool:
    return all(level == "*" or row[factor] == level for factor, level in arm.items())


def label(row: Row, arm: dict[str, Any]) -> str:
    """The arm in words, for example "naive" or "workers=2"."""
    return ", ".join(
        str(row[factor]) if isinstance(row[factor], str) else f"{factor}={row[factor]}"
        for factor in arm
    )


class Constructions:
    """Construction times of a test, found by the epoch they belong to.

    A construction has fewer factors than an epoch (workers start later, for one), so it belongs to
    every epoch that agrees with it in the factors it has. The benchmark named first goes first.
    """

    def __init__(self, test: BreakEven, cells: pd.DataFrame) -> None:
        chosen = cells[cells["metric"] == "construction"]
        rows = records(chosen[chosen["benchmark"].isin(test.construction)])
        self.rows = sorted(rows, key=lambda row: test.construction.index(row["benchmark"]))

    def of(self, epoch: Row) -> Row | None:
        for row in self.rows:
            levels = factors_of(row)
            if row["machine"] == epoch["machine"] and all(
                epoch[factor] == level for factor, level in levels.items()
            ):
                return row
        return None
