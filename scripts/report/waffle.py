"""The small picture of a closed card: a row of marks for each machine, a mark for each cell."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from markupsafe import Markup, escape

from scripts.judging.model import Cell, Measured
from scripts.report.model import ClaimResult

PITCH, WIDE = 9, 22  # pixels from mark to mark, and marks in a line
MARKS = {  # told apart by shape, not by colour alone
    "for": "h7v7h-7z",
    "against": "m3.5-.5l4 4-4 4-4-4z",
    "unclear": "m0 2.5h7v2h-7z",
    "skipped": "m2.5 2.5h2v2h-2z",
}


def waffle(claim: ClaimResult, machines: Sequence[Measured]) -> Markup:
    """An inline SVG; tests of a claim stand a gap apart. Empty where nothing counts."""
    paths: dict[str, list[str]] = {}
    told, y = [], 0
    for machine in machines:
        cells = [c for c in claim.evidence if c.counts and c.machine == machine.name]
        if not cells:
            continue
        counts = Counter(cell.outcome for cell in cells)
        words = ", ".join(f"{counts[name]} {name}" for name in MARKS if counts[name])  # type: ignore[index]
        told.append(f"{machine.name}: {words}")
        for x, down, cell in _places(cells):
            mark = f"M{x} {y + down}{MARKS[cell.outcome]}"
            paths.setdefault(cell.outcome, []).append(mark)
        y += max(down for _, down, _ in _places(cells)) + PITCH + 3
    if not told:
        return Markup("")
    drawn = "".join(f'<path class="w-{name}" d="{"".join(d)}"/>' for name, d in paths.items())
    label, wide = escape("; ".join(told)), PITCH * WIDE + 4
    return Markup(
        f'<svg class="waffle" viewBox="-1 -1 {wide} {y}" width="{wide}" height="{y}" role="img" '
        f'aria-label="{label}"><title>{label}</title>{drawn}</svg>'
    )


def _places(cells: Sequence[Cell]) -> list[tuple[int, int, Cell]]:
    """(x, y, cell): line by line, each test behind a gap of half a mark where it fits."""
    found: list[tuple[int, int, Cell]] = []
    x, y, test = 0, 0, cells[0].test
    for cell in cells:
        x += 4 if cell.test != test and x else 0
        test = cell.test
        if x > PITCH * (WIDE - 1):
            x, y = 0, y + PITCH
        found.append((x, y, cell))
        x += PITCH
    return found
