"""The noise floor: A/A arms, which are one and the same thing under two names.

A second arm is a level of whatever factor (`factors.second_name`), in a benchmark of `controls`, of
`arms` or of `remote`.
"""

from __future__ import annotations

from dataclasses import replace

import pandas as pd

from datasets_impl.factors import NAMES, first_name, is_second_name
from scripts.judging.cells import judge_test, widen
from scripts.judging.claims import Ratio, Rules
from scripts.judging.model import Bar, Cell, Noise

TOPICS = ("controls.", "arms.", "remote.")


def noise_floor(cells: pd.DataFrame, rules: Rules) -> Noise:
    """Judge every A/A pair by the margin in both directions."""
    judged: list[Cell] = []
    for benchmark, metric, factor, arm in _second_arms(cells):
        test = Ratio(
            label="A/A",
            metric=metric,
            benchmarks=[benchmark],
            treatment={factor: arm},
            baseline={factor: first_name(arm)},
        )
        judged += judge_test(test, cells, rules)
    measured = [cell for cell in judged if cell.low is not None]
    shown = [_two_sided(cell, rules) for cell in measured]
    alarms = sum(cell.outcome == "against" for cell in shown)
    return Noise(
        cells=len(shown),
        false_alarms=alarms,
        rate=alarms / len(shown) if shown else None,
        widest=max((abs((cell.estimate or 1.0) - 1) for cell in shown), default=None),
        evidence=shown,
    )


def _second_arms(cells: pd.DataFrame) -> list[tuple[str, str, str, str]]:
    """(benchmark, metric, factor, level) of every second arm, sorted; any factor may have one."""
    controls = cells[cells["benchmark"].astype(str).str.startswith(TOPICS)]
    found = {
        (str(row["benchmark"]), str(row["metric"]), factor, str(row[factor]))
        for row in controls.to_dict("records")
        for factor in NAMES
        if is_second_name(row.get(factor))
    }
    return sorted(found)


def noisy_machines(noise: Noise, rules: Rules) -> set[str]:
    """Machines whose own session raised more false alarms than the rules allow."""
    alarms: dict[str, list[bool]] = {}
    for cell in noise.evidence:
        alarms.setdefault(cell.machine, []).append(cell.outcome == "against")
    return {
        machine
        for machine, raised in alarms.items()
        if sum(raised) > rules.false_alarm_gate * len(raised)
    }


def _two_sided(cell: Cell, rules: Rules) -> Cell:
    assert cell.low is not None and cell.high is not None
    low, high = cell.low, cell.high
    if not cell.paired:
        low, high = widen(low, high, rules)
    inside = low > 1 - rules.margin and high < 1 + rules.margin
    alarm = low > 1 + rules.margin or high < 1 - rules.margin
    bar = Bar("within", rules.margin)
    return replace(cell, bar=bar, outcome="against" if alarm else "for" if inside else "unclear")
