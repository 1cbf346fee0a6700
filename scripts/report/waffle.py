"""The small picture of a closed card: a row of marks for each machine, a mark for each cell.

Of many machines it has a mark for each: its verdict.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from markupsafe import Markup, escape

from scripts.judging.model import Cell, Measured, Verdict
from scripts.report.model import ClaimResult
from scripts.report.wording import FEW

PITCH, WIDE = 9, 22  # pixels from mark to mark, and marks in a line
MARKS = {  # told apart by shape, not by colour alone
    "for": "h7v7h-7z",
    "against": "m3.5-.5l4 4-4 4-4-4z",
    "mixed": "v7h7z",
    "unclear": "m0 2.5h7v2h-7z",
    "skipped": "m2.5 2.5h2v2h-2z",
}
OF_VERDICTS: dict[Verdict, str] = {
    "supported": "for",
    "challenged": "against",
    "conditional": "mixed",
    "inconclusive": "unclear",
    "not tested": "skipped",
}


def waffle(claim: ClaimResult, machines: Sequence[Measured]) -> Markup:
    """An inline SVG; tests of a claim stand a gap apart. Empty where nothing counts."""
    if len(machines) > FEW:
        return _of_machines([claim.by_machine.get(one.name, "not tested") for one in machines])
    marks, told, y = [], [], 0
    for machine in machines:
        cells = [c for c in claim.evidence if c.counts and c.machine == machine.name]
        if not cells:
            continue
        counts = Counter(cell.outcome for cell in cells)
        words = ", ".join(f"{counts[name]} {name}" for name in MARKS if counts[name])  # type: ignore[index]
        told.append(f"{machine.name}: {words}")
        places = _places(cells)
        marks += [(x, y + down, str(cell.outcome)) for x, down, cell in places]
        y += max(down for _, down, _ in places) + PITCH + 3
    return _drawn(marks, "; ".join(told), y) if told else Markup("")


def _of_machines(verdicts: Sequence[Verdict]) -> Markup:
    if set(verdicts) <= {"not tested"}:
        return Markup("")
    counts = Counter(verdicts)
    told = ", ".join(f"{name} on {counts[name]}" for name in OF_VERDICTS if counts[name])
    ordered = sorted(verdicts, key=list(OF_VERDICTS).index)
    marks = [
        (at % WIDE * PITCH, at // WIDE * PITCH, OF_VERDICTS[verdict])
        for at, verdict in enumerate(ordered)
    ]
    return _drawn(marks, told, marks[-1][1] + PITCH + 3)


def _drawn(marks: Sequence[tuple[int, int, str]], told: str, height: int) -> Markup:
    """The SVG of (x, y, kind of mark)."""
    paths: dict[str, list[str]] = {}
    for x, y, kind in marks:
        paths.setdefault(kind, []).append(f"M{x} {y}{MARKS[kind]}")
    drawn = "".join(f'<path class="w-{name}" d="{"".join(d)}"/>' for name, d in paths.items())
    label, wide = escape(told), PITCH * WIDE + 4
    return Markup(
        f'<svg class="waffle" viewBox="-1 -1 {wide} {height}" width="{wide}" height="{height}" '
        f'role="img" aria-label="{label}"><title>{label}</title>{drawn}</svg>'
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
