"""The figure of two runs: every effect of the second against the same effect of the first.

Beside it, the quotient of both: on axes that span several powers of ten, a difference that matters
is too small to see.
"""

from __future__ import annotations

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, NullFormatter

from scripts.judging.model import Repeat
from scripts.judging.repeat import AGREES, DIFFERS
from scripts.report import repeat as words
from scripts.report.figures.chart import Chart
from scripts.report.figures.labels import compact
from scripts.report.figures.style import INK, LAYOUTS, Layout, drawing, finish, plain_axes, to_svg

NAME = "repeat"
TITLE = "The second run against the first"
MARGIN = 0.05
# What is drawn: its words, ink, marker, size and whether it is filled.
LOOKS = {
    "undecided": ("undecided in one or both", INK["unclear"], "o", 4.5, False),
    AGREES: ("decided alike", INK["for"], "o", 4.5, True),
    DIFFERS: ("decided differently", INK["against"], "D", 6.5, True),
}


def drawable(effects: pd.DataFrame) -> pd.DataFrame:
    """Counted ratios, shares and amounts that both runs measured; slopes and exact values have no
    place on a log axis."""
    chosen = effects[
        effects["counts"].astype(bool) & effects["quantity"].isin(("ratio", "share", "amount"))
    ]
    finite = np.isfinite(chosen[["first", "second"]].to_numpy(dtype=float)).all(axis=1)
    chosen = chosen[finite]
    positive: pd.DataFrame = chosen[(chosen["first"] > 0) & (chosen["second"] > 0)]
    return positive


def repeat_chart(repeat: Repeat) -> Chart | None:
    """The figure, or None when no effect was measured in both runs."""
    rows = drawable(repeat.effects)
    if rows.empty:
        return None
    counted = repeat.effects[repeat.effects["counts"].astype(bool)]
    quotient = np.abs(np.log(rows["second"] / rows["first"]))
    usual = np.exp(np.median(quotient)) - 1
    left_out = len(counted) - len(rows)
    lead = (
        f"{len(rows)} effects with their 95 % intervals; on the diagonal both runs agree. "
        f"Half of the effects differ by less than {100 * usual:.1f} %; the band is "
        f"\u00b1{MARGIN:.0%}."
    )
    rest = f" {left_out} slopes, exact values and cells of one run are in the data only."
    svgs: list[str] = []
    for layout in LAYOUTS:
        with drawing(NAME + layout.suffix):
            figure = _drawn(rows, layout)
            svgs.append(finish(to_svg(figure), NAME + layout.suffix, TITLE, lead))
    runs = words.both(repeat)
    caption = f"{lead}{rest if left_out else ''} First: {runs[0]}. Second: {runs[1]}."
    title = f"{TITLE}: {words.sentence(repeat)}"
    return Chart(NAME, title, caption, svgs[0], svgs[1], words.table(repeat.effects))


def _drawn(rows: pd.DataFrame, layout: Layout) -> Figure:
    """Two panels: side by side where there is room, else one above the other."""
    if layout.above:
        height = 7.0
        boxes = ((0.15, 4.15 / height, 0.81, 2.6 / height), (0.15, 1.3 / height, 0.81, 2 / height))
    else:
        height = 4.1
        boxes = (
            (0.085, 0.95 / height, 0.40, 2.9 / height),
            (0.59, 0.95 / height, 0.40, 2.9 / height),
        )
    figure = Figure(figsize=(layout.width, height))
    left, right = (figure.add_axes(box) for box in boxes)
    _against(left, rows)
    _quotient(right, rows)
    for ax in (left, right):
        ax.set_xlabel("first run" if ax is left else "effect in the first run")
    handles, labels = left.get_legend_handles_labels()
    figure.legend(
        handles, labels, loc="lower left", bbox_to_anchor=(boxes[0][0] - 0.02, 0.0), frameon=False,
        ncols=1 if layout.above else 3, handletextpad=0.3, columnspacing=1.4,
    )  # fmt: skip
    return figure


def _against(ax: Axes, rows: pd.DataFrame) -> None:
    both = rows[["first", "second"]].to_numpy(dtype=float)
    low, high = both.min() / 1.6, both.max() * 1.6
    _log_axes(ax, (low, high), (low, high))
    ax.plot([low, high], [low, high], color=INK["axis"], linewidth=1.0, zorder=1)
    for kind, (word, ink, marker, size, filled) in LOOKS.items():
        part = rows[rows["comparison"] == kind]
        if part.empty:
            continue
        # One line with gaps instead of one line for each interval: a tenth of the bytes.
        for name, other in (("first", "second"), ("second", "first")):
            ends = part.dropna(subset=[f"{name}_low", f"{name}_high"])
            along = [
                value
                for row in ends[[f"{name}_low", f"{name}_high"]].to_numpy(dtype=float)
                for value in (*np.clip(row, low, high), np.nan)
            ]
            across = [value for at in ends[other] for value in (at, at, np.nan)]
            xy = (along, across) if name == "first" else (across, along)
            ax.plot(*xy, color=ink, linewidth=0.9, alpha=0.6, zorder=2)
        _points(ax, part["first"], part["second"], ink, marker, size, filled, word)
    ax.set_title("second run", loc="left", color=INK["muted"], pad=8)


def _quotient(ax: Axes, rows: pd.DataFrame) -> None:
    quotient = (rows["second"] / rows["first"]).astype(float)
    widest = max(1.2, float(np.exp(np.abs(np.log(quotient)).max())) * 1.1)
    first = rows["first"].astype(float)
    _log_axes(ax, (first.min() / 1.6, first.max() * 1.6), (1 / widest, widest))
    ax.axhspan(1 / (1 + MARGIN), 1 + MARGIN, color=INK["band"], zorder=0)
    ax.axhline(1, color=INK["axis"], linewidth=1.0, zorder=1)
    for kind, (_, ink, marker, size, filled) in LOOKS.items():
        part = rows[rows["comparison"] == kind]
        if len(part):
            _points(ax, part["first"], quotient[part.index], ink, marker, size, filled, None)
    ax.set_title("second \u00f7 first", loc="left", color=INK["muted"], pad=8)


def _points(
    ax: Axes,
    x: pd.Series[float],
    y: pd.Series[float],
    ink: str,
    marker: str,
    size: float,
    filled: bool,
    label: str | None,
) -> None:
    ax.plot(
        x, y, linestyle="none", marker=marker, markersize=size, color=ink, zorder=3,
        markerfacecolor=ink if filled else INK["paper"], markeredgewidth=1.0,
        label=label or "_unlabelled",
    )  # fmt: skip


def _log_axes(ax: Axes, x: tuple[float, float], y: tuple[float, float]) -> None:
    ax.set_xscale("log")
    ax.set_yscale("log")
    ax.set_xlim(*x)
    ax.set_ylim(*y)
    plain_axes(ax, "both")
    for axis, ends in ((ax.xaxis, x), (ax.yaxis, y)):
        axis.set_ticks(_ticks(*ends))
        axis.set_major_formatter(FuncFormatter(lambda value, _: compact(float(f"{value:.3g}"))))
        axis.set_minor_formatter(NullFormatter())


def _ticks(low: float, high: float) -> list[float]:
    """At most about six readable positions on a log axis from `low` to `high`."""
    decades = range(-9, 13)
    finer = [1.0, 0.9, 0.95, 1.05, 1.1] if high / low < 2 else []
    for steps in ((1, 2, 5), (1, 3), (1,)):
        found = [m * 10.0**e for e in decades for m in steps if low <= m * 10.0**e <= high]
        if len(found) <= 6:
            return sorted({*found, *(tick for tick in finer if low <= tick <= high)})
    every = -(-len(found) // 6)
    return found[::every]
