"""A claim's test applied to the evidence: pair the arms, judge every cell."""

from __future__ import annotations

import math
import operator
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any, Literal

import numpy as np
import pandas as pd

from scripts.judging import inference
from scripts.judging.break_even import Costs, break_even
from scripts.judging.claims import (
    Amount,
    Barred,
    BreakEven,
    Exact,
    MeasuredShare,
    Ratio,
    Rules,
    Share,
    Slope,
    Test,
)
from scripts.judging.inference import Interval
from scripts.judging.model import UNPAIRED, Bar, Cell, Outcome, Reason
from scripts.judging.pairing import Constructions, allowed, factors_of, label, pairs_of, records

EXACT: dict[str, tuple[Callable[[float, float], bool], Literal["=", ">=", "<="]]] = {
    "==": (operator.eq, "="), ">=": (operator.ge, ">="), "<=": (operator.le, "<="),
}  # fmt: skip
NONE_QUIET = Reason("none quiet")  # no block in which no arm was disturbed
NO_RATIO = Reason("no ratio")  # a measured value of zero or less
TIMED_APART = Reason("timed apart")  # part and whole, so the share is cut at all of the whole
UNDECIDABLE = (NONE_QUIET, NO_RATIO)  # measured, so not skipped


def judge_test(test: Test, cells: pd.DataFrame, rules: Rules) -> list[Cell]:
    """Every cell of `test` in the evidence, judged; an empty list when nothing was measured."""
    chosen = cells[(cells["metric"] == test.metric) & cells["benchmark"].isin(test.benchmarks)]
    chosen = chosen[allowed(chosen, test.where)]
    match test:
        case Exact():
            judged = [_exact(test, row, rules) for row in records(chosen)]
        case MeasuredShare() | Amount():
            judged = [_single(test, row, rules) for row in records(chosen)]
        case Slope():
            judged = _slopes(test, chosen, rules)
        case BreakEven():
            made = Constructions(test, cells)
            judged = [_break_even(test, *pair, made, rules) for pair in pairs_of(test, chosen)]
        case Ratio() | Share():
            judged = [_ratio(test, *pair, rules) for pair in pairs_of(test, chosen)]
    return _counted_once(judged, test.benchmarks)


def _counted_once(cells: Sequence[Cell], benchmarks: list[str]) -> list[Cell]:
    """Sweeps cross: of cells that are one combination, that of the benchmark named first counts."""

    def rank(cell: Cell) -> int:
        return benchmarks.index(cell.benchmark.rpartition(".")[0])

    def place(cell: Cell) -> tuple[Any, ...]:
        return (cell.machine, cell.treatment, cell.baseline, *sorted(cell.factors.items()))

    first: dict[tuple[Any, ...], Cell] = {}
    for cell in sorted(cells, key=rank):
        first.setdefault(place(cell), cell)
    return [
        cell
        if (kept := first[place(cell)]) is cell
        else replace(
            cell,
            counts=False,
            reasons=(*cell.reasons, Reason("counts elsewhere", (kept.benchmark,))),
        )
        for cell in cells
    ]


def bar_of(test: Barred, rules: Rules) -> float:
    """The test's own bar, or the margin in its direction."""
    if test.bar is not None:
        return test.bar
    return 1 + rules.margin if test.direction == "above" else 1 - rules.margin


def _interval(
    treatment: dict[str, Any], baseline: dict[str, Any], rules: Rules
) -> tuple[Interval | None, Reason | None]:
    """The ratio of two rows, or None with the reason."""
    for row in (treatment, baseline):
        if row["status"] != "ok":
            return None, row["reason"]
    if treatment["samples"] and baseline["samples"]:
        if len(treatment["samples"]) != len(baseline["samples"]):
            return None, Reason("other blocks")
        if reason := _unusable(treatment["samples"], baseline["samples"]):
            return None, reason
        return inference.ratio(treatment["samples"], baseline["samples"], rules.confidence), None
    medians = (_quartiles(treatment), _quartiles(baseline))
    if min(medians[0][0], medians[1][0]) <= 0:
        return None, NO_RATIO
    return inference.unpaired_ratio(*medians, rules.confidence), None


def _unusable(*samples: Sequence[float] | np.ndarray) -> Reason | None:
    """Why no block of these gives a ratio, None if one does."""
    blocks = np.array(inference.undisturbed(*samples))
    if not blocks.size:
        return NONE_QUIET
    return NO_RATIO if blocks.min() <= 0 else None


def _quartiles(row: dict[str, Any]) -> tuple[float, float, float, int]:
    known = row["q25"] is not None and row["q25"] == row["q25"]
    if not known:
        return (row["median"], row["median"], row["median"], 1)
    return (row["median"], row["q25"], row["q75"], int(row["repeat"]))


def widen(low: float, high: float, rules: Rules) -> tuple[float, float]:
    """An interval of unpaired arms as the rules see it: wider on both sides, as if the margin were
    doubled, so that medians alone decide less in either direction."""
    factor = inference.unpaired_factor(rules)
    return low / factor, high * factor


def _judged(test: Barred, interval: Interval, rules: Rules) -> tuple[Outcome, Reason | None]:
    bar = bar_of(test, rules)
    if interval.low is None:
        return "unclear", Reason("one block")
    if not interval.paired:
        widened = widen(interval.low, interval.high or interval.low, rules)
        interval = replace(interval, low=widened[0], high=widened[1])
        return inference.outcome(interval, test.direction, bar), UNPAIRED
    return inference.outcome(interval, test.direction, bar), None


def _without(*rows: dict[str, Any]) -> Outcome:
    """What a cell without a number counts as.

    A cell this machine cannot provide is no evidence. One that failed or lost blocks stays in the
    denominator as undecided: dropping failures would let the cells that happen to run decide.
    """
    lost = any(row["status"] in ("failed", "incomplete") for row in rows)
    return "unclear" if lost else "skipped"


def _ratio(
    test: Ratio | Share, treatment: dict[str, Any], baseline: dict[str, Any], rules: Rules
) -> Cell:
    interval, reason = _interval(treatment, baseline, rules)
    without = "unclear" if reason in UNDECIDABLE else _without(treatment, baseline)
    cell = _unjudged(test, treatment, rules, without, reason)
    cell = replace(
        cell,
        quantity="share" if isinstance(test, Share) else "ratio",
        treatment=label(treatment, test.treatment),
        baseline=label(baseline, test.baseline),
    )
    if interval is None:
        return cell
    judged = _measured(cell, test, interval, rules)
    return _at_most_all(judged) if isinstance(test, Share) else judged


def _at_most_all(cell: Cell) -> Cell:
    """A share of two timings, cut at all of the whole: no part is larger, whatever noise says.

    The cell is judged before, by the interval as it was measured.
    """
    assert cell.estimate is not None
    if max(cell.estimate, cell.high or 0.0) <= 1:
        return cell
    return replace(
        cell,
        estimate=min(1.0, cell.estimate),
        low=cell.low and min(1.0, cell.low),
        high=cell.high and min(1.0, cell.high),
        reasons=(*cell.reasons, TIMED_APART),
    )


def _single(test: MeasuredShare | Amount, row: dict[str, Any], rules: Rules) -> Cell:
    """A share in percent ("level") or an amount in its own unit, judged by itself."""
    cell = _unjudged(test, row, rules, _without(row), row["reason"])
    if isinstance(test, Amount):
        cell = replace(cell, quantity="amount")
    if row["status"] != "ok":
        return cell
    values = row["samples"] or [row["median"]]
    if isinstance(test, MeasuredShare):
        found = inference.share([value / 100 for value in values], rules.confidence)
    elif row["samples"]:
        found = inference.amount(values, rules.confidence)
    else:
        one = (1.0, 1.0, 1.0, int(row["repeat"]))
        found = inference.unpaired_ratio(_quartiles(row), one, rules.confidence)
    return _measured(cell, test, found, rules)


def _break_even(
    test: BreakEven,
    treatment: dict[str, Any],
    baseline: dict[str, Any],
    made: Constructions,
    rules: Rules,
) -> Cell:
    """The epoch from which the treatment has paid for its construction."""
    epochs = {"treatment": treatment, "baseline": baseline}
    built = {arm: made.of(row) for arm, row in epochs.items()}
    rows = [row for row in (treatment, baseline, *built.values()) if row is not None]
    reason = next((row["reason"] for row in rows if row["status"] != "ok"), None)
    if None in built.values():
        reason = Reason("no construction")
    cell = replace(
        _unjudged(test, treatment, rules, _without(*rows), reason),
        quantity="amount",
        treatment=label(treatment, test.treatment),
        baseline=label(baseline, test.baseline),
    )
    if reason:
        return cell
    sampled = all(row["samples"] for row in rows)
    if sampled and len({len(row["samples"]) for row in rows}) > 1:
        return replace(cell, reasons=(Reason("other blocks of times"),))
    samples = [_blocks(row, sampled) for arm in epochs for row in (built[arm], epochs[arm])]
    if reason := _unusable(*samples):
        return replace(cell, outcome="unclear", reasons=(reason,))
    times = inference.undisturbed(*samples)
    # An epoch is measured in microseconds per image, a construction in milliseconds.
    costs = [
        Costs(made, epoch * treatment["n"] / 1000)
        for made, epoch in zip(times[::2], times[1::2], strict=True)
    ]
    found = break_even(costs[0], costs[1], bar_of(test, rules), rules.confidence)
    cell = _measured(cell, test.model_copy(update={"bar": 1.0}), found.decision, rules)
    shown = found.epochs
    return replace(
        cell, estimate=shown.estimate, low=shown.low, high=shown.high, reading=found.reading
    )


def _blocks(row: dict[str, Any] | None, sampled: bool) -> np.ndarray:
    assert row is not None
    return np.asarray(row["samples"] if sampled else [row["median"]], dtype=float)


def _unjudged(
    test: Test, row: dict[str, Any], rules: Rules, result: Outcome, reason: Reason | None
) -> Cell:
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
        bar=_shown_bar(test, rules),
        counts=test.counts,
        reasons=(reason,) if reason else (),
        treatment=str(row.get("impl") or ""),
        unit=test.unit if isinstance(test, Amount | BreakEven) else "",
    )


def _shown_bar(test: Test, rules: Rules) -> Bar:
    if isinstance(test, Exact):
        return Bar(EXACT[test.sign][1], test.number)
    return Bar(">" if test.direction == "above" else "<", bar_of(test, rules))


def _measured(cell: Cell, test: Barred, interval: Interval, rules: Rules) -> Cell:
    """`cell` with an interval and the outcome that follows from it."""
    result, reason = _judged(test, interval, rules)
    return replace(
        cell,
        estimate=interval.estimate,
        low=interval.low,
        high=interval.high,
        outcome=result,
        blocks=interval.blocks,
        reasons=(reason,) if reason else (),
        p=inference.p_value(interval, bar_of(test, rules), rules),
    )


def _exact(test: Exact, row: dict[str, Any], rules: Rules) -> Cell:
    value = row["median"] if row["status"] == "ok" else None
    result = _without(row)
    if value is not None and not math.isnan(value):
        result = "for" if EXACT[test.sign][0](value, test.number) else "against"
    return replace(
        _unjudged(test, row, rules, result, row["reason"]),
        quantity="value",
        estimate=value,
        blocks=1 if value is not None else 0,
        reading=test.readings.get(f"{value:g}", "") if value is not None else "",
    )


def _slopes(test: Slope, cells: pd.DataFrame, rules: Rules) -> list[Cell]:
    """One cell for each machine and setting of the factors, but the one the slope runs over."""
    groups: dict[tuple[Any, ...], list[tuple[dict[str, Any], dict[str, Any]]]] = {}
    for treatment, baseline in pairs_of(test, cells):
        others = tuple((k, v) for k, v in factors_of(treatment).items() if k != test.over)
        groups.setdefault((treatment["machine"], treatment["name"], others), []).append(
            (treatment, baseline)
        )
    return [_slope(test, pairs, rules) for pairs in groups.values()]


def _slope(test: Slope, pairs: list[tuple[dict[str, Any], dict[str, Any]]], rules: Rules) -> Cell:
    first, second = pairs[0]
    over = test.over
    rows = [row for pair in pairs for row in pair]
    factors = factors_of(first)
    factors[over] = " to ".join(str(level) for level in (pairs[0][0][over], pairs[-1][0][over]))
    cell = replace(
        _unjudged(test, first, rules, _without(*rows), Reason("two levels")),
        quantity="slope",
        factors=factors,
        treatment=label(first, test.treatment),
        baseline=label(second, test.baseline),
    )
    usable = [pair for pair in pairs if pair[0]["samples"] and pair[1]["samples"]]
    if len(usable) < 2 or len({len(row["samples"]) for pair in usable for row in pair}) > 1:
        return cell
    if reason := _unusable(*(row["samples"] for pair in usable for row in pair)):
        return replace(cell, outcome="unclear", reasons=(reason,))
    logs = [
        [math.log(a / b) for a, b in zip(top["samples"], bottom["samples"], strict=True)]
        for top, bottom in usable
    ]
    # px is a side length: the number of pixels grows with its square.
    power = 2 if over == "px" else 1
    positions = [float(top[over]) ** power for top, _ in usable]
    return _measured(cell, test, inference.slope(logs, positions, rules.confidence), rules)
