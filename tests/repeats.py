"""A study measured a second time, with changes, for tests of comparing."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from scripts.judging.model import Cell, Verdict
from scripts.report.model import Study

Change = Callable[[str, Cell], Cell]


def again(study: Study, change: Change | None = None, **verdicts: Verdict) -> Study:
    """A second run: every effect a little off, and `change` and `verdicts` on top of that."""

    def measured(claim: str, cell: Cell) -> Cell:
        if cell.quantity != "value" and None not in (cell.estimate, cell.low, cell.high):
            off = {name: getattr(cell, name) * 1.01 for name in ("estimate", "low", "high")}
            cell = replace(cell, **off)
        return change(claim, cell) if change else cell

    return replace(
        study,
        claims=[
            replace(
                claim,
                verdict=verdicts.get(claim.id, claim.verdict),
                evidence=[measured(claim.id, cell) for cell in claim.evidence],
            )
            for claim in study.claims
        ],
    )


def turned(claim: str, cell: Cell) -> Cell:
    """The cells of C01 at 64 px come out the other way."""
    if claim == "C01" and cell.factors["px"] == 64:
        return replace(cell, outcome="against")
    return cell
