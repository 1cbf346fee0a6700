"""How many times as fast one is as another that took turns with it."""

from __future__ import annotations

import numpy as np
from scipy import stats

CONFIDENCE = 0.95


def paired_gain(slow: list[float], fast: list[float]) -> tuple[float, float | None, float | None]:
    """Within rounds: the geometric mean and its Student's t interval, None where there is none."""
    before, after = np.log(slow), np.log(fast)
    gain = float(np.exp((before - after).mean()))
    if len(slow) < 2 or np.ptp(before - after) < 1e-12:
        return gain, None, None
    interval = stats.ttest_rel(before, after).confidence_interval(CONFIDENCE)
    return gain, float(np.exp(interval.low)), float(np.exp(interval.high))
