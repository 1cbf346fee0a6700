"""All figures of a study: one per claim that has something to draw, and the overview.

`build(study)` returns them with their data and captions. What cannot be drawn is left out with a
sentence in `Figures.missing`, never an error: a quick profile or an old result lacks whole sweeps.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import pandas as pd

from scripts.figure_style import standalone
from scripts.model import Cell, ClaimResult, Study
from scripts.wording import level, short_commit


@dataclass(frozen=True)
class Chart:
    """A drawn figure: `svg` and `narrow` for inlining, `file_svg` for the file, and its data."""

    name: str  # file stem under figures/
    title: str
    caption: str  # what to see, then benchmark, cells, machine and commit
    svg: str
    narrow: str  # the same for a phone: labels above the rows, not beside them
    data: pd.DataFrame

    @property
    def file_svg(self) -> str:
        return standalone(self.svg)

    @property
    def csv(self) -> str:
        return self.data.to_csv(index=False, float_format="%.4g", lineterminator="\n")


@dataclass
class Figures:
    by_claim: dict[str, Chart] = field(default_factory=dict)
    overview: list[Chart] = field(default_factory=list)
    missing: list[str] = field(default_factory=list)

    def all(self) -> list[Chart]:
        return [*self.by_claim.values(), *self.overview]


def source_line(study: Study, benchmarks: list[str], cells: int, machines: list[str]) -> str:
    """The provenance that ends every caption."""
    plural = "s" if len(benchmarks) > 1 else ""
    return (
        f"Benchmark{plural} {', '.join(benchmarks)}; {cells} cells; "
        f"machine {', '.join(machines)}; commit {short_commit(study)}."
    )


def cell_table(cells: list[Cell]) -> pd.DataFrame:
    """Cells as the rows of a figure's CSV file: factors first, then the result."""
    rows = [
        {
            "test": cell.test,
            "machine": cell.machine,
            "treatment": cell.treatment,
            "baseline": cell.baseline,
            **{name: level(value) for name, value in cell.factors.items()},
            "quantity": cell.quantity,
            "estimate": cell.estimate,
            "low": cell.low,
            "high": cell.high,
            "outcome": cell.outcome,
            "counts": cell.counts,
            "blocks": cell.blocks,
            "benchmark": cell.benchmark,
        }
        for cell in cells
    ]
    return pd.DataFrame(rows)


def build(study: Study) -> Figures:
    """Every figure the study has the data for."""
    # Imported here because both modules import the names above.
    from scripts.figures_claims import claim_chart
    from scripts.figures_overview import OVERVIEW

    figures = Figures()
    for claim in study.claims:
        chart = claim_chart(study, claim)
        if chart is not None:
            figures.by_claim[claim.id] = chart
    for draw in OVERVIEW:
        result = draw(study)
        if isinstance(result, Chart):
            figures.overview.append(result)
        else:
            figures.missing.append(result)
    return figures


def known_names(claims: list[ClaimResult]) -> set[str]:
    """File stems this module can write, so a stale figure is told from somebody else's file."""
    from scripts.figures_overview import OVERVIEW

    overview = {draw.__name__.replace("_", "-") for draw in OVERVIEW}
    return {claim.id for claim in claims} | overview
