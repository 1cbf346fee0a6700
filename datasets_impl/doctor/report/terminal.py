"""The diagnosis in a terminal, within 80 columns."""

from __future__ import annotations

from pathlib import Path

from rich.console import Console
from rich.filesize import decimal
from rich.markup import escape
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from datasets_impl.doctor.findings.finding import WORTH
from datasets_impl.doctor.findings.user_lines import LOOPING
from datasets_impl.doctor.probes.causes import KINDS
from datasets_impl.doctor.report.model import Diagnosis, Found, Place, Step, Tried
from datasets_impl.doctor.report.surroundings import surroundings
from datasets_impl.doctor.report.verdict import lower, unsure
from datasets_impl.doctor.report.wording import RIGHT_FIRST, UNTOLD, amount, between, times_as

BAR, LINES = 24, 5
OWN_CODE = "your own code"
MOST = 8  # findings and remedies that are shown; the files have all


def what(one: Diagnosis) -> str:
    """The dataset in a line."""
    if not one.dataset:
        return one.target
    length = "of unknown length"
    if one.length is not None:
        length = f"{one.length:,} sample{'s' if one.length != 1 else ''}"
    return f"{one.dataset}, {length}, {decimal(round(one.sample_bytes))} each"


def then(one: Diagnosis) -> str:
    """What a trainer would wait with the remedy that helps most."""
    if one.step is None or one.step.waits_then is None:
        return ""
    return f"; {one.step.waits_then:.0%} with: {lower(one.step.remedy)}"


def enough(step: Step) -> str:
    """How many workers the step asks for."""
    if step.enough_workers is None and len(step.tried_workers) == 1:
        (only,) = step.tried_workers
        return f"num_workers={only} does not keep this step fed, and no other number was tried."
    if step.enough_workers is None:
        return "No number of workers that was tried keeps this step fed: a sample must get cheaper."
    if step.enough_workers == 0:
        return "This step needs none."
    if step.tried_workers and step.enough_workers not in step.tried_workers:
        tried = ", ".join(map(str, step.tried_workers))
        return (
            f"About num_workers={step.enough_workers} keeps this step fed: an estimate, from what "
            f"{tried} gave."
        )
    return f"num_workers={step.enough_workers} is the smallest number that keeps this step fed."


def print_diagnosis(one: Diagnosis, page: Path | None, console: Console) -> None:
    """Verdict, account of time, findings, remedies, ceiling, what could not be done."""
    console.print(Text(one.verdict, style="bold"))
    console.print(Text(what(one)))
    if one.note:
        console.print(Text(one.note, style="yellow"))
    if one.wrong:  # before any time
        _print_findings(one, console)
    if one.total_us:
        console.print(f"\n[bold]Where a sample's {amount(one.total_us)} go[/bold] (one process)")
        console.print(_account(one))
        for sentence in beside(one):
            console.print(f"  {sentence}", style="dim")
        if one.places:
            console.print(
                "\n[bold]Your lines that cost most[/bold], and times as fast without, at most"
            )
            _print_lines(one.places[:LINES], console)
    if not one.wrong:
        _print_findings(one, console)
    if one.remedies:
        ticked = "" if one.wrong else f"; \u2713 where the whole interval is above {WORTH}"
        console.print(
            f"\n[bold]Tried on your samples[/bold], times as fast \\[95 % interval]{ticked}"
        )
        console.print(_remedies(one.remedies))
        left = len(one.remedies) - MOST
        if left > 0:
            console.print(f"  {left} more in the report (--out)", style="dim")
        known = [found.lines for found in one.findings[:MOST]]
        for remedy in (remedy for remedy in helping(one)[:1] if remedy.lines not in known):
            console.print(f"\n[bold]{escape(remedy.title)}[/bold]")
            _code(remedy.lines, "  ", console)
    if one.ceiling:
        times = ""
        if one.ceiling.times and one.ceiling.times >= 1:
            times = f"; now it takes {times_as(one.ceiling.times)} times that"
        console.print(
            f"\n[bold]Ceiling[/bold] {amount(one.ceiling.us)} a sample ({escape(one.ceiling.of)}, "
            f"{one.ceiling.cores} threads){times}"
        )
    if one.step:
        how = "by its workers meanwhile" if one.step.workers else "in turns, without workers"
        console.print(
            f"[bold]Step[/bold] {one.step.step_ms:g} ms, and {one.step.batch_ms:,.1f} ms for a "
            f"batch of {one.step.batch_size}, {how}: the trainer waits {one.step.waits:.0%} of the "
            "time" + then(one)
        )
        console.print(f"[bold]Workers[/bold] {enough(one.step)}")
    if one.machine:
        console.print(f"[bold]Machine[/bold] {surroundings(one.machine)}")
    for sentence in one.not_done:
        console.print(Text(sentence, style="yellow"))
    if page is not None:
        console.print("Report: ", Text(str(page), style="bold"), soft_wrap=True, sep="")


def beside(one: Diagnosis) -> list[str]:
    """What a loader takes besides the samples themselves."""
    said = []
    if one.hand_over_us is not None:
        said.append(f"From a worker to the trainer: {amount(one.hand_over_us)} a sample.")
    if one.first_batch_s is not None:
        said.append(f"Workers give their first batch after {one.first_batch_s:.2f} s.")
    once, again = (
        ", ".join(
            f"{part.part} {part.seconds:.2f} s"
            for part in one.before_first
            if part.each_epoch is each
        )
        for each in (False, True)
    )
    told = "; ".join(filter(None, [once, again and f"in each epoch {again}"]))
    if told:
        said.append(f"Before the first batch: {told}.")
    return said


def _print_lines(places: list[Place], console: Console) -> None:
    for one in places:
        numbers = f"  {one.share:4.0%} {amount(one.us):>9} {times_as(one.at_most):>5}x  "
        where = Text.assemble(f"{numbers}{Path(one.file).name}:{one.line}  ", (one.kind, "cyan"))
        code = Text(" " * len(numbers) + one.code, style="dim")
        for text in (where, code):
            console.print(text, no_wrap=True, overflow="ellipsis", crop=True)


def account_of(one: Diagnosis) -> list[tuple[str, float]]:
    """Rows of the account and their microseconds; the kinds of work that the user's own code asks
    for, and its loops, come below the sum of these and of what else it does itself."""
    parts = {part.cause: part.us for part in one.parts}
    kinds = {cause: us for cause, us in parts.items() if cause in KINDS}
    own = parts.get("python", 0.0)
    rows = [(cause, us) for cause, us in parts.items() if cause != "python" and cause not in kinds]
    rows.append((OWN_CODE, own + sum(kinds.values())))
    if one.looping_us:
        kinds[LOOPING] = one.looping_us
    below = [(f"  {cause}", us) for cause, us in kinds.items()]
    below += [("  its own lines", own - one.looping_us)] if kinds and own else []
    rows.sort(key=lambda row: -row[1])
    after = 1 + next(number for number, (name, _) in enumerate(rows) if name == OWN_CODE)
    rows[after:after] = sorted(below, key=lambda row: -row[1])
    return [*rows, ("not attributed", one.unattributed_us)]


def _account(one: Diagnosis) -> Table:
    table = Table(box=None, pad_edge=False, show_header=False, padding=(0, 1))
    total = one.total_us or 1.0
    for cause, us in account_of(one):
        if abs(us) < 0.005 * total:
            continue
        bar = "\u2588" * max(0, round(BAR * us / total))
        table.add_row(f"  {cause}", f"{us / total:4.0%}", amount(us), Text(bar, style="cyan"))
    return table


def _print_findings(one: Diagnosis, console: Console) -> None:
    shown = one.findings[:MOST]
    for title, group, counted in (
        ("Found", [found for found in shown if found.kind != "note"], True),
        ("Worth knowing", [found for found in shown if found.kind == "note"], False),
    ):
        if group:
            console.print(f"\n[bold]{title}[/bold]")
        for number, found in enumerate(group, start=1):
            _finding(f"{number}." if counted else " -", found, console)
    if one.wrong and (one.remedies or one.total_us):
        console.print(f"\n{RIGHT_FIRST}")


def _code(lines: str, indent: str, console: Console) -> None:
    for line in lines.splitlines():  # whole, so that they can be copied
        console.print(Text(f"{indent}{line}", style="cyan"), soft_wrap=True)


def _finding(mark: str, found: Found, console: Console) -> None:
    claim = f" [dim]({found.claim})[/dim]" if found.claim else ""
    console.print(f"{mark} [bold]{escape(found.title)}[/bold]{claim}")
    console.print(Padding(Text(found.evidence), (0, 0, 0, 3), expand=False))
    if found.remedy:
        console.print(Padding(Text(found.remedy, style="green"), (0, 0, 0, 3), expand=False))
    for place in found.places:
        console.print(f"   {escape(place)}", style="dim", soft_wrap=True)
    _code(found.lines, "   ", console)


def helping(one: Diagnosis) -> list[Tried]:
    """Remedies whose code is shown: those that help surely, and what mends the cause perhaps."""
    first = one.findings[0].name if one.findings and not one.wrong else None
    return [
        each for each in one.remedies if each.recommended or (first in each.mends and unsure(each))
    ]


def _remedies(remedies: list[Tried]) -> Table:
    table = Table(box=None, pad_edge=False, show_header=False, padding=(0, 1))
    for one in remedies[:MOST]:
        gain, interval = f"{times_as(one.gain, 2)}x", between(one.low, one.high, "-")
        if one.noisy:
            gain, interval = "", UNTOLD
        mark = "[green]\u2713[/green]" if one.recommended else "\u2013"
        even = one.break_even_epochs
        pays = f"pays off after {even:.1f} epochs" if even and even >= 0.05 else ""
        cost = "; ".join(filter(None, [one.cost, pays, one.caution]))
        table.add_row(
            f"  {mark}", escape(one.title), gain, escape(interval),
            Text(cost, style="dim"),
        )  # fmt: skip
    return table
