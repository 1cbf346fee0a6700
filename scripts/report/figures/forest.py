"""A forest: a row for each combination of factors, in it a mark with its interval per machine."""

from __future__ import annotations

import itertools
import textwrap
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from matplotlib.axes import Axes

from scripts.judging.model import Cell
from scripts.report import wording
from scripts.report.figures.boundary import draw_row_flips
from scripts.report.figures.panels import Panel, row_label
from scripts.report.figures.style import INK, TEXT, Layout, plain_axes
from scripts.report.figures.values import direction, draw_cell, set_value_axis

LINE, GAP, MARK = 0.165, 0.07, 0.14  # inches of a line of text, between rows, of a mark below it


@dataclass(frozen=True)
class Row:
    """What a row shows; `label` is wrapped, never cut."""

    label: list[str]
    cells: list[Cell]

    def height(self, layout: Layout) -> float:
        """Inches. On a narrow page the label and each number stand above the marks."""
        if layout.above:
            return LINE * len(self.label) + (LINE + MARK) * len(self.cells) + GAP
        return LINE * max(len(self.label), len(self.cells)) + GAP


def rows_of(panel: Panel, layout: Layout) -> list[Row]:
    """The cells of one combination of factors side by side, in the order of the panel."""
    names = wording.varying(panel.cells)
    found: dict[str, list[Cell]] = {}
    for cell in panel.cells:
        found.setdefault(row_label(cell, names, panel.joined), []).append(cell)
    return [
        Row(textwrap.wrap(label, layout.row_label, break_on_hyphens=False) or [""], cells)
        for label, cells in found.items()
    ]


def height(panel: Panel, layout: Layout) -> float:
    return sum(row.height(layout) for row in rows_of(panel, layout)) + 0.1


def draw_forest(ax: Axes, panel: Panel, layout: Layout, inks: Mapping[str, str]) -> None:
    """Rows from the top; the y axis counts inches downwards."""
    rows = rows_of(panel, layout)
    set_value_axis(ax, panel, "x")
    ax.set_ylim(height(panel, layout), 0)
    ax.set_yticks([])
    plain_axes(ax, "x")
    ax.set_xlabel(direction(panel))
    tops = list(itertools.accumulate((row.height(layout) for row in rows), initial=0.05))
    for top, row in zip(tops, rows, strict=False):
        _row(ax, row, top, layout, inks)
    if all(len(row.cells) == 1 for row in rows):
        draw_row_flips(ax, panel.cells, tops)


def _row(ax: Axes, row: Row, top: float, layout: Layout, inks: Mapping[str, str]) -> None:
    at: Any = {"transform": ax.get_yaxis_transform(), "va": "center_baseline", "fontsize": TEXT}
    if layout.above:  # the text stands on grid lines: give it the page as its ground
        at["bbox"] = {"facecolor": INK["paper"], "edgecolor": "none", "pad": 0.8}
    left, right = (-0.05, 1.055) if layout.above else (-0.03, 1.03)
    sides = ("left", "right") if layout.above else ("right", "left")
    whole = row.height(layout) - GAP
    start = top if layout.above else top + (whole - LINE * len(row.label)) / 2
    for number, words in enumerate(row.label):
        ax.text(left, start + LINE * (number + 0.5), words, ha=sides[0], **at)
    each = LINE + MARK if layout.above else LINE
    start = top + LINE * len(row.label) if layout.above else top + (
        whole - LINE * len(row.cells)) / 2  # fmt: skip
    for number, cell in enumerate(row.cells):
        assert cell.estimate is not None  # panels hold drawable cells only
        y = start + each * number + LINE / 2
        ink = inks.get(cell.machine)
        draw_cell(ax, cell.estimate, y + (each - LINE), cell, upright=False, ink=ink)
        numbers = wording.with_interval(replace(cell, unit=""))  # the title has the unit
        ax.text(right, y, numbers, ha=sides[1], color=ink or INK["muted"], **at)
