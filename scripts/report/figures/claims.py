"""One figure per claim: a panel for each of its tests, on one shared layout.

Left column: what the row or the line is. Middle: the estimate with its 95 % interval on a log
axis (ratios), a 0-100 % axis (shares) or a linear one. Right: the numbers. A test with a numeric
factor of three or more levels becomes lines over that factor; anything else a forest plot.
"""

from __future__ import annotations

import itertools
import math
import textwrap
from collections.abc import Callable
from dataclasses import replace
from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, MaxNLocator, NullFormatter

from scripts.judging.model import Cell
from scripts.judging.pairing import level
from scripts.report import wording
from scripts.report.figures.boundary import draw_line_flips, draw_row_flips, flip_words
from scripts.report.figures.chart import Chart, cell_table, source_line
from scripts.report.figures.labels import legend_handles, spread
from scripts.report.figures.panels import Panel, panels_of, series_of
from scripts.report.figures.style import (
    INK,
    LAYOUTS,
    OUTCOME_INK,
    OUTCOME_MARKER,
    TEXT,
    Layout,
    drawing,
    finish,
    plain_axes,
    to_svg,
)
from scripts.report.model import ClaimResult, Study

HEAD, LEGEND = 0.36, 0.3  # inches above a panel and above the figure
MORE = "\u2026"
REACH = 5  # an interval may stretch a log axis this far beyond the estimates
# Tick sets from fine to coarse: the finest with at most six ticks inside the limits is taken.
TICKS: list[list[float]] = [
    [0.8, 0.85, 0.9, 0.95, 1, 1.05, 1.1, 1.15, 1.2],
    [0.5, 0.6, 0.7, 0.8, 0.9, 1, 1.1, 1.2, 1.3, 1.5],
    [0.1, 0.25, 0.5, 0.75, 1, 1.5, 2, 3, 4],
    [m * 10.0**e for e in range(-4, 7) for m in (1, 2, 5)],
    [10.0**e for e in range(-4, 9)],
    [100.0**e for e in range(-3, 7)],
]


def set_value_axis(ax: Axes, panel: Panel, axis: str) -> None:
    """Scale, limits, ticks, margin and bar of the value axis ("x" for forests, "y" for lines)."""
    values = [v for c in panel.cells for v in (c.estimate, c.low, c.high) if v is not None]
    bars = {c.bar.value if c.bar else None for c in panel.cells}
    bar = bars.pop() if len(bars) == 1 else None
    limits, scale = (ax.set_xlim, ax.set_xscale) if axis == "x" else (ax.set_ylim, ax.set_yscale)
    line, span = (ax.axvline, ax.axvspan) if axis == "x" else (ax.axhline, ax.axhspan)
    target = ax.xaxis if axis == "x" else ax.yaxis
    ratio = panel.quantity == "ratio"
    if panel.quantity in ("ratio", "amount") and min(values) > 0:
        middle = [c.estimate for c in panel.cells if c.estimate is not None]
        # One interval over many decades must not squeeze the rest: it is cut at the edge.
        values = [min(max(v, min(middle) / REACH), max(middle) * REACH) for v in values]
        ends = ([0.9, 1.12] if ratio else []) + ([bar] if bar and bar > 0 else [])
        low, high = min([*values, *ends]), max([*values, *ends])
        pad = max((high / low) ** 0.06, 1.02)
        scale("log")
        limits(low / pad, high * pad)
        target.set_ticks(ratio_ticks(low / pad, high * pad))
        sign = wording.TIMES if ratio else ""
        target.set_major_formatter(FuncFormatter(lambda x, _: f"{x:,g}{sign}"))
        target.set_minor_formatter(NullFormatter())
        if ratio:  # an amount has no margin around one
            span(0.95, 1.05, facecolor=INK["band"], edgecolor="none", zorder=0)
            line(1, color=INK["muted"], linewidth=1, zorder=1)
        draw_bar(ax, line, bar if bar and not (ratio and 0.94 < bar < 1.06) else None)
    elif panel.quantity == "share":
        limits(0, max(1.0, *values))
        target.set_ticks([0, 0.25, 0.5, 0.75, 1])
        target.set_major_formatter(FuncFormatter(lambda x, _: f"{100 * x:g} %"))
        draw_bar(ax, line, bar)
    else:
        low, high = min(0.0, *values), max(0.0, *values)
        pad = 0.06 * (high - low or 1)
        limits(low - pad * (low < 0), high + pad)
        target.set_major_locator(MaxNLocator(4))
        target.set_major_formatter(FuncFormatter(lambda x, _: f"{x:,g}"))
        line(0, color=INK["muted"], linewidth=1, zorder=1)
        draw_bar(ax, line, bar if bar else None)


def ratio_ticks(low: float, high: float) -> list[float]:
    for ticks in TICKS:
        inside = [t for t in ticks if low <= t <= high]
        if ticks[0] <= low * 1.6 and high <= ticks[-1] * 1.6 and len(inside) <= 6:
            return inside
    return [1.0]


def draw_bar(ax: Axes, line: Callable[..., object], bar: float | None) -> None:
    """The claim's own bar, dashed, when it is another than the margin."""
    if bar is not None:
        line(bar, color=INK["ink"], linewidth=1, linestyle=(0, (4, 3)), zorder=1)


def draw_cell(ax: Axes, x: float, y: float, cell: Cell, upright: bool) -> None:
    """A marker by outcome and its interval; context cells are small and pale."""
    ink = OUTCOME_INK[cell.outcome]
    if cell.low is not None:
        edge = ax.get_ylim()[1] if upright else ax.get_xlim()[1]
        span = [cell.low, edge if cell.high is None else cell.high]  # open above: to the edge
        ends = ([x, x], span) if upright else (span, [y, y])
        ax.plot(*ends, color=ink, linewidth=1.6, solid_capstyle="butt", zorder=3)
    hollow = cell.outcome == "unclear" or not cell.counts
    ax.plot(
        [x],
        [y],
        OUTCOME_MARKER[cell.outcome],
        markersize=6.2 if cell.counts else 4.5,
        markerfacecolor=INK["paper"] if hollow else ink,
        markeredgecolor=ink,
        markeredgewidth=1.4,
        zorder=4,
    )


def draw_forest(ax: Axes, panel: Panel, layout: Layout) -> None:
    names, machines = wording.varying(panel.cells), len({c.machine for c in panel.cells}) > 1
    set_value_axis(ax, panel, "x")
    draw_row_flips(ax, panel.cells)
    ax.set_ylim(len(panel.cells) - 0.4, -0.6)
    ax.set_yticks([])
    plain_axes(ax, "x")
    lift = 0.31 if layout.above else 0.0
    left, right = (-0.05, 1.055) if layout.above else (-0.03, 1.03)
    sides = ("left", "right") if layout.above else ("right", "left")
    for row, cell in enumerate(panel.cells):
        assert cell.estimate is not None  # panels hold drawable cells only
        draw_cell(ax, cell.estimate, row + lift / 3, cell, upright=False)
        arms = " / ".join(arm for arm in (cell.treatment, cell.baseline) if arm)
        label = series_of(cell, names, machines) or arms or wording.factors(cell.factors)
        label = label + ("" if cell.counts else " (context)")
        label = textwrap.shorten(label, layout.row_label, placeholder=MORE)
        at: Any = {"transform": ax.get_yaxis_transform(), "va": "center_baseline", "fontsize": TEXT}
        if layout.above:  # the text stands on grid lines: give it the page as its ground
            at["bbox"] = {"facecolor": INK["paper"], "edgecolor": "none", "pad": 0.8}
        ax.text(left, row - lift, label, ha=sides[0], **at)
        numbers = wording.with_interval(replace(cell, unit=""))  # the title has the unit
        ax.text(right, row - lift, numbers, ha=sides[1], color=INK["muted"], **at)


def lines_of(panel: Panel) -> list[list[Cell]]:
    """The cells of each line of a panel, along its factor."""
    others = [n for n in wording.varying(panel.cells) if n != panel.over]
    found: dict[str, list[Cell]] = {}
    for cell in panel.cells:
        found.setdefault(series_of(cell, others, False), []).append(cell)
    return [sorted(line, key=lambda c: c.factors[panel.over]) for line in found.values()]


def draw_lines(ax: Axes, panel: Panel, layout: Layout) -> None:
    """Estimate over a numeric factor; levels are spaced evenly, each line has its own dash."""
    others = [n for n in wording.varying(panel.cells) if n != panel.over]
    machines = False  # a panel with lines is one machine's
    levels = sorted({c.factors[panel.over] for c in panel.cells})
    set_value_axis(ax, panel, "y")
    plain_axes(ax, "y")
    ax.set_xlim(-0.35, len(levels) - 0.65)
    ax.set_xticks(range(len(levels)), [f"{level(x):,}" for x in levels])
    ax.set_xlabel(wording.axis(panel.over))
    names = list(dict.fromkeys(series_of(c, others, machines) for c in panel.cells))
    dashes = [(0, ()), (0, (5, 2)), (0, (1.5, 1.5)), (0, (6, 2, 1.5, 2)), (0, (9, 3)), (0, (3, 4))]
    ends: list[tuple[float, str]] = []
    series = lines_of(panel)
    shifts = [
        0.05 * (i - (len(names) - 1) / 2) for i in range(len(names))
    ]  # intervals side by side
    draw_line_flips(ax, series, panel.over, levels, shifts)
    for i, (name, shift, cells) in enumerate(zip(names, shifts, series, strict=True)):
        xs = [levels.index(c.factors[panel.over]) + shift for c in cells]
        ys = [c.estimate or 0.0 for c in cells]
        ax.plot(xs, ys, color=INK["axis"], linewidth=1.3, linestyle=dashes[i % 6], zorder=2)
        for x, y, cell in zip(xs, ys, cells, strict=True):
            draw_cell(ax, x, y, cell, upright=True)
        ends.append(
            (ax.transAxes.inverted().transform(ax.transData.transform((0, ys[-1])))[1], name)
        )
    for position, (name, _) in spread(ends, 0.088, layout.label).items():
        text = "\n".join(textwrap.wrap(name, layout.label)[:2])
        ax.text(1.03, position, text, transform=ax.transAxes, va="center", ha="left", fontsize=TEXT)


def draw_panels(name: str, panels: list[Panel], layout: Layout) -> str:
    """The figure in one layout, as matplotlib's SVG."""
    height = LEGEND + sum(HEAD + p.height(layout.row) + p.bottom for p in panels)
    with drawing(name):
        figure = Figure(figsize=(layout.width, height))
        top = height - LEGEND
        for panel in panels:
            inches = panel.height(layout.row)
            low = top - HEAD - inches
            left, right = layout.lines if panel.over else layout.forest
            ax = figure.add_axes((left, low / height, right - left, inches / height))
            (draw_lines if panel.over else draw_forest)(ax, panel, layout)
            unit = panel.cells[0].unit
            named = f"{panel.test} ({unit})" if unit else panel.test
            title = textwrap.shorten(named, layout.title, placeholder=MORE)
            figure.text(0, (top - 0.19) / height, title, fontweight="bold", va="center")
            top = low - panel.bottom
        figure.legend(
            handles=legend_handles([c for p in panels for c in p.cells]),
            loc="upper left",
            bbox_to_anchor=(-0.08 / layout.width, 1.0),
            ncols=6,
            frameon=False,
            fontsize=TEXT,
            handletextpad=0.1,
            columnspacing=1.2,
            borderpad=0.1,
        )
        return to_svg(figure)


def claim_chart(study: Study, claim: ClaimResult) -> Chart | None:
    """The claim's figure, None when it has nothing to draw."""
    panels = panels_of(claim)
    if not panels:
        return None
    shown = list(itertools.chain.from_iterable(p.cells for p in panels))
    benchmarks, machines = ({getattr(c, n) for c in shown} for n in ("benchmark", "machine"))
    source = source_line(study, sorted(benchmarks), len(shown), sorted(machines))
    title = f"{claim.id}: {claim.title}"
    description = f"Verdict: {claim.verdict}. {claim.finding or claim.missing}"
    svgs = []
    for layout in LAYOUTS:
        name = claim.id + layout.suffix
        svgs.append(finish(draw_panels(name, panels, layout), name, title, description))
    never = sum(c.estimate == math.inf for c in claim.evidence)
    noun = "cell that never pays has" if never == 1 else "cells that never pay have"
    beyond = f"{never} {noun} no place on the axis. " if never else ""
    caption = f"{describe(panels, shown)} {beyond}{source}"
    return Chart(claim.id, title, caption, svgs[0], svgs[1], cell_table(claim.evidence))


def cut_off(panel: Panel) -> bool:
    middle = [c.estimate for c in panel.cells if c.estimate is not None]
    low, high = min(middle) / REACH, max(middle) * REACH
    return any((c.low or low) < low or (c.high or high) > high for c in panel.cells)


def describe(panels: list[Panel], cells: list[Cell]) -> str:
    """What the marks mean, only for marks that are there."""
    words = []
    if any(c.low is not None for c in cells):
        words.append("Points are estimates, bars 95 % intervals over blocks.")
    if any(p.quantity == "ratio" for p in panels):
        words.append("The line stands at equal, the band at the \u00b15 % margin.")
    if any(p.quantity in ("ratio", "amount") and cut_off(p) for p in panels):
        words.append("Intervals that leave the figure are cut at its edge.")
    own = {wording.bar(b) for c in cells if (b := c.bar) and b.value and not 0.94 < b.value < 1.06}
    if own:
        words.append(f"Dashed: the claim's own bar ({', '.join(sorted(own))}).")
    words.append(flip_words([(p.over, p.cells, lines_of(p) if p.over else []) for p in panels]))
    if left := sum(p.left_out for p in panels):
        words.append(f"{left} more cells are in the table below.")
    return " ".join(filter(None, words))
