"""Total time against epochs: where a dataset that is dear to construct has paid for itself."""

from __future__ import annotations

import math

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.ticker import FuncFormatter, MaxNLocator

from datasets_impl.factors import CENTRE
from scripts.judging.model import Cell
from scripts.report import wording
from scripts.report.figures.chart import Chart
from scripts.report.figures.labels import spread
from scripts.report.figures.plots import chart, impl_order, style_of
from scripts.report.figures.style import INK, TEXT, Layout, plain_axes
from scripts.report.model import Study

BASELINE = "naive"
IMPLS = (BASELINE, "preloaded", "mapped")
KEY = ["machine", "n", "px", "impl"]
AT_CENTRE = {name: (CENTRE[name],) for name in ("workers", "medium", "transform", "bandwidth")}
FEWEST, MOST = 4.0, 60.0  # epochs on the axis


def break_even(study: Study) -> Chart | str:
    """Total time of the documented datasets over epochs, crossings with the naive one marked."""
    title = "When preparing in advance has paid for itself"
    rows = costs(study)
    if rows.empty:
        return f"{title}: no run measured construction and epoch of the same datasets."
    return chart(
        study,
        "break-even",
        title,
        "Construction and all epochs so far, in the main process (W = 0). Where a line crosses "
        "below that of the naive dataset, its construction has paid for itself; the bar on the "
        "axis below is its 95 % interval, where a claim has judged it.",
        rows,
        [],
        draw,
        "total seconds",
    )


def costs(study: Study) -> pd.DataFrame:
    """One row for each machine and implementation, at one count and resolution.

    Columns: KEY, benchmark, construction and epoch (seconds), crossing, low and high (epochs).
    """
    rows: pd.DataFrame = study.measurements
    empty = pd.DataFrame()
    if rows.empty or not {"metric", "median", *KEY} <= set(rows.columns):
        return empty
    rows = rows[rows["impl"].isin(IMPLS) & ~rows["benchmark"].astype(str).str.startswith("control")]
    made, run = rows[rows["metric"] == "construction"], rows[rows["metric"] == "epoch"]
    for factor, levels in AT_CENTRE.items():
        if factor in run:
            absent = run[factor].isna() | (run[factor].astype(str) == "")
            run = run[run[factor].isin(levels) | absent]
    both = made.drop_duplicates(KEY).merge(run, on=KEY, suffixes=("_made", "_run"))
    # The count and resolution that most sweeps share is the centre of the study.
    sweeps = both.groupby(["n", "px"]).size()
    n, px = max(sweeps.index, key=lambda at: (sweeps[at], *at)) if len(sweeps) else (0, 0)
    both = both[(both["n"] == n) & (both["px"] == px)]
    judged = {(c.machine, c.factors["impl"]): c for c in _judged(study, n, px)}
    benchmarks = [c.benchmark for c in judged.values()]
    both = both.assign(
        other=[f"{name}.track_epoch" not in benchmarks for name in both["benchmark_run"]]
    )
    both = both.sort_values("other", kind="stable").drop_duplicates(KEY)
    if BASELINE not in set(both["impl"]) or both["impl"].nunique() < 2:
        return empty
    found = both[KEY].assign(
        benchmark=both["benchmark_made"] + ", " + both["benchmark_run"],
        construction=_centre(both, "made") / 1e3,
        epoch=_centre(both, "run") * float(n) / 1e6,
    )
    crossings = [
        _crossing(found, row, judged.get((row["machine"], row["impl"])))
        for _, row in found.iterrows()
    ]
    found[["crossing", "low", "high"]] = pd.DataFrame(crossings, index=found.index, dtype=float)
    order = found["impl"].map(impl_order)
    found = found.assign(order=order).sort_values(["machine", "order"])
    return found.drop(columns="order").reset_index(drop=True)


def _centre(rows: pd.DataFrame, part: str) -> pd.Series:
    """The mean over blocks, which is what a break-even rests on; without an interval the median.

    The interval is symmetric around it on the log scale.
    """
    median, low, high = (rows[f"{name}_{part}"].astype(float) for name in ("median", "low", "high"))
    return ((low * high) ** 0.5).fillna(median)


def _judged(study: Study, n: int, px: int) -> list[Cell]:
    """The counted break-even cells of the claims at one count and resolution."""
    wanted = {"n": (n,), "px": (px,), **AT_CENTRE}
    return [
        cell
        for claim in study.claims
        for cell in claim.evidence
        if cell.unit == "epochs"
        and (cell.counts, cell.baseline) == (True, BASELINE)
        and cell.factors.get("impl") in IMPLS
        and all(cell.factors.get(name, levels[0]) in levels for name, levels in wanted.items())
    ]


def _crossing(
    rows: pd.DataFrame, row: pd.Series, judged: Cell | None
) -> tuple[float | None, float | None, float | None]:
    """The judged break-even of a row with its interval; without one, that of the lines drawn."""
    if row["impl"] == BASELINE:
        return None, None, None
    if judged is not None and judged.estimate is not None:
        estimate = judged.estimate if math.isfinite(judged.estimate) else None
        return estimate, judged.low, judged.high
    plain = rows[(rows["machine"] == row["machine"]) & (rows["impl"] == BASELINE)]
    if plain.empty:
        return None, None, None
    saving = float(plain["epoch"].iloc[0]) - row["epoch"]
    extra = row["construction"] - float(plain["construction"].iloc[0])
    return (max(0.0, extra / saving) if saving > 0 else None), None, None


def draw(ax: Axes, rows: pd.DataFrame, layout: Layout) -> None:
    """A line for each implementation, a mark at each crossing, its interval on the axis below."""
    known = rows[["crossing", "high"]].max(axis=1).dropna()
    reach = min(max(FEWEST, 1.5 * float(known.max()) if len(known) else FEWEST), MOST)
    names = list(rows["impl"])
    top = max(float(row["construction"] + reach * row["epoch"]) for _, row in rows.iterrows())
    ax.set_xlim(0, reach)
    ax.set_ylim(0, 1.06 * top)
    plain_axes(ax, "y")
    ax.xaxis.set_major_locator(MaxNLocator(6, integer=True))
    ax.yaxis.set_major_locator(MaxNLocator(5))
    ax.yaxis.set_major_formatter(FuncFormatter(lambda y, _: f"{y:,g}"))
    ax.set_xlabel("epochs")
    ends: list[tuple[float, str]] = []
    for _, row in rows.iterrows():
        style = style_of(row["impl"], names)
        last = row["construction"] + reach * row["epoch"]
        line = {"color": style["color"], "linestyle": style["linestyle"]}
        ax.plot([0, reach], [row["construction"], last], linewidth=1.8, zorder=2, **line)  # type: ignore[arg-type]
        ends.append((last / (1.06 * top), row["impl"]))
        if row["crossing"] == row["crossing"] and row["crossing"] <= reach:
            mark_crossing(ax, row, str(style["color"]), str(style["marker"]))
    for position, (name, _) in spread(ends, 0.085, -1).items():  # room for three lines of text
        ax.text(
            1.025,
            position,
            "\n".join([name, *words(rows[rows["impl"] == name].iloc[0])]),
            transform=ax.transAxes,
            va="center",
            fontsize=TEXT,
            color=str(style_of(name, names)["color"]),
        )


def mark_crossing(ax: Axes, row: pd.Series, ink: str, marker: str) -> None:
    x = row["crossing"]
    y = row["construction"] + x * row["epoch"]
    ax.plot([x, x], [0, y], color=INK["axis"], linewidth=0.9, linestyle=(0, (2, 2)), zorder=1)
    if row["low"] == row["low"]:
        high = row["high"] if row["high"] == row["high"] else ax.get_xlim()[1]
        ax.plot(
            [row["low"], high],
            [0, 0],
            color=ink,
            linewidth=6,
            solid_capstyle="butt",
            clip_on=False,
            zorder=4,
        )
    ring = {"markerfacecolor": INK["paper"], "markeredgecolor": ink, "markeredgewidth": 1.6}
    ax.plot([x], [y], marker, markersize=7, zorder=4, **ring)  # type: ignore[arg-type]


def words(row: pd.Series) -> list[str]:
    """The crossing in words, under the name of its line."""
    if row["impl"] == BASELINE:
        return []
    if row["crossing"] != row["crossing"]:
        return ["never pays"]
    low, high = (end if end == end else None for end in (row["low"], row["high"]))
    shown = wording.interval(row["crossing"], low, high, "amount")
    return [f"even after {wording.number(row['crossing'])}", *([shown] if shown else [])]
