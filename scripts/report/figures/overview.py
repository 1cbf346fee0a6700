"""The overview: what the machine does, before any claim is judged.

Each figure picks the one benchmark that varies its factor most, holds the other factors at their
commonest level, and says so. Each returns a `Chart`, or the sentence for why there is none.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import pandas as pd

from datasets_impl.factors import LOCAL_MEDIA, SLOW_MEDIA
from scripts.report.figures.chart import Chart
from scripts.report.figures.plots import STAGES, chart, lines, stacked
from scripts.report.figures.sweeps import select, with_throughput
from scripts.report.model import Study

METHODS = ["fork", "forkserver", "spawn"]


def throughput(
    study: Study, name: str, over: str, title: str, lead: str, known: list[str], **fixed: object
) -> Chart | str:
    rows = select(study, "epoch", over, **fixed)
    if rows.empty or rows[over].nunique() < 2:
        return f"{title}: no run measured an epoch at two or more levels of this factor."
    return chart(
        study,
        name,
        title,
        lead,
        with_throughput(rows),
        [over, *fixed],
        lambda ax, part, layout: lines(ax, part, layout, over, known),
        "images per second, log scale",
    )


def first_batch(study: Study) -> Chart | str:
    """Start-up by start method at the most workers; by workers where one method was measured."""
    title = "Time to the first batch"
    over, known = "start_method", METHODS
    rows = select(study, "first_batch", over, workers=None)
    if rows.empty or rows[over].nunique() < 2:
        over, known = "workers", []
        rows = select(study, "first_batch", over)
    if rows.empty:
        return f"{title}: no run measured it."
    lead = "Seconds until the first batch arrives, by number of workers"
    if over == "start_method":
        shared = rows.groupby("workers")[over].nunique()
        most = shared[shared == shared.max()].index.max()
        rows = rows[rows["workers"] == most]
        lead = f"Seconds until the first batch arrives, by start method, with {most:g} workers"
    names = {"value": "median", "value_low": "low", "value_high": "high"}
    rows = rows.assign(**{new: rows[old] / 1000 for new, old in names.items()})
    return chart(
        study,
        "first-batch",
        title,
        f"{lead}; lower is better.",
        rows,
        [over],
        lambda ax, part, layout: lines(ax, part, layout, over, known),
        "seconds, log scale",
    )


def item_stages(study: Study) -> Chart | str:
    """From the cells of the claims, so that a stage has the same share wherever it is named."""
    title = "Where the time of one naive item goes"
    cells = {
        (cell.machine, cell.factors["px"], cell.factors["stage"]): cell
        for claim in study.claims
        for cell in claim.evidence
        if cell.quantity == "share" and cell.factors.get("stage") in STAGES
        and cell.factors.get("medium") == "disk-warm" and cell.estimate is not None
    }  # fmt: skip
    if not cells:
        return f"{title}: no run measured the stages of an item."
    rows = pd.DataFrame(
        {"machine": machine, "px": px, "stage": stage, "impl": "naive", "median": cell.estimate,
         "low": cell.low, "high": cell.high, "benchmark": cell.benchmark}
        for (machine, px, stage), cell in cells.items()
    )  # fmt: skip
    return chart(
        study,
        "item-stages",
        title,
        "Share of each stage in one item of the naive dataset, by resolution, from a warm disk; "
        "rest is what the item takes besides.",
        rows,
        ["px"],
        stacked,
        "share of the item's time",
    )


throughput_by_resolution = partial(
    throughput,
    name="throughput-by-resolution",
    over="px",
    title="Throughput by resolution",
    lead="Images per second in the main process (W = 0); higher is better.",
    known=[],
    workers=0,
)
throughput_by_workers = partial(
    throughput,
    name="throughput-by-workers",
    over="workers",
    title="Throughput by worker processes",
    lead="Images per second as num_workers grows; higher is better.",
    known=[],
    start_method=None,
)
throughput_by_medium = partial(
    throughput,
    name="throughput-by-medium",
    over="medium",
    title="Throughput by storage",
    lead="Images per second by where the bytes lie; higher is better.",
    known=[*LOCAL_MEDIA, *SLOW_MEDIA],
)
OVERVIEW: list[Callable[[Study], Chart | str]] = [
    throughput_by_resolution,
    throughput_by_workers,
    throughput_by_medium,
    first_batch,
    item_stages,
]
