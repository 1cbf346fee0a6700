"""Sort a claim's cells into the panels of its figure."""

from __future__ import annotations

import itertools
import math
from dataclasses import dataclass

from scripts.judging.grid import threshold
from scripts.judging.model import Cell
from scripts.report import wording
from scripts.report.model import ClaimResult

AXIS, LINES = 0.46, 2.05  # inches
FLIPS = ("for", "against")
ORDER = ("for", "unclear", "against", "skipped")
MOST_ROWS = 26  # a longer forest is a wall; the rest stays in the table and the CSV file


@dataclass
class Panel:
    """The cells of one test, and how they are drawn."""

    test: str
    quantity: str
    cells: list[Cell]
    over: str = ""  # the numeric factor of a line panel, "" for a forest
    left_out: int = 0

    def height(self, row: float) -> float:
        """Inches of the plot, when a forest row takes `row`."""
        return LINES if self.over else row * len(self.cells) + 0.1

    @property
    def bottom(self) -> float:
        """Inches for tick labels and the axis label."""
        return AXIS + (0.14 if self.over else 0)


def drawable(cell: Cell) -> bool:
    return cell.estimate is not None and math.isfinite(cell.estimate) and cell.outcome != "skipped"


def series_of(cell: Cell, names: list[str], machines: bool) -> str:
    words = wording.factors(cell.factors, names)
    return f"{words}, {cell.machine}".lstrip(", ") if machines else words


def line_factor(cells: list[Cell]) -> str:
    """The numeric factor a line runs over, or "" for a forest.

    It has three levels or more and leaves few, full lines; one along which the outcome flips goes
    before one with more levels.
    """
    if len(cells) < 7:
        return ""  # a handful of rows with their numbers says more than a line
    names, machines = wording.varying(cells), len({c.machine for c in cells}) > 1
    best, most = "", (False, 2)
    for name in names:
        levels = {c.factors.get(name) for c in cells}
        if not all(isinstance(x, int | float) and not isinstance(x, bool) for x in levels):
            continue
        others = [n for n in names if n != name]
        keys = [(series_of(c, others, machines), c.factors[name]) for c in cells]
        lines = {key for key, _ in keys}
        unique = len(set(keys)) == len(keys)
        full = len(cells) >= 2.5 * len(lines)
        rank = (threshold([c for c in cells if c.counts], name) is not None, len(levels))
        if len(levels) > 2 and rank > most and unique and full and len(lines) <= 6:
            best, most = name, rank
    return best


def by_outcome(cells: list[Cell]) -> list[Cell]:
    """Rows with both outcomes, grouped where the order of the evidence does not do it already."""
    decided = [c.outcome for c in cells if c.outcome in FLIPS and c.counts]
    turns = sum(one != two for one, two in itertools.pairwise(decided))
    if turns < 2:
        return cells
    return sorted(cells, key=lambda c: (not c.counts, ORDER.index(c.outcome)))


def panels_of(claim: ClaimResult) -> list[Panel]:
    """Panels in the order of the evidence; lines of several machines get a panel each."""
    panels = []
    cells = [c for c in claim.evidence if drawable(c)]
    for test, quantity in dict.fromkeys((c.test, c.quantity) for c in cells):
        group = [c for c in cells if (c.test, c.quantity) == (test, quantity)]
        if quantity == "value" and (len(group) < 3 or any(c.reading for c in group)):
            continue  # exact readings are words or a count or two: the table is clearer
        machines = list(dict.fromkeys(c.machine for c in group))
        for machine in machines:
            own = [c for c in group if c.machine == machine]
            if over := line_factor(own):
                title = f"{test} ({machine})" if len(machines) > 1 else test
                panels.append(Panel(title, quantity, own, over))
                group = [c for c in group if c.machine != machine]
        if group:
            shown = by_outcome(sorted(group, key=lambda c: not c.counts)[:MOST_ROWS])
            panels.append(Panel(test, quantity, shown, "", len(group) - len(shown)))
    return panels
