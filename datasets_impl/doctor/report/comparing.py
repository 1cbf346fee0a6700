"""Two diagnoses side by side: what changed from one to the other."""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from pydantic import ValidationError
from rich.console import Console
from rich.table import Table
from rich.text import Text
from scipy import stats

from datasets_impl.doctor.process.printable import shown
from datasets_impl.doctor.report.model import Diagnosis, Found
from datasets_impl.doctor.report.wording import amount, between, times_as
from datasets_impl.errors import StudyError

CONFIDENCE = 0.95
LEAST_SHARE = 0.01  # of a sample's time, in either: smaller parts are not shown


@dataclass(frozen=True)
class Comparison:
    """How many times as fast `after` is, with its interval; findings that went and that came.

    `gain` and the interval are None where a diagnosis holds no time, or no two rounds.
    """

    before: Diagnosis
    after: Diagnosis
    gain: float | None
    low: float | None
    high: float | None
    gone: list[Found]
    new: list[Found]


def read_diagnosis(path: Path) -> Diagnosis:
    """
    Raises:
        StudyError: it cannot be read, or the doctor did not write it.
    """
    path = path / "diagnosis.json" if path.is_dir() else path
    try:
        return Diagnosis.model_validate_json(path.read_bytes())
    except OSError as error:
        why = error.strerror or "it cannot be read"
    except ValidationError as error:
        where = ".".join(map(str, error.errors()[0]["loc"]))
        why = f"it is no diagnosis of this version{f': see its field {where}' if where else ''}"
    raise StudyError(f"{path}: {why}; name the diagnosis.json that --out wrote.") from None


def compared(before: Diagnosis, after: Diagnosis) -> Comparison:
    """The two were made one after the other, so rounds are not paired: Welch's interval on the log
    scale."""
    gain = low = high = None
    if before.own_us and after.own_us:
        gain = before.own_us / after.own_us
    rounds = before.own_rounds, after.own_rounds
    if min(map(len, rounds)) > 1 and min(map(min, rounds)) > 0:  # of a clock that stood still: 0
        test = stats.ttest_ind(np.log(before.own_rounds), np.log(after.own_rounds), equal_var=False)
        interval = test.confidence_interval(CONFIDENCE)
        if math.isfinite(interval.low) and math.isfinite(interval.high):
            low, high = math.exp(interval.low), math.exp(interval.high)
    names = {one.name for one in before.findings}, {one.name for one in after.findings}
    return Comparison(
        before, after, gain, low, high,
        gone=[one for one in before.findings if one.name not in names[1]],
        new=[one for one in after.findings if one.name not in names[0]],
    )  # fmt: skip


def verdict(one: Comparison) -> str:
    """One sentence."""
    if one.gain is None:
        return "How the time changed cannot be said: one of the two holds no time of your loader."
    if one.low is None or one.high is None:
        return f"{times_as(one.gain, 2)} times as fast, from too few rounds for an interval."
    interval = between(one.low, one.high, "-")
    if one.low > 1:
        return f"Faster: {times_as(one.gain, 2)} times as fast {interval}."
    if one.high < 1:
        slower = between(1 / one.high, 1 / one.low, "-")
        return f"Slower: a sample takes {times_as(1 / one.gain, 2)} times as long {slower}."
    return f"No difference that is certain: {times_as(one.gain, 2)} times as fast {interval}."


def print_comparison(one: Comparison, console: Console) -> None:
    console.print(Text(verdict(one), style="bold"))
    for label, each in (("before", one.before), ("after", one.after)):
        console.print(Text(f"  {label:<7} {each.dataset or each.target}: {shown(each.verdict)}"))
    if one.before.dataset != one.after.dataset:
        console.print(Text("  They are of different datasets.", style="yellow"))
    console.print("\n[bold]A sample[/bold] (one process)")
    console.print(_parts(one))
    for title, found in (("Gone", one.gone), ("New", one.new)):
        if found:
            console.print(f"\n[bold]{title}[/bold]")
            for finding in found:
                console.print(Text(f"  {finding.title}"))


def _parts(one: Comparison) -> Table:
    table = Table(box=None, pad_edge=False, padding=(0, 1))
    for head in ("  ", "before", "after"):
        table.add_column(head, justify="left" if head == "  " else "right")
    sides = [{part.cause: part for part in each.parts} for each in (one.before, one.after)]
    for cause in dict.fromkeys([*sides[0], *sides[1]]):
        found = [side.get(cause) for side in sides]
        if max(part.share if part else 0.0 for part in found) >= LEAST_SHARE:
            table.add_row(f"  {cause}", *(amount(part.us) if part else "-" for part in found))
    totals = (one.before.total_us, one.after.total_us)
    table.add_row("  in all", *(amount(us) if us else "-" for us in totals))
    return table
