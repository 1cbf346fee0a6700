"""The README's figure: images per second by resolution, the best loaders beside the datasets."""

from __future__ import annotations

import pandas as pd

from scripts.judging.model import Loaders
from scripts.report.figures.chart import Chart
from scripts.report.figures.overview import chart, lines
from scripts.report.figures.sweeps import select, with_throughput
from scripts.report.model import Study

IMPLS = ("naive", "preloaded", "mapped")
BEST = {"decode": "best loader, JPEG", "raw": "best loader, pixels"}
LEAD = (
    "Images per second on two cores; higher is better. The datasets feed a DataLoader without "
    "workers, from memory or a warm disk; the best loaders use the cores as they like."
)


def front_chart(study: Study) -> Chart | None:
    """Of the first machine; None where no epoch was measured at two resolutions."""
    rows = with_throughput(select(study, "epoch", "px", workers=0))
    rows = rows[rows["impl"].isin(IMPLS)]
    if rows.empty or rows["px"].nunique() < 2:
        return None
    machine = study.machines[0].name
    rows = rows[rows["machine"] == machine]
    best = [_best(each) for each in study.loaders if each.machine == machine and each.task in BEST]
    return chart(
        study,
        "images-per-second",
        "Images per second by resolution",
        LEAD,
        pd.concat([rows, *best], ignore_index=True),
        ["px"],
        lambda ax, part, layout: lines(ax, part, layout, "px", []),
        "images per second, log scale",
    )


def _best(found: Loaders) -> pd.DataFrame:
    """The fastest loader of this project whose pixels equal Pillow's, as a row of the sweep."""
    row = next(row for row in found.rows if row.origin == "variant" and row.exact)
    cell = {
        "benchmark": f"arms.{found.task.title()}",
        "machine": found.machine,
        "impl": BEST[found.task],
        "px": float(found.px),
        "value": row.images_per_second,
        "value_low": row.low,
        "value_high": row.high,
    }
    return pd.DataFrame([cell])
