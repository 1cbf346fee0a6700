"""All figures of a study: one per claim that has something to draw, and the overview.

`build(study)` returns them with their data and captions. What cannot be drawn is left out with a
sentence in `Figures.missing`, never an error: a quick profile or an old result lacks whole sweeps.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from scripts.chart import Chart
from scripts.figures_claims import claim_chart
from scripts.figures_overview import OVERVIEW
from scripts.model import ClaimResult, Study


@dataclass
class Figures:
    by_claim: dict[str, Chart] = field(default_factory=dict)
    overview: list[Chart] = field(default_factory=list)
    missing: list[str] = field(default_factory=list)

    def all(self) -> list[Chart]:
        return [*self.by_claim.values(), *self.overview]


def build(study: Study) -> Figures:
    """Every figure the study has the data for."""
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
    overview = {draw.__name__.replace("_", "-") for draw in OVERVIEW}
    return {claim.id for claim in claims} | overview
