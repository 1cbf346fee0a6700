"""The verdicts in a terminal, within 80 columns."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from rich.console import Console
from rich.markup import escape
from rich.table import Table
from rich.text import Text

from scripts.judging.readable import readable
from scripts.report import wording
from scripts.report.grid import in_words, square
from scripts.report.model import ClaimResult, Study

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


def verdict_text(verdict: str) -> Text:
    return Text(f"{wording.ICONS[verdict]} {verdict}", style=COLOURS[verdict])


def verdict_table(study: Study) -> Table:
    table = Table(box=None, pad_edge=False, padding=(0, 1, 0, 0), header_style="bold")
    effects = [wording.plain(wording.headline(claim)) for claim in study.claims]
    wide = max([len(effect) for effect in effects] + [6])
    table.add_column("id", width=3)
    table.add_column("claim", overflow="ellipsis", no_wrap=True, width=80 - 3 - 16 - wide - 3)
    table.add_column("verdict", no_wrap=True, width=16)
    table.add_column("effect", no_wrap=True, width=wide)
    for claim, shown in zip(study.claims, effects, strict=True):
        verdict = verdict_text(claim.verdict) + Text(" *" if wording.disagree(claim) else "")
        table.add_row(claim.id, Text(claim.title), verdict, Text(shown))
    return table


def grid_table(claim: ClaimResult, machines: Sequence[str]) -> Table:
    """Where a conditional claim holds, a column a machine; with the effects of a single one."""
    table = Table(box=None, pad_edge=False, padding=(0, 1, 0, 0), header_style="dim")
    table.add_column(overflow="fold")
    for name in machines:
        table.add_column(Text(name), min_width=len("against"), overflow="fold")
    test = ""
    for row in claim.grid:
        if row.levels and row.test != test:
            table.add_row(Text(f"  {row.test}"))
        test = row.test
        words = [Text(f"    {in_words(row)}" if row.levels else f"  {test}")]
        for name in machines:
            found = square(row.cells.get(name, []))
            word = found.outcome if found.kind == "skipped" else found.kind
            effect = f" {wording.plain(found.effect)}" if len(machines) == 1 else ""
            words.append(Text(word, style=SQUARES[found.kind]) + Text(effect))
        table.add_row(*words)
    return table


def print_grids(study: Study, console: Console) -> None:
    """Where each conditional claim holds: in one sentence, or as its grid."""
    for claim in study.claims:
        if claim.grid:
            console.print(Text(f"{claim.id} {claim.boundary or claim.title}"), width=80)
            if not claim.boundary:
                machines = [machine.name for machine in study.machines]
                console.print(grid_table(claim, machines), width=80, crop=False)


def print_study(study: Study, page: Path, console: Console | None = None) -> None:
    """Where conditional claims hold, verdicts, tally, noise floor and where the page is."""
    console = console or Console(highlight=False)
    if any(claim.grid for claim in study.claims):
        console.print("Where the conditional claims hold", style="bold")
        print_grids(study, console)
        console.print()
    console.print(verdict_table(study), width=80, crop=False)
    if any(map(wording.disagree, study.claims)):
        console.print("* machines disagree; the page shows each", style="dim")
    counts = [f"{count} {verdict}" for verdict, count in wording.tally(study).items() if count]
    console.print("\n" + " \u00b7 ".join(counts), style="bold")
    console.print(f"Noise floor: {escape(wording.plain(wording.noise_sentence(study)))}.")
    for machine in study.machines:
        for warning in machine.warnings:
            console.print(f"[yellow]{escape(f'{machine.name}: {warning}')}[/yellow]")
    console.print("Report: ", Text(readable(str(page)), style="bold"), soft_wrap=True, sep="")
