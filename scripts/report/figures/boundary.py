"""Where a figure's outcomes flip: a column among lines, dotted lines between rows of a forest."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from typing import Any

from matplotlib.axes import Axes

from scripts.judging.grid import order, threshold
from scripts.judging.model import Cell
from scripts.report.figures.style import INK, TEXT

LABEL = "flips here"
INSIDE = 0.12  # of a step of levels: a column begins and ends clear of the marks beside it


def line_flips(series: Sequence[Sequence[Cell]], over: str) -> list[tuple[Any, Any] | None]:
    """For each line the levels before and after its flip; None where it has none, or several."""
    found = [threshold([c for c in cells if c.counts], over) for cells in series]
    return [flip[:2] if flip else None for flip in found]


def draw_line_flips(
    ax: Axes,
    series: Sequence[Sequence[Cell]],
    over: str,
    levels: Sequence[Any],
    middle: list[float],
) -> None:
    """Mark the step between the levels on both sides of the flip.

    One column when all lines that flip do so at the same step; else the stretch of each line.
    `middle`: how far each line stands beside its level.
    """
    flips = line_flips(series, over)
    steps = sorted({flip for flip in flips if flip}, key=str)
    if len(steps) == 1:
        low, high = (levels.index(level) for level in steps[0])
        ax.axvspan(low + INSIDE, high - INSIDE, facecolor=INK["flip"], edgecolor="none", zorder=0)
        ax.text(
            (low + high) / 2, 0.03, LABEL, transform=ax.get_xaxis_transform(),
            ha="center", va="bottom", fontsize=TEXT, color=INK["muted"],
        )  # fmt: skip
        return
    for cells, flip, shift in zip(series, flips, middle, strict=True):
        if flip:
            part = sorted(
                (c for c in cells if flip[0] <= c.factors[over] <= flip[1]),
                key=lambda c: order(over, c.factors[over]),
            )
            xs = [levels.index(c.factors[over]) + shift for c in part]
            ys = [c.estimate or 0.0 for c in part]
            ax.plot(xs, ys, color=INK["ink"], linewidth=3, alpha=0.75, zorder=2.5)


def row_flips(cells: Sequence[Cell]) -> list[tuple[int, int]]:
    """Rows before and after each change of outcome; undecided rows may lie between them."""
    decided = [
        (row, cell.outcome) for row, cell in enumerate(cells)
        if cell.counts and cell.outcome in ("for", "against")
    ]  # fmt: skip
    return [(a, b) for (a, one), (b, two) in itertools.pairwise(decided) if one != two]


def draw_row_flips(ax: Axes, cells: Sequence[Cell], tops: Sequence[float]) -> None:
    """A dashed line between the groups, or one on each side of undecided rows between them.

    `tops`: where each row begins.
    """
    for above, below in row_flips(cells):
        for row in {above + 1, below}:
            ax.axhline(
                tops[row], color=INK["muted"], linewidth=1, linestyle=(0, (1.5, 2)), zorder=1
            )


def flip_words(panels: Sequence[tuple[str, Sequence[Cell], Sequence[Sequence[Cell]]]]) -> str:
    """What the marks mean, for (over, cells, lines) of each panel; "" when none is drawn."""
    words = []
    kinds = [
        {flip for flip in line_flips(series, over) if flip} for over, _, series in panels if over
    ]
    if any(len(kind) == 1 for kind in kinds):
        words.append("The tinted column is the step in which the outcome flips.")
    if any(len(kind) > 1 for kind in kinds):
        words.append("The dark stretch of a line is the step in which its outcome flips.")
    alone = [
        cells for over, cells, _ in panels if not over and len({c.machine for c in cells}) == 1
    ]
    if any(map(row_flips, alone)):
        words.append("Dotted lines part the rows for from those against.")
    return " ".join(words)
