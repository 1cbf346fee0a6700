"""The answer and the verdicts in a terminal, from 60 columns on."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from rich.console import Console, RenderableType
from rich.markup import escape
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from datasets_impl.streams import escaped
from scripts.report import wording
from scripts.report.grid import KINDS, counted, in_words, square
from scripts.report.model import ClaimResult, Study
from scripts.report.reference import differences
from scripts.root import RESULTS

COLOURS = {
    "supported": "blue",
    "challenged": "dark_orange3",
    "conditional": "magenta",
    "inconclusive": "yellow",
    "not tested": "bright_black",
}

SQUARES = {
    "for": "blue", "against": "dark_orange3", "mixed": "magenta", "unclear": "yellow",
    "skipped": "bright_black",
}  # fmt: skip
LEAST, MOST = 60, 160  # columns
REFERENCE = RESULTS / "report" / "claims.json"


def verdict_text(verdict: str) -> Text:
    return Text(f"{wording.ICONS[verdict]} {verdict}", style=COLOURS[verdict])


def width(console: Console) -> int:
    return min(max(console.width, LEAST), MOST)


def effect_text(claim: ClaimResult) -> str:
    """The headline effect with what it is of; "" without one."""
    if not claim.effect:
        return ""
    told = wording.in_cells(claim) or wording.headline(claim)
    return wording.plain(f"{told} ({wording.of_what(claim.effect)})")


def verdict_table(study: Study, columns: int) -> Table:
    """A row for each claim; titles and effects wrap and are never cut."""
    table = Table(box=None, pad_edge=False, padding=(0, 1, 0, 0), header_style="bold")
    rest = columns - 3 - 16 - 3
    effects = min(max([len(effect_text(claim)) for claim in study.claims] + [6]), rest // 2)
    table.add_column("id", width=3)
    table.add_column("claim", overflow="fold", width=rest - effects)
    table.add_column("verdict", no_wrap=True, width=16)
    table.add_column("effect", overflow="fold", width=effects)
    for claim in study.claims:
        verdict = verdict_text(claim.verdict) + Text(" *" if wording.disagree(claim) else "")
        table.add_row(claim.id, Text(claim.title), verdict, Text(effect_text(claim)))
    return table


def grid_table(claim: ClaimResult, machines: Sequence[str]) -> Table:
    """Where a conditional claim holds, a column a machine; with the effects of a single one. Of
    many machines, how many come to each outcome."""
    table = Table(box=None, pad_edge=False, padding=(0, 1, 0, 0), header_style="dim")
    table.add_column(overflow="fold")
    many = len(machines) > wording.FEW
    for name in KINDS.values() if many else machines:
        table.add_column(Text(name), min_width=len("against"), overflow="fold")
    test = ""
    for row in claim.grid:
        if row.levels and row.test != test:
            table.add_row(_indented(row.test, 2))
        test = row.test
        words: list[RenderableType] = [
            _indented(in_words(row), 4) if row.levels else _indented(test, 2)
        ]
        if many:
            words += [Text(str(len(names))) for _, names in counted(row, machines)]
        for name in () if many else machines:
            found = square(row.cells.get(name, []))
            word = found.outcome if found.kind == "skipped" else found.kind
            effect = f" {wording.plain(found.effect)}" if len(machines) == 1 else ""
            words.append(Text(word, style=SQUARES[found.kind]) + Text(effect))
        table.add_row(*words)
    return table


def _indented(text: str, columns: int) -> Padding:
    """Lines that it wraps into are indented like the first."""
    return Padding(Text(text), (0, 0, 0, columns), expand=False)


def print_grids(study: Study, console: Console, columns: int) -> None:
    """Where each conditional claim holds: in one sentence, or as its grid."""
    for claim in study.claims:
        if claim.grid:
            console.print(Text(f"{claim.id} {claim.boundary or claim.title}"), width=columns)
            if not claim.boundary:
                machines = [machine.name for machine in study.machines]
                console.print(grid_table(claim, machines), width=columns, crop=False)


def print_list(console: Console, title: str, sentences: Sequence[str], columns: int) -> None:
    """Sentences below a title; nothing where there are none."""
    if sentences:
        console.print(f"\n{title}", style="bold")
    for sentence in sentences:
        console.print(_indented(wording.plain(sentence), 2), width=columns)


def print_study(study: Study, page: Path, console: Console | None = None) -> None:
    """The answer, verdicts, what is undecided and what would decide it; the page and what next."""
    console = console or Console(emoji=False, highlight=False)
    columns = width(console)
    console.print("Why is my PyTorch dataset slow?", style="bold")
    for point in study.points:
        console.print(_indented(f"{wording.plain(point.text)} [{point.claim}]", 2), width=columns)
    if not study.points:
        console.print(Text(study.answer), width=columns)
    console.print()
    console.print(verdict_table(study, columns), width=columns, crop=False)
    if any(map(wording.disagree, study.claims)):
        console.print("* machines disagree; the page shows each", style="dim")
    counts = [f"{count} {verdict}" for verdict, count in wording.tally(study).items() if count]
    console.print(Text("\n" + " \u00b7 ".join(counts), style="bold"), width=columns)
    if any(claim.grid for claim in study.claims):
        console.print("\nWhere the conditional claims hold", style="bold")
        print_grids(study, console, columns)
    open_ = [f"{c.id} {c.verdict}: {c.missing}" for c in study.claims if c.missing]
    print_list(console, "Undecided, and what would decide it", open_, columns)
    other = differences(study, REFERENCE)
    print_list(console, "Other than the committed results", other, columns)
    noise = wording.plain(wording.noise_sentence(study))
    console.print(Text(f"\nNoise floor: {noise}."), width=columns)
    if study.corpora:
        sizes = sorted({corpus.resolution for corpus in study.corpora})
        files = sum(corpus.count for corpus in study.corpora)
        labels = ", ".join(dict.fromkeys(corpus.label for corpus in study.corpora))
        images = f"Images: {labels}, {files:,} files, {sizes[0]} to {sizes[-1]} px."
        console.print(Text(images), width=columns)
    for machine in study.machines:
        for warning in machine.warnings:
            console.print(f"[yellow]{escape(f'{machine.name}: {warning}')}[/yellow]", width=columns)
    console.print("Report: ", Text(escaped(page), style="bold"), soft_wrap=True, sep="")
    console.print("Next: why is your own dataset slow? `make doctor TARGET=folder`", width=columns)
