"""The epoch from which a dataset that is dear to construct has paid for itself.

With C the construction and t an epoch, both in milliseconds, the totals of the two arms are equal
after E* = (C_treatment - C_baseline) / (t_baseline - t_treatment) epochs. E* is 0 where nothing is
paid in advance, and infinite where an epoch saves nothing.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy import stats

from scripts.judging import inference
from scripts.judging.inference import Interval

RESAMPLES = 9999
SEED = 20250130  # the same inputs give the same interval


@dataclass(frozen=True)
class Costs:
    """One arm: milliseconds of a construction and of an epoch, one value for each block."""

    construction: np.ndarray
    epoch: np.ndarray

    def total(self, epochs: float) -> np.ndarray:
        return self.construction + epochs * self.epoch


@dataclass(frozen=True)
class BreakEven:
    """`epochs`: E* with its interval (`high` is None where it is open above).

    `decision` is a ratio of times, below 1 where E* is below the bar that was asked for.
    """

    epochs: Interval
    decision: Interval
    reading: str


def break_even(treatment: Costs, baseline: Costs, bar: float, confidence: float) -> BreakEven:
    """E* of the means over blocks, and whether it comes before `bar` epochs.

    The interval is a percentile bootstrap over blocks, all times of a block together (SciPy). Over
    few blocks it is too narrow, since it cannot draw a spread that it has not seen. In simulation
    it covers 83 % with four blocks. It covers 92 % with ten. So it is only shown.

    Student's t decides, on the log ratio of the arms' total times after `bar` epochs. These are
    equal exactly when E* equals the bar, and unlike E* they have a ratio in every block. An arm
    that is cheaper to construct and slower in each epoch is ahead only at first, so there the
    epochs alone decide.
    """
    data = (treatment.construction, baseline.construction, baseline.epoch, treatment.epoch)
    extra, saving = _difference(data[0], data[1]), _difference(data[2], data[3])
    slower = inference.ratio(treatment.epoch.tolist(), baseline.epoch.tolist(), confidence)
    totals = (treatment.total(bar).tolist(), baseline.total(bar).tolist())
    never_ahead = saving <= 0 and extra <= 0
    decision = slower if never_ahead else inference.ratio(*totals, confidence)
    estimate = _epochs(float(_angle(*data)))
    reading = "pays at once" if estimate == 0 else ""
    if math.isinf(estimate):
        clear = slower.low is not None and slower.low > 1
        reading = "never pays" if clear else "no saving seen"
    blocks = len(treatment.epoch)
    low, high = _bootstrap(data, confidence) if blocks > 1 else (None, None)
    return BreakEven(Interval(estimate, low, high, blocks), decision, reading)


def _bootstrap(
    data: tuple[np.ndarray, ...], confidence: float
) -> tuple[float | None, float | None]:
    """The ends of the interval; an end at infinity is None."""
    found = stats.bootstrap(
        data,
        _angle,
        paired=True,
        vectorized=True,
        axis=-1,
        n_resamples=RESAMPLES,
        confidence_level=confidence,
        method="percentile",
        random_state=np.random.default_rng(SEED),
    ).confidence_interval
    ends = [_epochs(float(end)) for end in (found.low, found.high)]
    low, high = (end if math.isfinite(end) else None for end in ends)
    return low, high


def _difference(one: np.ndarray, other: np.ndarray, axis: int = -1) -> Any:
    return one.mean(axis=axis) - other.mean(axis=axis)


def _angle(
    dear: np.ndarray, cheap: np.ndarray, slow: np.ndarray, fast: np.ndarray, axis: int = -1
) -> Any:
    """E* as the angle whose tangent it is: finite, and growing with E*, even where E* is not.

    Quantiles of a growing function are the function of the quantiles, so a bootstrap of the angle
    is one of E*, without a division by a saving near zero. Without a saving it is pi.
    """
    extra, saving = _difference(dear, cheap, axis), _difference(slow, fast, axis)
    return np.where(saving > 0, np.arctan2(extra, saving), math.pi)


def _epochs(angle: float) -> float:
    if angle <= 0:
        return 0.0
    return math.tan(angle) if angle < math.pi / 2 else math.inf
