"""Two diagnoses side by side: what changed from one to the other."""

from __future__ import annotations

import math
import warnings
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from rich.console import Console
from rich.table import Table
from rich.text import Text
from scipy import stats

from datasets_impl.doctor.process.printable import shown
from datasets_impl.doctor.report.model import Diagnosis, Found
from datasets_impl.doctor.report.paired import CONFIDENCE
from datasets_impl.doctor.report.reading import read_as
from datasets_impl.doctor.report.wording import amount, between, times_as
from datasets_impl.doctor.report.writing import MOST_BYTES

MOST_LOG = 700.0  # of a ratio that a number can hold
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
    return read_as(Diagnosis, path, MOST_BYTES, "the diagnosis.json that --out wrote")


def compared(before: Diagnosis, after: Diagnosis) -> Comparison:
    """The two were made one after the other, so rounds are not paired: Welch's interval on the log
    scale."""
    gain = low = high = None
    if before.own_us and after.own_us and 0.0 < before.own_us / after.own_us < math.inf:
        gain = before.own_us / after.own_us
    rounds = before.own_rounds, after.own_rounds
    if min(map(len, rounds)) > 1 and min(map(min, rounds)) > 0:  # of a clock that stood still: 0
        with warnings.catch_warnings(action="ignore"):  # of rounds that are all alike
            logs = np.log(before.own_rounds), np.log(after.own_rounds)
            test = stats.ttest_ind(*logs, equal_var=False)
        interval = test.confidence_interval(CONFIDENCE)
        if max(abs(interval.low), abs(interval.high)) < MOST_LOG:  # neither is "nan"
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
    if changed := changed_settings(one):
        console.print(Text(f"  Other settings: {shown(', '.join(changed))}."))
    console.print("\n[bold]A sample[/bold] (one process)")
    console.print(_parts(one))
    for title, found in (("Gone", one.gone), ("New", one.new)):
        if found:
            console.print(f"\n[bold]{title}[/bold]")
            for finding in found:
                console.print(Text(f"  {finding.title}"))


def changed_settings(one: Comparison) -> list[str]:
    """Of the loaders, `num_workers 0 -> 2`: what else may have changed the time."""
    before, after = one.before.settings, one.after.settings
    return [
        f"{name} {before.get(name)} -> {after.get(name)}"
        for name in sorted({*before, *after})
        if before.get(name) != after.get(name)
    ]


def _parts(one: Comparison) -> Table:
    table = Table(box=None, pad_edge=False, padding=(0, 1))
    for head in ("  ", "before", "after"):
        table.add_column(head, justify="left" if head == "  " else "right")
    sides = [{part.cause: part for part in each.parts} for each in (one.before, one.after)]
    for cause in dict.fromkeys([*sides[0], *sides[1]]):
        found = [side.get(cause) for side in sides]
        if max(part.share if part else 0.0 for part in found) >= LEAST_SHARE:
            table.add_row(
                Text(f"  {shown(cause)}"), *(amount(part.us) if part else "-" for part in found)
            )
    totals = (one.before.total_us, one.after.total_us)
    table.add_row("  in all", *(amount(us) if us else "-" for us in totals))
    return table
