"""The verdicts in a terminal, within 80 columns."""

from __future__ import annotations

from pathlib import Path

from rich.console import Console
from rich.markup import escape
from rich.table import Table
from rich.text import Text

from scripts.judging.readable import readable
from scripts.report import wording
from scripts.report.model import Study

COLOURS = {
    "supported": "blue",
    "challenged": "dark_orange3",
    "conditional": "magenta",
    "inconclusive": "yellow",
    "not tested": "bright_black",
}


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


def print_study(study: Study, page: Path, console: Console | None = None) -> None:
    """Verdict table, tally, noise floor and where the page is."""
    console = console or Console(highlight=False)
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
