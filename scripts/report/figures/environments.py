"""The centre of the star over environments: each time and size over that under the reference."""

from __future__ import annotations

from collections.abc import Sequence

import pandas as pd

from scripts.judging.across import PLACES, WHO
from scripts.judging.environment_changes import Across, Change
from scripts.judging.model import Cell
from scripts.report import wording
from scripts.report.environments import PLACE_WORDS, base_of
from scripts.report.figures.chart import Chart
from scripts.report.figures.claims import draw_panels
from scripts.report.figures.panels import Panel, shared
from scripts.report.figures.style import LAYOUTS, finish
from scripts.report.figures.values import inks
from scripts.report.model import Study

NAME = "environments"
TITLE = "What changes between releases of Python and torch"
LEGEND = {"for": "beyond the band", "unclear": "not beyond it"}
NONE = (
    "What changes between releases is not drawn: each machine measured in one environment only. "
    "`make study PYTHON=` or `TORCH=` measures in another."
)
NOTHING = (
    "What changes between releases is not drawn: no two environments of a machine have a time or a "
    "size at the centre of the star in common."
)


def environments_chart(study: Study) -> Chart | str:
    """A panel for each place of the star, a row for each implementation; or why there is none."""
    if not study.across:
        return NONE
    names = [one.machine for one in study.across]
    shown = [one for one in study.across if one.machine in wording.drawn(names)]
    panels = _panels(shown)
    if not panels:
        return NOTHING
    bases = sorted({base_of(one) for one in shown})
    lead = (
        f"Time or memory over that under {' or '.join(bases)}, on a log scale: 1\u00d7 is no "
        "change, the band is \u00b15 %. Bars are 95 % intervals over the rounds of two runs that "
        "took no turns; what else the machine did between them is not in an interval."
    )
    cells = [cell for panel in panels for cell in panel.cells]
    colours = inks(cells)
    svgs = [
        finish(
            draw_panels(NAME + layout.suffix, panels, layout, colours, LEGEND),
            NAME + layout.suffix,
            TITLE,
            lead,
        )
        for layout in LAYOUTS
    ]
    caption = " ".join(filter(None, (lead, wording.not_drawn(names), _source(shown))))
    return Chart(NAME, TITLE, caption, svgs[0], svgs[1], _table(study.across))


def _panels(found: Sequence[Across]) -> list[Panel]:
    """In the order of the places, then of the machines, which share none."""
    machines = list(dict.fromkeys(one.machine for one in found))
    panels = []
    for place in PLACES:
        for machine in machines:
            cells = [
                _cell(one, change)
                for one in found
                for change in one.changes
                if (one.machine, change.place) == (machine, place.key)
            ]
            where = f" ({machine})" if len(machines) > 1 else ""
            if cells:
                panels.append(Panel(f"{PLACE_WORDS[place.key]}{where}", "ratio", cells))
    return shared(panels)


def _cell(one: Across, change: Change) -> Cell:
    """For the forest, which draws a mark for each machine: here for each environment."""
    return Cell(
        test=change.place,
        quantity="ratio",
        factors={name: level for name, level in change.factors.items() if name in WHO},
        estimate=change.ratio.estimate,
        low=change.ratio.low,
        high=change.ratio.high,
        outcome="for" if change.changed else "unclear",
        blocks=change.ratio.blocks,
        benchmark=change.benchmark,
        machine=one.environment,
    )


def _source(shown: Sequence[Across]) -> str:
    changes = [change for one in shown for change in one.changes]
    benchmarks = sorted({change.benchmark for change in changes})
    machines = list(dict.fromkeys(one.machine for one in shown))
    commits = sorted({commit[:10] for one in shown for commit in (one.commit, one.base_commit)})
    return (
        f"Benchmarks {', '.join(benchmarks)}; {len(changes)} cells; machine {', '.join(machines)}; "
        f"commit{'s' * (len(commits) > 1)} {', '.join(commits)}."
    )


def _table(found: Sequence[Across]) -> pd.DataFrame:
    return pd.DataFrame(
        {
            "machine": one.machine,
            "environment": one.environment,
            "profile": one.profile,
            "base": one.base,
            "base_profile": one.base_profile,
            "benchmark": change.benchmark,
            "cell": wording.factors(change.factors),
            "unit": change.unit,
            "base_value": change.base,
            "value": change.other,
            "ratio": change.ratio.estimate,
            "low": change.ratio.low,
            "high": change.ratio.high,
            "blocks": change.ratio.blocks,
            "changed": change.changed,
        }
        for one in found
        for change in one.changes
    )
