"""Blocks -> effect -> interval -> outcome -> verdict, by the rules at the head of `claims.toml`."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import numpy as np
from scipy import special

from scripts.judging.claims import Rules
from scripts.judging.interval import Interval as Interval
from scripts.judging.interval import Scale
from scripts.judging.model import Outcome, Verdict

# Without samples only medians and quartiles are known, and arms are not paired: the margin doubles.
UNPAIRED_MARGIN_FACTOR = 2.0
NORMAL_IQR = 1.349  # interquartile range of a normal distribution, in standard deviations
MEDIAN_VARIANCE = math.pi / 2  # variance of a median over that of a mean, normal distribution


ROUNDING = 1e-12  # a distance or spread this small is arithmetic, not measurement

ONTO: dict[Scale, Callable[[float], float]] = {
    "log": math.log,
    "logit": lambda share: math.log(share / (1 - share)),
    "linear": float,
}


def mean_interval(values: Sequence[float], confidence: float) -> tuple[float, float, float]:
    """Mean of independent blocks with Student's t interval (SciPy); at least two values."""
    mean, _, low, high = _student(np.asarray(values, dtype=float), confidence)
    return mean, low, high


def _student(data: np.ndarray, confidence: float) -> tuple[float, float, float, float]:
    """Mean, standard error, and both ends of the interval."""
    mean, error = float(data.mean()), float(data.std(ddof=1)) / math.sqrt(len(data))
    low, high = _around(mean, error, len(data) - 1, confidence)
    return mean, error, low, high


def _around(mean: float, error: float, freedom: float, confidence: float) -> tuple[float, float]:
    """Both ends of Student's t interval; `stats.t` takes a hundred times as long over one."""
    tails = (1 - confidence) / 2, (1 + confidence) / 2
    low, high = special.stdtrit(freedom, tails) * error + mean
    return float(low), float(high)


def undisturbed(*arms: Sequence[float] | np.ndarray) -> list[np.ndarray]:
    """`arms` without the blocks in which any of them is NaN: one that other programs disturbed.

    A block is left out whole, so that what is compared was measured in the same blocks.
    """
    data = np.asarray(arms, dtype=float)
    return list(data[:, ~np.isnan(data).any(axis=0)])


def ratio(treatment: Sequence[float], baseline: Sequence[float], confidence: float) -> Interval:
    """Geometric mean of the ratio within blocks; its interval is Student's t on the log scale.

    The arms must have the same number of blocks, in the same order, and positive values; at least
    one block that is disturbed in neither (see `undisturbed`).
    """
    upper, lower = undisturbed(treatment, baseline)
    logs = np.log(upper) - np.log(lower)
    if len(logs) < 2:
        return Interval(float(np.exp(logs.mean())), None, None, len(logs))
    return _over_blocks(logs, "log", math.exp, confidence)


def apart(treatment: Sequence[float], baseline: Sequence[float], confidence: float) -> Interval:
    """Ratio of the geometric means of two runs, whose blocks are no pairs: Welch's t on the logs.

    Each run has positive values and at least one block that is not disturbed. The interval covers
    the scatter of the blocks, and not what changed on the machine between the runs.
    """
    logs = [np.log(undisturbed(run)[0]) for run in (treatment, baseline)]
    blocks = min(map(len, logs))
    mean = float(logs[0].mean() - logs[1].mean())
    if blocks < 2:
        return Interval(math.exp(mean), None, None, blocks, paired=False)
    parts = [float(run.var(ddof=1)) / len(run) for run in logs]
    error = math.sqrt(sum(parts))
    low = high = mean
    if error > ROUNDING:
        spread = sum(part**2 / (len(run) - 1) for part, run in zip(parts, logs, strict=True))
        low, high = _around(mean, error, error**4 / spread, confidence)
    return Interval(math.exp(mean), math.exp(low), math.exp(high), blocks, paired=False)


def amount(values: Sequence[float], confidence: float) -> Interval:
    """Geometric mean of a measured amount; its interval is Student's t on the log scale.

    An amount of zero or less (memory that did not grow) has no logarithm: then the scale is linear
    and the mean the arithmetic one.
    """
    (data,) = undisturbed(values)
    positive = bool(data.min() > 0)
    if len(data) < 2:
        return Interval(float(data[0]), None, None, 1)
    if positive:
        return _over_blocks(np.log(data), "log", math.exp, confidence)
    return _over_blocks(data, "linear", float, confidence)


def share(values: Sequence[float], confidence: float) -> Interval:
    """Mean of a share (0-1, exclusive) with Student's t interval on the logit scale."""
    data = np.clip(undisturbed(values)[0], 1e-6, 1 - 1e-6)
    logits = np.log(data / (1 - data))
    if len(logits) < 2:
        return Interval(float(data.mean()), None, None, len(logits))
    return _over_blocks(logits, "logit", lambda x: 1 / (1 + math.exp(-x)), confidence)


def slope(
    log_ratios: Sequence[Sequence[float]], positions: Sequence[float], confidence: float
) -> Interval:
    """Slope of log ratio over log position, fitted in each block; interval over the blocks.

    `log_ratios`: one row for each position, one column for each block.
    """
    x = np.log(np.asarray(positions, dtype=float))
    fitted = np.polyfit(x, np.asarray(undisturbed(*log_ratios)), 1)[0]
    if len(fitted) < 2:
        return Interval(float(fitted.mean()), None, None, len(fitted))
    return _over_blocks(fitted, "linear", float, confidence)


def _over_blocks(
    data: np.ndarray, scale: Scale, back: Callable[[float], float], confidence: float
) -> Interval:
    """The interval of blocks that stand on `scale`; `back` leads from there to the estimate."""
    mean, error, low, high = _student(data, confidence)
    return Interval(
        back(mean), back(low), back(high), len(data), scale=scale, mean=mean, error=error
    )


def unpaired_ratio(
    treatment: tuple[float, float, float, int],
    baseline: tuple[float, float, float, int],
    confidence: float,
) -> Interval:
    """Ratio of medians from (median, q25, q75, repeats) of each arm, for results without samples.

    The spread of each arm is taken from its quartiles as if it were lognormal, and the arms as
    independent, which is wider than pairing. One repeat gives no interval.
    """
    estimate = treatment[0] / baseline[0]
    repeats = min(treatment[3], baseline[3])
    if repeats < 3 or min(*treatment[:3], *baseline[:3]) <= 0:
        return Interval(estimate, None, None, repeats, paired=False)
    variance = MEDIAN_VARIANCE * sum(
        (math.log(q75 / q25) / NORMAL_IQR) ** 2 / count
        for _, q25, q75, count in (treatment, baseline)
    )
    error = math.sqrt(variance)
    _, half = _around(0.0, error, repeats - 1, confidence)
    return Interval(
        estimate,
        estimate * math.exp(-half),
        estimate * math.exp(half),
        repeats,
        paired=False,
        mean=math.log(estimate),
        error=error,
    )


def unpaired_factor(rules: Rules) -> float:
    """What unpaired arms must reach beyond the bar, as if the margin were doubled."""
    return (1 + rules.margin * UNPAIRED_MARGIN_FACTOR) / (1 + rules.margin)


def p_value(interval: Interval, bar: float, rules: Rules) -> float | None:
    """Two-sided p of Student's t against "the effect equals `bar`"; None without an interval.

    It is below `1 - confidence` exactly when the interval leaves the bar out. Identical blocks off
    the bar have p = 0. Unpaired arms must leave the bar by `unpaired_factor` more, on either side.
    """
    if interval.mean is None or interval.error is None:
        return None
    onto = ONTO[interval.scale]
    distance = abs(interval.mean - onto(bar))
    if not interval.paired:
        distance = max(0.0, distance - math.log(unpaired_factor(rules)))
    if distance <= ROUNDING:  # a rounding error off the bar is on it
        return 1.0
    if interval.error <= ROUNDING:
        return 0.0
    return 2 * float(special.stdtr(interval.blocks - 1, -distance / interval.error))


def outcome(interval: Interval, direction: str, bar: float) -> Outcome:
    """*for*: the whole interval beyond the bar in the claimed direction; *against*: none of it."""
    if interval.low is None or interval.high is None:
        return "unclear"
    if direction == "above":
        return _decide(interval.low > bar, interval.high < bar)
    return _decide(interval.high < bar, interval.low > bar)


def _decide(for_: bool, against: bool) -> Outcome:
    return "for" if for_ else "against" if against else "unclear"


def verdict(outcomes: Sequence[Outcome], rules: Rules) -> Verdict:
    """The verdict over the outcomes of a claim's counted cells; skipped ones are no evidence."""
    judged = [name for name in outcomes if name != "skipped"]
    if not judged:
        return "not tested"
    for_, against = judged.count("for"), judged.count("against")
    if for_ and against:
        return "conditional"
    if for_ + against < rules.decided_share * len(judged):
        return "inconclusive"
    return "supported" if for_ else "challenged"
