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
ROWS = 12  # of a panel; a longer forest is a wall
MOST_ROWS = 36  # of a test; the rest stays in the table and the CSV file


@dataclass
class Panel:
    """The cells of one test, and how they are drawn."""

    test: str
    quantity: str
    cells: list[Cell]
    over: str = ""  # the numeric factor of a line panel, "" for a forest
    left_out: int = 0

    @property
    def bottom(self) -> float:
        """Inches for tick labels and the axis label."""
        return AXIS + (0.14 if self.over else 0)


def drawable(cell: Cell) -> bool:
    return cell.estimate is not None and math.isfinite(cell.estimate) and cell.outcome != "skipped"


def row_label(cell: Cell, names: list[str]) -> str:
    """What tells a row or a line from its neighbours, whatever the machine."""
    arms = " / ".join(arm for arm in (cell.treatment, cell.baseline) if arm)
    words = wording.factors(cell.factors, names) or arms or wording.factors(cell.factors)
    return words + ("" if cell.counts else " (context)")


def line_factor(cells: list[Cell]) -> str:
    """The numeric factor a line runs over, or "" for a forest.

    It has three levels or more and leaves few, full lines; one along which the outcome flips goes
    before one with more levels.
    """
    if len(cells) < 7:
        return ""  # a handful of rows with their numbers says more than a line
    names = wording.varying(cells)
    best, most = "", (False, 2)
    for name in names:
        levels = {c.factors.get(name) for c in cells}
        if not all(isinstance(x, int | float) and not isinstance(x, bool) for x in levels):
            continue
        others = [n for n in names if n != name]
        keys = [(wording.factors(c.factors, others), c.factors[name]) for c in cells]
        lines = {key for key, _ in keys}
        unique = len(set(keys)) == len(keys)
        full = len(cells) >= 2.5 * len(lines)
        rank = (threshold([c for c in cells if c.counts], name) is not None, len(levels))
        if len(levels) > 2 and rank > most and unique and full and len(lines) <= 6:
            best, most = name, rank
    return best


def by_outcome(cells: list[Cell]) -> list[Cell]:
    """Rows with both outcomes, grouped where the order of the evidence does not do it already.

    Several machines share a row, and keep the order of the evidence.
    """
    if len({c.machine for c in cells}) > 1:
        return cells
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
        panels += _forests(test, quantity, group) if group else []
    return panels


def _forests(test: str, quantity: str, group: list[Cell]) -> list[Panel]:
    """Panels of at most `ROWS` rows, one for each level of a factor where that is enough."""
    names = wording.varying(group)
    group = sorted(group, key=lambda c: not c.counts)
    rows = list(dict.fromkeys(row_label(c, names) for c in group))
    kept = set(rows[:MOST_ROWS])
    shown = [c for c in group if row_label(c, names) in kept]
    left_out = len(group) - len(shown)
    if len(kept) <= ROWS:
        return [Panel(test, quantity, by_outcome(shown), "", left_out)]
    parts = _split(shown, names)
    panels = [Panel(f"{test}: {words}", quantity, by_outcome(own)) for words, own in parts]
    panels[-1].left_out = left_out
    return panels


def _split(cells: list[Cell], names: list[str]) -> list[tuple[str, list[Cell]]]:
    """(what they share, cells): by the factor with the fewest levels that makes parts short."""
    for name in sorted(names, key=lambda n: len({str(c.factors.get(n)) for c in cells})):
        parts: dict[str, list[Cell]] = {}
        for cell in cells:
            parts.setdefault(wording.factors(cell.factors, [name]) or "others", []).append(cell)
        if all(len({row_label(c, names) for c in own}) <= ROWS for own in parts.values()):
            return list(parts.items())
    rows = list(dict.fromkeys(row_label(c, names) for c in cells))
    runs = [rows[at : at + ROWS] for at in range(0, len(rows), ROWS)]
    return [
        (f"part {part}", [c for c in cells if row_label(c, names) in run])
        for part, run in enumerate(runs, 1)
    ]
