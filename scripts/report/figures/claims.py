"""One figure per claim: a panel for each of its tests, on one shared layout.

Left column: what the row or the line is. Middle: the estimate with its 95 % interval on a log
axis (ratios), a 0-100 % axis (shares) or a linear one. Right: the numbers. A test with a numeric
factor of three or more levels becomes lines over that factor; anything else a forest plot.
"""

from __future__ import annotations

import itertools
import math
import textwrap
from collections.abc import Mapping

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from scripts.judging.model import Cell
from scripts.judging.pairing import level
from scripts.report import wording
from scripts.report.figures.boundary import draw_line_flips, flip_words
from scripts.report.figures.chart import Chart, cell_table, source_line
from scripts.report.figures.forest import draw_forest, height
from scripts.report.figures.labels import OUTCOMES, legend_handles, spread
from scripts.report.figures.panels import LINES, REACH, Panel, panels_of, row_label
from scripts.report.figures.style import (
    INK,
    LAYOUTS,
    TEXT,
    Layout,
    drawing,
    finish,
    plain_axes,
    to_svg,
)
from scripts.report.figures.values import direction, draw_cell, inks, set_value_axis
from scripts.report.model import ClaimResult, Study

HEAD, LEGEND, LINE = 0.2, 0.3, 0.17  # inches above a panel, above the figure, of a line of a title


def lines_of(panel: Panel) -> list[list[Cell]]:
    """The cells of each line of a panel, along its factor."""
    others = [n for n in wording.varying(panel.cells) if n != panel.over]
    found: dict[str, list[Cell]] = {}
    for cell in panel.cells:
        found.setdefault(row_label(cell, others), []).append(cell)
    return [sorted(line, key=lambda c: c.factors[panel.over]) for line in found.values()]


def draw_lines(ax: Axes, panel: Panel, layout: Layout) -> None:
    """Estimate over a numeric factor; levels are spaced evenly, each line has its own dash."""
    others = [n for n in wording.varying(panel.cells) if n != panel.over]
    levels = sorted({c.factors[panel.over] for c in panel.cells})
    set_value_axis(ax, panel, "y")
    plain_axes(ax, "y")
    ax.set_xlim(-0.35, len(levels) - 0.65)
    ax.set_xticks(range(len(levels)), [f"{level(x):,}" for x in levels])
    ax.set_xlabel(wording.axis(panel.over))
    names = list(dict.fromkeys(row_label(c, others) for c in panel.cells))
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


def _title(panel: Panel, layout: Layout) -> list[str]:
    unit = panel.cells[0].unit
    words = f"{panel.test} ({unit})" if unit else panel.test
    if panel.over and (meaning := direction(panel)):
        words += f"; {meaning.replace(chr(0x2190), chr(0x2193)).replace(chr(0x2192), chr(0x2191))}"
    return textwrap.wrap(words, layout.title)


def draw_panels(
    name: str,
    panels: list[Panel],
    layout: Layout,
    colours: Mapping[str, str],
    outcomes: Mapping[str, str] = OUTCOMES,
) -> str:
    """The figure in one layout, as matplotlib's SVG; `outcomes`: in words, for the legend."""
    plots = [LINES if p.over else height(p, layout) for p in panels]
    heads = [HEAD + LINE * len(_title(p, layout)) for p in panels]
    handles = legend_handles([cell for panel in panels for cell in panel.cells], colours, outcomes)
    columns = (2 if colours else 3) if layout.above else 6 if len(colours) < 3 else 3
    legend = LEGEND + 0.22 * (-(-len(handles) // columns) - 1)
    whole = legend + sum(plots) + sum(heads) + sum(p.bottom for p in panels)
    with drawing(name):
        figure = Figure(figsize=(layout.width, whole))
        top = whole - legend
        for panel, inches, head in zip(panels, plots, heads, strict=True):
            low = top - head - inches
            left, right = layout.lines if panel.over else layout.forest
            ax = figure.add_axes((left, low / whole, right - left, inches / whole))
            if panel.over:
                draw_lines(ax, panel, layout)
            else:
                draw_forest(ax, panel, layout, colours)
            for number, words in enumerate(_title(panel, layout)):
                y = (top - 0.19 - LINE * number) / whole
                figure.text(0, y, words, fontweight="bold", va="center")
            top = low - panel.bottom
        figure.legend(
            handles=handles,
            loc="upper left",
            bbox_to_anchor=(-0.08 / layout.width, 1.0),
            ncols=columns,
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
    colours = inks([cell for panel in panels if not panel.over for cell in panel.cells])
    svgs = []
    for layout in LAYOUTS:
        name = claim.id + layout.suffix
        svgs.append(finish(draw_panels(name, panels, layout, colours), name, title, description))
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
