"""A claim's test applied to the evidence: pair the arms, judge every cell."""

from __future__ import annotations

import math
import operator
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import pandas as pd

from scripts import inference
from scripts.claims import OPERATORS, Rules, Test
from scripts.evidence import FACTORS
from scripts.inference import Interval
from scripts.model import Cell, Outcome

EXACT: dict[str, Callable[[float, float], bool]] = dict(
    zip(OPERATORS, (operator.eq, operator.ge, operator.le), strict=True)
)
SIGNS = {"above": ">", "below": "<"}
UNPAIRED = "from medians, arms not paired"


def judge_test(test: Test, cells: pd.DataFrame, rules: Rules) -> list[Cell]:
    """Every cell of `test` in the evidence, judged; an empty list when nothing was measured."""
    chosen = cells[(cells["metric"] == test.metric) & cells["benchmark"].isin(test.benchmarks)]
    chosen = chosen[_allowed(chosen, test.where)]
    if test.kind == "exact":
        return [_exact(test, row, rules) for row in _records(chosen)]
    if test.kind == "level":
        return [_level(test, row, rules) for row in _records(chosen)]
    pairs = [_ratio(test, *pair, rules) for pair in _pairs(test, chosen)]
    if test.kind == "slope":
        return _slopes(test, chosen, rules)
    return pairs


def bar_of(test: Test, rules: Rules) -> float:
    """The test's own bar, or the margin in its direction."""
    if test.bar is not None:
        return test.bar
    return 1 + rules.margin if test.direction == "above" else 1 - rules.margin


def _allowed(cells: pd.DataFrame, where: dict[str, list[Any]]) -> pd.Series[bool]:
    keep = pd.Series(True, index=cells.index)
    for factor, levels in where.items():
        refused = [str(level)[1:] for level in levels if str(level).startswith("!")]
        if refused:
            keep &= ~cells[factor].astype(str).isin(refused)
        else:
            keep &= cells[factor].isin(levels)
    return keep


def _records(cells: pd.DataFrame) -> list[dict[str, Any]]:
    return [{str(key): value for key, value in row.items()} for row in cells.to_dict("records")]


def factors_of(row: dict[str, Any]) -> dict[str, Any]:
    """The row's factor levels, without the factors its benchmark does not have."""
    return {name: row[name] for name in FACTORS if row.get(name) is not None}


def _pairs(test: Test, cells: pd.DataFrame) -> Iterator[tuple[dict[str, Any], dict[str, Any]]]:
    """(treatment, baseline) rows that agree in machine, benchmark and every other factor."""
    arms = set(test.treatment)
    rows = _records(cells)

    def place(row: dict[str, Any]) -> tuple[Any, ...]:
        others = {key: level for key, level in factors_of(row).items() if key not in arms}
        return (row["machine"], row["benchmark"], tuple(others.items()))

    baselines = {place(row): row for row in rows if _is(row, test.baseline)}
    for row in rows:
        if _is(row, test.treatment) and not _is(row, test.baseline) and place(row) in baselines:
            yield row, baselines[place(row)]


def _is(row: dict[str, Any], arm: dict[str, Any]) -> bool:
    return all(level == "*" or row[factor] == level for factor, level in arm.items())


def _label(row: dict[str, Any], arm: dict[str, Any]) -> str:
    return ", ".join(
        str(row[factor]) if isinstance(row[factor], str) else f"{factor}={row[factor]}"
        for factor in arm
    )


def _interval(
    test: Test, treatment: dict[str, Any], baseline: dict[str, Any], rules: Rules
) -> tuple[Interval | None, str]:
    """The ratio of two rows, or None with the reason."""
    for row in (treatment, baseline):
        if row["status"] != "ok":
            return None, row["reason"]
    if treatment["samples"] and baseline["samples"]:
        if len(treatment["samples"]) != len(baseline["samples"]):
            return None, "the two arms were not measured in the same blocks"
        return inference.ratio(treatment["samples"], baseline["samples"], rules.confidence), ""
    medians = (_quartiles(treatment), _quartiles(baseline))
    return inference.unpaired_ratio(*medians, rules.confidence), ""


def _quartiles(row: dict[str, Any]) -> tuple[float, float, float, int]:
    known = row["q25"] is not None and row["q25"] == row["q25"]
    if not known:
        return (row["median"], row["median"], row["median"], 1)
    return (row["median"], row["q25"], row["q75"], int(row["repeat"]))


def widen(low: float, high: float, rules: Rules) -> tuple[float, float]:
    """An interval of unpaired arms as the rules see it: wider on both sides, as if the margin were
    doubled, so that medians alone decide less in either direction."""
    factor = (1 + rules.margin * inference.UNPAIRED_MARGIN_FACTOR) / (1 + rules.margin)
    return low / factor, high * factor


def _judged(test: Test, interval: Interval, rules: Rules) -> tuple[Outcome, str]:
    bar = bar_of(test, rules)
    if interval.low is None:
        return "unclear", "one block gives no interval"
    if not interval.paired:
        widened = widen(interval.low, interval.high or interval.low, rules)
        interval = replace(interval, low=widened[0], high=widened[1])
        return inference.outcome(interval, test.direction, bar), UNPAIRED
    return inference.outcome(interval, test.direction, bar), ""


def _without(*rows: dict[str, Any]) -> Outcome:
    """What a cell without a number counts as.

    A cell this machine cannot provide is no evidence. One that failed or lost blocks stays in the
    denominator as undecided: dropping failures would let the cells that happen to run decide.
    """
    lost = any(row["status"] in ("failed", "incomplete") for row in rows)
    return "unclear" if lost else "skipped"


def _ratio(test: Test, treatment: dict[str, Any], baseline: dict[str, Any], rules: Rules) -> Cell:
    interval, reason = _interval(test, treatment, baseline, rules)
    cell = _unjudged(test, treatment, rules, _without(treatment, baseline), reason)
    cell = replace(
        cell,
        quantity="share" if test.kind == "share" else "ratio",
        treatment=_label(treatment, test.treatment),
        baseline=_label(baseline, test.baseline),
    )
    return _measured(cell, test, interval, rules) if interval else cell


def _level(test: Test, row: dict[str, Any], rules: Rules) -> Cell:
    cell = _unjudged(test, row, rules, _without(row), row["reason"])
    if row["status"] != "ok":
        return cell
    values = [value / 100 for value in row["samples"] or [row["median"]]]
    return _measured(cell, test, inference.share(values, rules.confidence), rules)


def _unjudged(test: Test, row: dict[str, Any], rules: Rules, result: Outcome, reason: str) -> Cell:
    """The cell of `row` before a number is put to it."""
    return Cell(
        test=test.label,
        quantity="share",
        factors=factors_of(row),
        estimate=None,
        low=None,
        high=None,
        outcome=result,
        blocks=0,
        benchmark=row["name"],
        machine=row["machine"],
        bar=f"{SIGNS[test.direction]} {bar_of(test, rules):g}",
        counts=test.counts,
        reason=reason,
        treatment=str(row.get("impl") or ""),
    )


def _measured(cell: Cell, test: Test, interval: Interval, rules: Rules) -> Cell:
    """`cell` with an interval and the outcome that follows from it."""
    result, reason = _judged(test, interval, rules)
    return replace(
        cell,
        estimate=interval.estimate,
        low=interval.low,
        high=interval.high,
        outcome=result,
        blocks=interval.blocks,
        reason=reason,
    )


def _exact(test: Test, row: dict[str, Any], rules: Rules) -> Cell:
    sign, _, number = (test.expect or "").partition(" ")
    value = row["median"] if row["status"] == "ok" else None
    result = _without(row)
    if value is not None and not math.isnan(value):
        result = "for" if EXACT[sign](value, float(number)) else "against"
    return replace(
        _unjudged(test, row, rules, result, row["reason"]),
        quantity="value",
        estimate=value,
        blocks=1 if value is not None else 0,
        bar=(test.expect or "").replace("==", "="),
        reading=test.readings.get(f"{value:g}", "") if value is not None else "",
    )


def _slopes(test: Test, cells: pd.DataFrame, rules: Rules) -> list[Cell]:
    """One cell for each machine and setting of the factors, but the one the slope runs over."""
    over = test.over or ""
    groups: dict[tuple[Any, ...], list[tuple[dict[str, Any], dict[str, Any]]]] = {}
    for treatment, baseline in _pairs(test, cells):
        others = tuple((k, v) for k, v in factors_of(treatment).items() if k != over)
        groups.setdefault((treatment["machine"], treatment["name"], others), []).append(
            (treatment, baseline)
        )
    return [_slope(test, pairs, over, rules) for pairs in groups.values()]


def _slope(
    test: Test, pairs: list[tuple[dict[str, Any], dict[str, Any]]], over: str, rules: Rules
) -> Cell:
    first, second = pairs[0]
    rows = [row for pair in pairs for row in pair]
    factors = factors_of(first)
    factors[over] = " to ".join(str(level) for level in (pairs[0][0][over], pairs[-1][0][over]))
    cell = replace(
        _unjudged(test, first, rules, _without(*rows), "needs samples at two levels or more"),
        quantity="slope",
        factors=factors,
        treatment=_label(first, test.treatment),
        baseline=_label(second, test.baseline),
    )
    usable = [pair for pair in pairs if pair[0]["samples"] and pair[1]["samples"]]
    if len(usable) < 2 or len({len(row["samples"]) for pair in usable for row in pair}) > 1:
        return cell
    logs = [
        [math.log(a / b) for a, b in zip(top["samples"], bottom["samples"], strict=True)]
        for top, bottom in usable
    ]
    # px is a side length: the number of pixels grows with its square.
    power = 2 if over == "px" else 1
    positions = [float(top[over]) ** power for top, _ in usable]
    return _measured(cell, test, inference.slope(logs, positions, rules.confidence), rules)
