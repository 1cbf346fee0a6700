"""How numbers, intervals and factors read: one place, so page, tables and terminal agree.

Symbols are written as escapes: a multiplication sign next to an x is easily mistaken in source.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterable
from typing import Any

from datasets_impl.factors import FACTORS, OTHERS, Factor
from scripts.judging.model import Bar, Cell, Effect, Run, Verdict
from scripts.judging.pairing import level
from scripts.report.model import ClaimResult, Study

TIMES = "\u00d7"
DASH = "\u2013"
NBSP = "\u00a0"
ICONS = {
    "supported": "\u2713",
    "challenged": "\u2717",
    "conditional": "\u25d0",
    "inconclusive": "?",
    "not tested": DASH,
}
ROWS = {row.name: row for row in (*FACTORS, *OTHERS)}
UNDECIDED = {"not tested", "inconclusive"}
FEW = 4  # machines that are named and drawn one by one; more are counted
DIRTY = " (dirty work tree)"


def number(value: float | None, decimals: int | None = None) -> str:
    """A plain number for a reader: two or three digits, thousands separated, "n/a" for none."""
    if value is None or not math.isfinite(value):
        return "n/a"
    if decimals is None:
        size = abs(value)
        if size >= 100 or value == int(value):
            decimals = 0
        elif size >= 0.0001:
            decimals = (2 if size >= 0.1 else 1) - math.floor(math.log10(size))
        else:
            return f"{value:.2g}"
    return f"{value:,.{decimals}f}"


def _decimals(estimate: float, quantity: str) -> int | None:
    """Digits after the point, shared by an estimate and its interval."""
    if quantity == "share":
        return 0
    if quantity == "ratio":
        size = abs(estimate)
        return 0 if size >= 100 else 1 if size >= 2 else 2 if size >= 0.1 else 4
    return None


def at_twice(slope: float) -> float:
    """What a slope over the number of pixels makes of a ratio when the side is doubled."""
    return float(4**slope)


def estimate(value: float | None, quantity: str, unit: str = "") -> str:
    """One quantity with its unit: `5.2x`, `62 %`, `3.1 epochs` or a plain number."""
    if value is None or not math.isfinite(value):
        return "n/a"
    if quantity == "slope":
        return estimate(at_twice(value), "ratio")
    digits = _decimals(value, quantity)
    if quantity == "ratio":
        return number(value, digits) + TIMES
    if quantity == "share":
        return number(100 * value, digits) + NBSP + "%"
    return number(value) + (NBSP + unit if unit else "")


def interval(value: float | None, low: float | None, high: float | None, quantity: str) -> str:
    """`[4.9-5.6]` with an en dash, "" without an interval; a break-even may be open above."""
    if value is None or low is None:
        return ""
    if not all(math.isfinite(x) for x in (value, low, low if high is None else high)):
        return ""
    if quantity == "slope":
        value, low, high = (None if x is None else at_twice(x) for x in (value, low, high))
        return interval(value, low, high, "ratio")
    digits, scale = _decimals(value, quantity), 100 if quantity == "share" else 1
    if digits is None and abs(value) >= 0.0001:  # as many as the estimate has
        digits = max(0, (2 if abs(value) >= 0.1 else 1) - math.floor(math.log10(abs(value))))
    if high is None:
        return f"[{_end(scale * low, digits)} or more]"
    ends = [_end(scale * end, digits) for end in (low, high)]
    return f"[{ends[0]}{' to ' if low < 0 else DASH}{ends[1]}]"


def with_interval(item: Cell | Effect) -> str:
    """`5.2x [4.9-5.6]` of a cell or a headline effect."""
    if item.reading and (isinstance(item, Effect) or item.quantity == "amount"):
        return item.reading
    first = estimate(item.estimate, item.quantity, item.unit)
    return f"{first} {interval(item.estimate, item.low, item.high, item.quantity)}".strip()


def headline(claim: ClaimResult) -> str:
    """The headline effect in words, "" when there is none."""
    return with_interval(claim.effect) if claim.effect else ""


def in_cells(claim: ClaimResult) -> str:
    """ "6 of 18 cells for it" where the headline is a word, which says less than all cells do."""
    effect = claim.effect
    if effect is None or effect.quantity != "value" or re.search(r"\d", with_interval(effect)):
        return ""
    return cells_for((c.machine, c.outcome) for c in claim.evidence if c.counts)


def cells_for(found: Iterable[tuple[str, str]]) -> str:
    """Counted cells, as (machine, outcome), that are for a claim. Of one machine: another answers
    an exact question the same way."""
    measured = [one for one in found if one[1] != "skipped"]
    own = [outcome for machine, outcome in measured if machine == measured[0][0]]
    return f"{own.count('for')} of {len(own)} cells for it"


def of_what(effect: Effect) -> str:
    """What the effect is of: "naive / preloaded", what a share is one of, an arm, or the metric."""
    if effect.quantity == "share":
        return effect.test or effect.metric
    if effect.quantity == "ratio" and len(effect.arms) > 1:
        return " / ".join(effect.arms)
    return effect.arms[0] if effect.quantity == "amount" and effect.arms else effect.metric


def in_short(boundary: str, finding: str) -> str:
    """Where a claim holds if one sentence says it, else the first statement of its finding."""
    return boundary or re.split(r"[.;] ", finding)[0].rstrip(".") + "."


def _end(value: float, digits: int | None) -> str:
    """An end of an interval: as exact as the estimate, but never a false 0 or a false decimal."""
    if digits and abs(value) >= 100:
        return number(value, 0)
    if digits and value and abs(value) < 0.5 * 10.0**-digits:
        return f"{value:.1g}"
    if digits and digits > 2 and abs(value) >= 1:
        return number(value, 2)
    return number(value, digits)


def plain(text: str) -> str:
    """ASCII-friendly form for terminals and BibTeX."""
    pairs = ((TIMES, "x"), (DASH, "-"), (NBSP, " "))
    for fancy, simple in pairs:
        text = text.replace(fancy, simple)
    return text


def factor(name: str, value: Any) -> str:
    """One factor level in words, for example "256 px"."""
    value = level(value)
    shown = f"{value:,}" if isinstance(value, int) and name == "n" else str(value)
    row = ROWS.get(name) or Factor(name, short=name.replace("_", " ") + " {}")
    return row.short.format(row.words.get(shown, shown))


def axis(name: str) -> str:
    """A factor along an axis."""
    return (ROWS[name].axis if name in ROWS else "") or name.replace("_", " ")


def factors(values: dict[str, Any], only: Iterable[str] | None = None) -> str:
    """Several factor levels in words, in the order given."""
    names = list(values) if only is None else [name for name in only if name in values]
    return ", ".join(factor(name, values[name]) for name in names if values[name] != "")


def varying(cells: list[Cell]) -> list[str]:
    """Names of the factors that differ between cells, in order of first appearance."""
    seen: dict[str, set[str]] = {}
    for cell in cells:
        for name, value in cell.factors.items():
            seen.setdefault(name, set()).add(str(value))
    partial = {n for n in seen if any(n not in cell.factors for cell in cells)}
    return [name for name, levels in seen.items() if len(levels) > 1 or name in partial]


def bar(found: Bar | None) -> str:
    """What a number is held against, for example "> 1.05"; "" for nothing."""
    if found is None:
        return ""
    if found.sign == "within":
        return f"within {found.value:.0%} of 1"
    return f"{found.sign} {found.value:g}"


def short_commit(run: Run) -> str:
    return run.commit[:10] + DIRTY * run.dirty


def measured_year(study: Study) -> str:
    """The year of the run, "" where no machine carries a date.

    Never today's year: the same results must render to the same bytes next January.
    """
    return next((machine.day[:4] for machine in study.machines if machine.day), "")


def noise_sentence(study: Study) -> str:
    noise = study.noise
    if noise.rate is None:
        return "no A/A arm was measured, so false alarms are unknown"
    far = (
        f". The worst of them differs by {100 * (noise.widest or 0):.1f}{NBSP}%, but its interval "
        "includes no difference: verdicts rest on intervals, not on estimates"
    )
    widest = "" if noise.widest is None else far if not noise.false_alarms else far.split(",")[0]
    rate = f"{100 * noise.rate:.1f}".removesuffix(".0") + NBSP + "%"
    return f"{noise.false_alarms} of {noise.cells} A/A cells raised a false alarm ({rate}){widest}"


def disagree(claim: ClaimResult) -> bool:
    """Did two machines that decided the claim come to different verdicts?"""
    return len(set(claim.by_machine.values()) - UNDECIDED) > 1


def tally(study: Study) -> dict[str, int]:
    """Claims per verdict, every verdict present, in the order of `ICONS`."""
    verdicts = [claim.verdict for claim in study.claims]
    return {name: verdicts.count(name) for name in ICONS}  # type: ignore[arg-type]


def drawn(names: Iterable[str]) -> list[str]:
    """The machines of a figure: more would be a wall."""
    return sorted(set(names))[:FEW]


def not_drawn(names: Iterable[str]) -> str:
    """How many more there are than a figure shows; "" where it shows all."""
    more = len(set(names)) - FEW
    return f"{more} more machine{'s are' if more > 1 else ' is'} in the data." if more > 0 else ""


def together(
    claim: ClaimResult, others: Iterable[tuple[str, str, Verdict]]
) -> list[tuple[Verdict, str, list[str]]]:
    """(verdict, environment, machines): those of many machines; "" for their references."""
    found: dict[tuple[str, Verdict], list[str]] = {}
    references = [(name, "", verdict) for name, verdict in sorted(claim.by_machine.items())]
    for name, environment, verdict in [*references, *others]:
        found.setdefault((environment, verdict), []).append(name)
    order = list(ICONS)
    groups = sorted(found, key=lambda group: (group[0], order.index(group[1])))
    return [(verdict, environment, found[environment, verdict]) for environment, verdict in groups]
