"""The value axis of a claim's panel, and the mark of a cell on it."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Sequence

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, MaxNLocator, NullFormatter

from scripts.judging.model import Cell
from scripts.report import wording
from scripts.report.figures.panels import Panel, ends, the_bar
from scripts.report.figures.style import INK, OUTCOME_INK, OUTCOME_MARKER, SERIES

APART = {"x": 0.45, "y": 0.18}  # inches from one tick to the next, so that labels do not meet
EDGE = 0.06  # inches from the end of a level axis to a tick
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
    bar, reach = the_bar(panel), panel.scale or ends(panel)
    limits, scale = (ax.set_xlim, ax.set_xscale) if axis == "x" else (ax.set_ylim, ax.set_yscale)
    line, span = (ax.axvline, ax.axvspan) if axis == "x" else (ax.axhline, ax.axhspan)
    target = ax.xaxis if axis == "x" else ax.yaxis
    ratio = panel.quantity == "ratio"
    if reach:
        pad = max((reach[1] / reach[0]) ** 0.06, 1.02)
        low, high = reach[0] / pad, reach[1] * pad
        scale("log")
        limits(low, high)
        figure = ax.get_figure()
        assert isinstance(figure, Figure)
        room = (ax.bbox.width if axis == "x" else ax.bbox.height) / figure.dpi
        inch = math.log(high / low) / room
        # Beside an upright axis labels have room; below a level one the last would leave a phone.
        edge = math.exp(EDGE * inch) if axis == "x" else 1.0
        inside = [t for t in ratio_ticks(low, high) if low * edge <= t <= high / edge]
        target.set_ticks(apart(inside, APART[axis] * inch))
        sign = wording.TIMES if ratio else ""
        target.set_major_formatter(FuncFormatter(lambda x, _: f"{x:,g}{sign}"))
        target.set_minor_formatter(NullFormatter())
        if ratio and not panel.grows:  # an amount has no margin around one
            span(0.95, 1.05, facecolor=INK["band"], edgecolor="none", zorder=0)
        if ratio:
            line(1, color=INK["muted"], linewidth=1, zorder=1)
        draw_bar(line, bar if bar and not (ratio and 0.94 < bar < 1.06) else None)
    elif panel.quantity == "share":
        limits(0, max(1.0, *values))
        target.set_ticks([0, 0.25, 0.5, 0.75, 1])
        target.set_major_formatter(FuncFormatter(lambda x, _: f"{100 * x:g} %"))
        draw_bar(line, bar)
    else:
        low, high = min(0.0, *values), max(0.0, *values)
        pad = 0.06 * (high - low or 1)
        limits(low - pad * (low < 0), high + pad)
        target.set_major_locator(MaxNLocator(4))
        target.set_major_formatter(FuncFormatter(lambda x, _: f"{x:,g}"))
        line(0, color=INK["muted"], linewidth=1, zorder=1)
        draw_bar(line, bar if bar else None)


def ratio_ticks(low: float, high: float) -> list[float]:
    for ticks in TICKS:
        inside = [t for t in ticks if low <= t <= high]
        if ticks[0] <= low * 1.6 and high <= ticks[-1] * 1.6 and len(inside) <= 6:
            return inside
    return [1.0]


def apart(ticks: Sequence[float], least: float) -> list[float]:
    """Those of `ticks` whose logarithms differ by `least` or more; 1 is kept, else the first."""
    kept = [1.0] if 1.0 in ticks else list(ticks[:1])
    for tick in ticks:
        if all(abs(math.log(tick / other)) >= least for other in kept):
            kept.append(tick)
    return sorted(kept)


def draw_bar(line: Callable[..., object], bar: float | None) -> None:
    """The claim's own bar, dashed, when it is another than the margin."""
    if bar is not None:
        line(bar, color=INK["ink"], linewidth=1, linestyle=(0, (4, 3)), zorder=1)


def inks(cells: Sequence[Cell]) -> dict[str, str]:
    """A colour for each machine; none where there is one, whose marks have their outcome's.

    The first two series look like the inks of for and against, and are left out.
    """
    names = sorted({cell.machine for cell in cells})
    return dict(zip(names, itertools.cycle(SERIES[2:7]), strict=False)) if len(names) > 1 else {}


def direction(panel: Panel) -> str:
    """What left and right, or down and up, mean for the arm above the line; "" where it is plain.

    A ratio is of the first arm to the second, of times unless memory was measured.
    """
    if panel.quantity != "ratio":
        return ""
    if panel.grows:
        return "the gap shrinks \u2190  \u2192 grows"
    less, more = ("less", "more") if panel.cells[0].benchmark.startswith("memory.") else (
        "faster", "slower")  # fmt: skip
    arms = {cell.treatment for cell in panel.cells}
    subject = f"{arms.pop()}: " if len(arms) == 1 and "" not in arms else ""
    return f"{subject}{less} \u2190  \u2192 {more}"


def draw_cell(
    ax: Axes, x: float, y: float, cell: Cell, upright: bool, ink: str | None = None
) -> None:
    """A marker by outcome and its interval; context cells are small and pale."""
    ink = ink or OUTCOME_INK[cell.outcome]
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
