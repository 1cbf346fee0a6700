"""All figures of a study: one per claim that has something to draw, and the overview.

`build(study)` returns them with their data and captions. What cannot be drawn is left out with a
sentence in `Figures.missing`, never an error: a quick profile or an old result lacks whole sweeps.

A claim's figure is `claims`: cells sorted by `panels`, each a `forest` or lines on the axis of
`values`, with its `boundary`. Measured values are `overview`, `sweeps`, `break_even`, `loaders`,
`environments`, `repeat` and `front` (the page's first, and the README's). All are a `chart`, drawn
with `plots` and `labels` in one `style`.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from scripts.report.figures.break_even import break_even
from scripts.report.figures.chart import Chart
from scripts.report.figures.claims import claim_chart
from scripts.report.figures.environments import environments_chart
from scripts.report.figures.front import front_chart
from scripts.report.figures.loaders import loader_charts
from scripts.report.figures.overview import OVERVIEW
from scripts.report.figures.repeat import repeat_chart
from scripts.report.model import Study

DRAWN = [*OVERVIEW, break_even]


@dataclass
class Figures:
    by_claim: dict[str, Chart] = field(default_factory=dict)
    overview: list[Chart] = field(default_factory=list)
    missing: list[str] = field(default_factory=list)
    repeat: Chart | None = None  # of a study with a second run
    loaders: list[Chart] = field(default_factory=list)  # what to use instead
    front: Chart | None = None  # the README's
    environments: Chart | str = ""  # what changes between releases, or why it is not drawn

    def all(self) -> list[Chart]:
        last = (self.repeat, self.front, self.environments)
        drawn = [chart for chart in last if isinstance(chart, Chart)]
        return [*self.by_claim.values(), *self.overview, *self.loaders, *drawn]


def build(study: Study) -> Figures:
    """Every figure the study has the data for."""
    figures = Figures()
    for claim in study.claims:
        chart = claim_chart(study, claim)
        if chart is not None:
            figures.by_claim[claim.id] = chart
    for draw in DRAWN:
        result = draw(study)
        if isinstance(result, Chart):
            figures.overview.append(result)
        else:
            figures.missing.append(result)
    figures.loaders = loader_charts(study)
    figures.front = front_chart(study)
    figures.environments = environments_chart(study)
    if study.repeat is not None:
        figures.repeat = repeat_chart(study.repeat)
    return figures
