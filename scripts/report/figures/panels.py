"""Sort a claim's cells into the panels of its figure."""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

from scripts.judging.grid import threshold
from scripts.judging.model import Cell
from scripts.report import wording
from scripts.report.model import ClaimResult

AXIS, LINES = 0.46, 2.05  # inches
REACH = 5  # an interval may stretch a log axis this far beyond the estimates
FLIPS = ("for", "against")
ORDER = ("for", "unclear", "against", "skipped")
ROWS = 12  # of a panel; a longer forest is a wall
MOST_ROWS = 36  # of a test, and of a figure with context; the rest stays in the table and the CSV
SQUEEZE = 2.5  # panels share a scale if that makes none of them this many times smaller


@dataclass
class Panel:
    """The cells of one test, and how they are drawn."""

    test: str
    quantity: str
    cells: list[Cell]
    over: str = ""  # the numeric factor of a line panel, "" for a forest
    left_out: int = 0
    joined: bool = False  # a row for each of several tests: its arms are its label
    grows: bool = False  # its ratios say how a gap changes with size, not how fast an arm is
    scale: tuple[float, float] | None = None  # ends of a log axis, shared with other panels

    @property
    def bottom(self) -> float:
        """Inches for tick labels and the axis label."""
        return AXIS + (0.14 if self.over else 0)


def drawable(cell: Cell) -> bool:
    return cell.estimate is not None and math.isfinite(cell.estimate) and cell.outcome != "skipped"


def arms_of(cell: Cell) -> str:
    return " / ".join(arm for arm in (cell.treatment, cell.baseline) if arm)


def row_label(cell: Cell, names: list[str], joined: bool = False) -> str:
    """What tells a row or a line from its neighbours, whatever the machine."""
    words = "" if joined else wording.factors(cell.factors, names)
    words = words or arms_of(cell) or wording.factors(cell.factors)
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
    """Panels in the order of the evidence, of a few machines; lines of several get a panel each."""
    panels = []
    every = [_unfolded(c) for c in claim.evidence if drawable(c)]
    names = wording.drawn(cell.machine for cell in every)
    cells = [cell for cell in every if cell.machine in names]
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
    slopes = {cell.test for cell in claim.evidence if cell.quantity == "slope"}
    for panel in panels:
        panel.grows = panel.test in slopes
    found = within_reach(joined(panels))
    if found:
        found[0].left_out += len(every) - len(cells)
    return shared(found)


def _unfolded(cell: Cell) -> Cell:
    """A slope as what it makes of the ratio at twice the side, with its interval."""
    if cell.quantity != "slope":
        return cell
    ends = (cell.estimate, cell.low, cell.high)
    middle, low, high = (None if x is None else wording.at_twice(x) for x in ends)
    bar = cell.bar and replace(cell.bar, value=wording.at_twice(cell.bar.value))
    return replace(cell, quantity="ratio", estimate=middle, low=low, high=high, bar=bar)


def joined(panels: Sequence[Panel]) -> list[Panel]:
    """Tests of one row each that differ in their arms alone stand in one panel."""
    found: list[Panel] = []
    for _, run in itertools.groupby(panels, _kin):
        alike = list(run)
        ends = zip(*(panel.test[::-1] for panel in alike), strict=False)
        same = itertools.takewhile(lambda letters: len(set(letters)) == 1, ends)
        ending = "".join(letters[0] for letters in same)[::-1]
        words = ending[ending.find(" ") :].strip(" /:,") if " " in ending else ""
        if len(alike) < 2 or not words:
            found += alike
            continue
        title = f"each / {words}" if ending.lstrip().startswith("/") else words
        for at in range(0, len(alike), ROWS):
            cells = by_outcome([c for panel in alike[at : at + ROWS] for c in panel.cells])
            found.append(Panel(title, alike[0].quantity, cells, joined=True))
    return found


def _kin(panel: Panel) -> object:
    """Equal for panels that can be joined."""
    first = panel.cells[0]
    alone = len({arms_of(cell) for cell in panel.cells}) == 1 == len(_rows(panel))
    if panel.over or panel.left_out or not alone or not arms_of(first):
        return id(panel)
    bars = {(cell.bar.sign, cell.bar.value) if cell.bar else None for cell in panel.cells}
    return panel.quantity, panel.grows, first.benchmark, first.unit, first.counts, *bars


def _rows(panel: Panel) -> set[str]:
    names = wording.varying(panel.cells)
    return {row_label(cell, names) for cell in panel.cells}


def within_reach(panels: Sequence[Panel]) -> list[Panel]:
    """Without the context panels that make a figure a wall; the first kept one says how many."""
    rows, left_out, kept = 0, 0, []
    for panel in sorted(panels, key=lambda panel: not panel.cells[0].counts):
        rows += ROWS if panel.over else len(_rows(panel))
        if panel.cells[0].counts or rows <= MOST_ROWS:
            kept.append(panel)
        else:
            left_out += len(panel.cells)
    if kept:
        kept[0].left_out += left_out
    return kept


def ends(panel: Panel) -> tuple[float, float] | None:
    """Where a log axis begins and ends; None for a panel with a linear one."""
    values = [v for c in panel.cells for v in (c.estimate, c.low, c.high) if v is not None]
    if panel.quantity not in ("ratio", "amount") or min(values) <= 0:
        return None
    middle = [c.estimate for c in panel.cells if c.estimate is not None]
    # One interval over many decades must not squeeze the rest: it is cut at the edge.
    values = [min(max(v, min(middle) / REACH), max(middle) * REACH) for v in values]
    values += [0.9, 1.12] if panel.quantity == "ratio" else []
    bar = the_bar(panel)
    values += [bar] if bar and bar > 0 else []
    return min(values), max(values)


def the_bar(panel: Panel) -> float | None:
    """The bar that all cells share, None where they do not."""
    bars = {c.bar.value if c.bar else None for c in panel.cells}
    return bars.pop() if len(bars) == 1 else None


def shared(panels: list[Panel]) -> list[Panel]:
    """Give panels of one kind one scale, where none is squeezed by it."""
    groups: list[tuple[object, list[Panel], tuple[float, float]]] = []
    for panel in panels:
        own = ends(panel)
        if own is None:
            continue
        kind = panel.quantity, panel.cells[0].unit, bool(panel.over), panel.grows
        for at, (other, members, reach) in enumerate(groups):
            both = min(own[0], reach[0]), max(own[1], reach[1])
            if kind == other and all(_squeezed(both, one) <= SQUEEZE for one in [panel, *members]):
                groups[at] = kind, [*members, panel], both
                break
        else:
            groups.append((kind, [panel], own))
    for _, members, reach in groups:
        for panel in members:
            panel.scale = reach
    return panels


def _squeezed(whole: tuple[float, float], panel: Panel) -> float:
    own = ends(panel)
    assert own is not None  # only panels with a log axis are in a group
    return math.log(whole[1] / whole[0]) / math.log(own[1] / own[0]) if own[1] > own[0] else 1.0


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
