"""Two revisions of one code, measured in turn: what became slower, beyond what noise does.

The unit is the round: in each, a cell's ratio of the later over the earlier revision; that of a
benchmark is the geometric mean over its cells. Slower is a benchmark whose whole interval over the
rounds lies beyond its noise: the widest ratio among its A/A arms in the same session, and the
margin of the rules at least; that margin alone where none of its metric was measured, and then the
noise is not known. A single cell counts after Holm's correction over the cells of all.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import pandas as pd

from scripts.judging import inference
from scripts.judging.claims import Rules
from scripts.judging.correction import holm
from scripts.judging.inference import Interval
from scripts.judging.noise import noise_floor
from scripts.judging.pairing import factors_of, records

Outcome = Literal["slower", "faster", "no change", "changed", "not compared"]
EXACT = "exact."  # counts and sizes: they are equal or not, and neither is faster


@dataclass(frozen=True)
class Change:
    """A benchmark, or with `levels` one cell of it; `interval` is of later ÷ earlier."""

    benchmark: str  # such as "item.ByStage"
    metric: str
    levels: dict[str, Any]
    interval: Interval | None
    noise: float  # 0.05: A/A arms came out up to 5 % apart
    outcome: Outcome
    why: str = ""  # of what is not compared
    known: bool = True  # the noise: arms have shown it


def changes(
    earlier: pd.DataFrame,
    later: pd.DataFrame,
    controls: Mapping[str, Sequence[str]],
    rules: Rules,
) -> list[Change]:
    """Of each benchmark that `controls` names the change, and then those of single cells.

    `earlier` and `later` are the cells of both (see `Evidence.cells`); `controls` has by its name
    the benchmarks that hold its A/A arms. A cell is told only where its benchmark does not say the
    same already.
    """
    floor = {name: _noise(name, found, (earlier, later), rules)
             for name, found in controls.items()}  # fmt: skip
    paired = list(_paired(earlier, later, set(controls)))
    whole = _benchmarks(paired, floor, rules)
    said = {(one.benchmark, one.metric): one.outcome for one in whole}
    cells = [one for one in _cells(paired, floor, rules)
             if one.outcome not in ("no change", said[one.benchmark, one.metric])]  # fmt: skip
    return [*whole, *cells]


@dataclass(frozen=True)
class _Pair:
    """A cell on both revisions: logarithms of the ratio, one a round, NaN where disturbed."""

    benchmark: str
    metric: str
    levels: dict[str, Any]
    logs: np.ndarray | None
    why: str


def _paired(earlier: pd.DataFrame, later: pd.DataFrame, names: set[str]) -> Iterator[_Pair]:
    def place(row: dict[str, Any]) -> tuple[Any, ...]:
        return (row["benchmark"], row["metric"], *sorted(factors_of(row).items()))

    known = {place(row): row for row in records(earlier)}
    for row in records(later):
        if row["benchmark"] in names:
            logs, why = _logs(known.get(place(row)), row)
            yield _Pair(row["benchmark"], row["metric"], factors_of(row), logs, why)


def _logs(before: dict[str, Any] | None, after: dict[str, Any]) -> tuple[np.ndarray | None, str]:
    if before is None:
        return None, "it is new"
    for row, which in ((before, "before"), (after, "after")):
        if row["status"] != "ok" or not row["samples"]:
            return None, f"{row['status'] if row['status'] != 'ok' else 'without samples'} {which}"
    top, bottom = (np.asarray(row["samples"], dtype=float) for row in (after, before))
    if len(top) != len(bottom):
        return None, "other rounds"
    if np.nanmin([top, bottom]) <= 0:
        same = bool(np.array_equal(top, bottom, equal_nan=True))
        return (np.zeros(len(top)), "") if same else (None, "a value of zero has no ratio")
    return np.log(top) - np.log(bottom), ""


@dataclass(frozen=True)
class _Noise:
    """How far A/A arms came out from each other on either revision, and at least the margin."""

    apart: float
    known: bool = True


def _noise(
    name: str, controls: Sequence[str], both: Sequence[pd.DataFrame], rules: Rules
) -> _Noise:
    if name.startswith(EXACT):
        return _Noise(0.0)
    metrics = set(both[1].loc[both[1]["benchmark"] == name, "metric"])
    arms = [cell for cells in both for cell in
            noise_floor(cells[cells["benchmark"].isin(controls)], rules).evidence
            if cell.benchmark.rpartition(".track_")[2] in metrics]  # fmt: skip
    found = [abs(math.log(cell.estimate)) for cell in arms if cell.estimate]
    apart = max([rules.margin, *(math.exp(one) - 1 for one in found)])
    return _Noise(apart, known=bool(found))


def _benchmarks(pairs: Sequence[_Pair], floor: Mapping[str, _Noise], rules: Rules) -> list[Change]:
    groups: dict[tuple[str, str], list[_Pair]] = {}
    for pair in pairs:
        groups.setdefault((pair.benchmark, pair.metric), []).append(pair)
    return [_of_benchmark(*key, group, floor[key[0]], rules) for key, group in groups.items()]


def _of_benchmark(
    name: str, metric: str, pairs: Sequence[_Pair], noise: _Noise, rules: Rules
) -> Change:
    logs = [pair.logs for pair in pairs if pair.logs is not None]
    rounds = max((len(one) for one in logs), default=0)
    table = np.array([one for one in logs if len(one) == rounds], dtype=float)
    quiet = table[:, ~np.isnan(table).all(axis=0)] if table.size else table
    if not quiet.size:
        why = next((pair.why for pair in pairs if pair.why), "no round was quiet")
        return Change(name, metric, {}, None, noise.apart, "not compared", why, noise.known)
    return _judged(name, metric, {}, np.nanmean(quiet, axis=0), noise, rules)


def _judged(
    name: str, metric: str, levels: dict[str, Any], logs: np.ndarray, noise: _Noise, rules: Rules
) -> Change:
    ratios = np.exp(logs[~np.isnan(logs)])
    interval = inference.ratio(ratios.tolist(), [1.0] * len(ratios), rules.confidence)
    outcome: Outcome = "no change"
    if name.startswith(EXACT):
        outcome = "changed" if np.any(logs != 0) else "no change"
    elif interval.low is not None and interval.high is not None:
        bar = 1 + noise.apart
        slower, faster = interval.low > bar, interval.high < 1 / bar
        outcome = "slower" if slower else "faster" if faster else "no change"
    return Change(name, metric, levels, interval, noise.apart, outcome, known=noise.known)


def _cells(pairs: Sequence[_Pair], floor: Mapping[str, _Noise], rules: Rules) -> list[Change]:
    """Cells whose own interval is beyond the noise, also after Holm's correction."""
    judged = [
        _judged(pair.benchmark, pair.metric, pair.levels, pair.logs, floor[pair.benchmark], rules)
        for pair in pairs
        if pair.logs is not None and not np.isnan(pair.logs).all()
    ]
    beyond = zip(judged, holm([_p(one, rules) for one in judged]), strict=True)
    return [one for one, p in beyond if one.outcome in ("slower", "faster")
            and p < 1 - rules.confidence]  # fmt: skip


def _p(change: Change, rules: Rules) -> float:
    """Against the nearer end of the noise."""
    assert change.interval is not None
    bar = 1 + change.noise if change.interval.estimate > 1 else 1 / (1 + change.noise)
    found = inference.p_value(change.interval, bar, rules)
    return 1.0 if found is None else found
