"""The cell that stands for a claim."""

from __future__ import annotations

from collections.abc import Sequence

from datasets_impl.factors import CENTRE
from scripts.judging.claims import Claim
from scripts.judging.model import Cell, Effect

# The factors that every profile has at the centre of its star; image counts differ.
STAR = ("px", "workers", "start_method", "medium")


def headline(claim: Claim, cells: Sequence[Cell]) -> Effect | None:
    """The cell that `claims.toml` names, at the centre for every factor it does not name."""
    wanted = dict(claim.headline)
    benchmark = wanted.pop("benchmark", None)
    candidates = [
        cell
        for cell in cells
        if cell.counts
        and cell.estimate is not None
        and all(cell.factors.get(name) == level for name, level in wanted.items())
        and (benchmark is None or cell.benchmark.startswith(f"{benchmark}."))
    ]
    if not candidates:
        return None

    def distance(cell: Cell) -> int:
        return sum(cell.factors.get(name, CENTRE[name]) != CENTRE[name] for name in STAR)

    best = min(candidates, key=distance)
    assert best.estimate is not None
    test = next(test for test in claim.test.values() if test.label == best.test)
    return Effect(
        metric=test.metric,
        arms=[arm for arm in (best.treatment, best.baseline) if arm],
        estimate=best.estimate,
        low=best.low,
        high=best.high,
        quantity=best.quantity,
        factors=best.factors,
        reading=best.reading,
        unit=best.unit,
        test=best.test,
    )
