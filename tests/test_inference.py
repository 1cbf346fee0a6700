"""The statistics: coverage, symmetry, and the rules of outcome and verdict, case by case."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from scripts.judging import inference
from scripts.judging.claims import Rules
from scripts.judging.inference import Interval
from scripts.judging.model import Outcome, Verdict

RULES = Rules(margin=0.05, confidence=0.95, decided_share=0.8, false_alarm_gate=0.05)
TRIALS = 2000
# Four standard deviations of a binomial share around 95 % in so many trials.
TOLERANCE = 4 * math.sqrt(0.95 * 0.05 / TRIALS)

Arms = tuple[np.ndarray, np.ndarray]


def blocks(random: np.random.Generator, true: float, count: int = 7) -> Arms:
    """Two arms measured side by side: drift shared within a block, noise of each arm its own."""
    drift = random.normal(0, 0.3, count)
    arms = random.normal(0, 0.05, (2, count))
    return true * np.exp(drift + arms[0]), np.exp(drift + arms[1])


def rate(hits: Callable[[np.random.Generator], bool]) -> float:
    random = np.random.default_rng(20250130)
    return sum(hits(random) for _ in range(TRIALS)) / TRIALS


def covers(interval: Interval, true: float) -> bool:
    assert interval.low is not None and interval.high is not None
    return interval.low <= true <= interval.high


# ---------------------------------------------------------------------------- intervals


def test_shared_drift_does_not_widen_a_paired_interval() -> None:
    random = np.random.default_rng(3)
    treatment, baseline = blocks(random, 2.0)
    drift = np.exp(random.normal(0, 2.0, len(baseline)))
    calm = inference.ratio(treatment, baseline, 0.95)
    drifting = inference.ratio(treatment * drift, baseline * drift, 0.95)
    assert drifting.low == pytest.approx(calm.low)
    assert drifting.high == pytest.approx(calm.high)


def decided_for(arms: Arms, direction: str, bar: float) -> bool:
    return inference.outcome(inference.ratio(*arms, 0.95), direction, bar) == "for"


@pytest.mark.parametrize(("direction", "bar"), [("above", 1.05), ("below", 0.95)])
def test_equal_arms_are_rarely_decided_for(direction: str, bar: float) -> None:
    assert rate(lambda random: decided_for(blocks(random, 1.0), direction, bar)) <= 0.05


@pytest.mark.parametrize(("direction", "bar"), [("above", 1.05), ("below", 0.95)])
def test_arms_exactly_at_the_bar_are_decided_either_way_at_most_at_the_nominal_rate(
    direction: str, bar: float
) -> None:
    most = 0.025 + 4 * math.sqrt(0.025 * 0.975 / TRIALS)
    assert rate(lambda random: decided_for(blocks(random, bar), direction, bar)) <= most


def test_a_real_effect_is_decided_for() -> None:
    assert rate(lambda random: decided_for(blocks(random, 1.5), "above", 1.05)) >= 0.95


positive = st.floats(min_value=1e-3, max_value=1e6)
pairs = st.lists(st.tuples(positive, positive), min_size=2, max_size=12)


@given(pairs)
def test_swapping_the_arms_gives_the_reciprocal(values: list[tuple[float, float]]) -> None:
    treatment, baseline = zip(*values, strict=True)
    one, other = (
        inference.ratio(treatment, baseline, 0.95),
        inference.ratio(baseline, treatment, 0.95),
    )
    # On the log scale: a wide interval of few blocks spans many orders of magnitude.
    assert math.log(one.estimate) == pytest.approx(-math.log(other.estimate), abs=1e-9)
    assert one.low is not None and other.high is not None
    if one.low > 0 and other.high < math.inf:
        assert math.log(one.low) == pytest.approx(-math.log(other.high), rel=1e-6, abs=1e-9)


@given(pairs, st.floats(min_value=1e-3, max_value=1e3))
def test_a_change_of_unit_changes_nothing(values: list[tuple[float, float]], unit: float) -> None:
    treatment, baseline = (np.asarray(arm) for arm in zip(*values, strict=True))
    one = inference.ratio(treatment, baseline, 0.95)
    other = inference.ratio(unit * treatment, unit * baseline, 0.95)
    assert other.estimate == pytest.approx(one.estimate)
    # Rounding of the logs can only widen an interval of identical blocks by as much as rounding.
    assert other.high == pytest.approx(one.high, rel=1e-6)


@given(pairs)
def test_the_interval_holds_the_estimate(values: list[tuple[float, float]]) -> None:
    found = inference.ratio(*zip(*values, strict=True), 0.95)
    assert found.low is not None and found.high is not None
    assert found.low <= found.estimate * (1 + 1e-9)
    assert found.estimate <= found.high * (1 + 1e-9)


@settings(max_examples=30)
@given(st.permutations(range(6)))
def test_the_order_of_the_blocks_does_not_matter_but_their_pairing_does(order: list[int]) -> None:
    treatment, baseline = blocks(np.random.default_rng(5), 1.3, 6)
    one = inference.ratio(treatment, baseline, 0.95)
    same = inference.ratio(treatment[order], baseline[order], 0.95)
    assert (same.low, same.high) == (pytest.approx(one.low), pytest.approx(one.high))
    torn = inference.ratio(treatment[order], baseline, 0.95)
    assert torn.estimate == pytest.approx(one.estimate)
    if order != sorted(order):
        assert torn.high != pytest.approx(one.high, rel=1e-6)


def test_known_interval_by_hand() -> None:
    # Logs of the ratios are 1, 2, 3: mean 2, standard error 1/sqrt(3), t(0.975, 2) = 4.30265.
    found = inference.ratio([math.e, math.e**2, math.e**3], [1, 1, 1], 0.95)
    half = 4.302652729911275 / math.sqrt(3)
    assert found.estimate == pytest.approx(math.e**2)
    assert found.low == pytest.approx(math.exp(2 - half))
    assert found.high == pytest.approx(math.exp(2 + half))
    assert found.blocks == 3


def test_an_amount_is_judged_on_the_log_scale_in_its_own_unit() -> None:
    found = inference.amount([1.0, math.e, math.e**2], 0.95)
    assert found.estimate == pytest.approx(math.e) and found.scale == "log"
    same = inference.ratio([1.0, math.e, math.e**2], [1, 1, 1], 0.95)
    assert (found.low, found.high) == (pytest.approx(same.low), pytest.approx(same.high))


@pytest.mark.parametrize("values", [[0.0, 1.0, 2.0], [-1.0, 1.0, 3.0]])
def test_an_amount_that_is_not_positive_is_judged_on_the_linear_scale(values: list[float]) -> None:
    found = inference.amount(values, 0.95)
    assert found.estimate == pytest.approx(1.0) and found.scale == "linear"
    assert found.low is not None and found.low < 0


def test_identical_blocks_are_certain_off_the_bar_and_on_it() -> None:
    found = inference.ratio([2.0, 4.0, 6.0], [1.0, 2.0, 3.0], 0.95)
    assert inference.p_value(found, 1.05, RULES) == 0.0
    assert inference.p_value(found, 2.0, RULES) == 1.0  # a rounding error off the bar is on it


def test_p_mirrors_with_the_arms_and_the_bar() -> None:
    one, other = blocks(np.random.default_rng(8), 1.1)
    p = inference.p_value(inference.ratio(one, other, 0.95), 1.05, RULES)
    assert p == pytest.approx(inference.p_value(inference.ratio(other, one, 0.95), 1 / 1.05, RULES))


def test_p_on_the_scale_of_shares_and_slopes() -> None:
    values = [0.8, 0.85, 0.9]
    logits = np.log(np.asarray(values) / (1 - np.asarray(values)))
    found = inference.p_value(inference.share(values, 0.95), 0.7, RULES)
    assert found == pytest.approx(stats.ttest_1samp(logits, math.log(0.7 / 0.3)).pvalue)
    fitted = inference.slope([[0.0, 0.1, 0.2], [0.3, 0.6, 0.4]], [1, math.e], 0.95)
    found = inference.p_value(fitted, 0.0, RULES)
    assert found == pytest.approx(stats.ttest_1samp([0.3, 0.5, 0.2], 0.0).pvalue)


def test_medians_must_leave_the_bar_by_more() -> None:
    one, other = (2.0, 1.9, 2.1, 7), (1.0, 0.95, 1.05, 7)
    found = inference.unpaired_ratio(one, other, 0.95)
    factor = inference.unpaired_factor(RULES)
    near = inference.p_value(found, 2.0 / factor, RULES)
    assert near == 1.0  # within the doubled margin there is no evidence at all
    p = inference.p_value(found, 1.8, RULES)
    paired = inference.Interval(**{**vars(found), "paired": True})
    assert p == pytest.approx(inference.p_value(paired, 1.8 * factor, RULES))


def test_one_block_gives_an_estimate_and_no_interval() -> None:
    for found in (
        inference.amount([3.0], 0.95),
        inference.ratio([4.0], [2.0], 0.95),
        inference.share([0.3], 0.95),
        inference.slope([[0.0], [math.log(2)]], [1, 2], 0.95),
    ):
        assert found.low is None and found.high is None and found.blocks == 1
        assert inference.p_value(found, 0.5, RULES) is None
    assert inference.ratio([4.0], [2.0], 0.95).estimate == pytest.approx(2.0)


def test_a_share_stays_between_none_and_all_and_covers_the_truth() -> None:
    extreme = inference.share([0.999, 1.0, 0.9], 0.95)
    assert extreme.low is not None and extreme.high is not None
    assert 0 < extreme.low < extreme.estimate < extreme.high <= 1
    true = 0.8
    centre = math.log(true / (1 - true))

    def hit(random: np.random.Generator) -> bool:
        values = 1 / (1 + np.exp(-random.normal(centre, 0.3, 5)))
        return covers(inference.share(values, 0.95), true)

    assert abs(rate(hit) - 0.95) <= TOLERANCE


def test_a_share_mirrors() -> None:
    values = np.asarray([0.2, 0.3, 0.27])
    one, other = inference.share(values, 0.95), inference.share(1 - values, 0.95)
    assert one.estimate == pytest.approx(1 - other.estimate)
    assert one.low == pytest.approx(1 - other.high)


def test_slope_finds_a_power_law_and_covers_it() -> None:
    positions = [64**2, 128**2, 256**2]
    exact = [[0.5 * math.log(x) + block for block in (0.0, 0.7, -0.3)] for x in positions]
    found = inference.slope(exact, positions, 0.95)
    assert found.estimate == pytest.approx(0.5)
    assert found.low == pytest.approx(0.5) and found.high == pytest.approx(0.5)

    def hit(random: np.random.Generator) -> bool:
        rows = 0.5 * np.log(positions)[:, None] + random.normal(0, 0.1, (3, 6))
        return covers(inference.slope(rows.tolist(), positions, 0.95), 0.5)

    assert abs(rate(hit) - 0.95) <= TOLERANCE


# ---------------------------------------------------------------------------- without samples


def summary(values: np.ndarray) -> tuple[float, float, float, int]:
    """What asv keeps of samples it does not record: median, quartiles, number."""
    low, middle, high = np.percentile(values, [25, 50, 75])
    return float(middle), float(low), float(high), len(values)


def width(interval: Interval) -> float:
    assert interval.low is not None and interval.high is not None
    return math.log(interval.high / interval.low)


def test_medians_give_wider_intervals_than_pairs_when_the_arms_share_drift() -> None:
    random = np.random.default_rng(7)
    for _ in range(200):
        arms = blocks(random, 2.0)
        paired = inference.ratio(*arms, 0.95)
        unpaired = inference.unpaired_ratio(summary(arms[0]), summary(arms[1]), 0.95)
        assert not unpaired.paired and paired.paired
        if width(unpaired) < width(paired):
            pytest.fail("results without samples claim more than those with samples")


@pytest.mark.parametrize("count", [5, 7, 15])
def test_intervals_from_medians_cover_the_truth(count: int) -> None:
    def hit(random: np.random.Generator) -> bool:
        arms = random.lognormal(0, 0.2, (2, count))
        return covers(inference.unpaired_ratio(summary(arms[0]), summary(arms[1]), 0.95), 1.0)

    assert rate(hit) >= 0.95 - TOLERANCE


def test_one_median_gives_no_interval() -> None:
    found = inference.unpaired_ratio((2.0, 2.0, 2.0, 1), (1.0, 1.0, 1.0, 1), 0.95)
    assert (found.estimate, found.low, found.high) == (2.0, None, None)


# ---------------------------------------------------------------------------- the rules


@pytest.mark.parametrize(
    ("low", "high", "direction", "bar", "expected"),
    [
        (1.06, 1.20, "above", 1.05, "for"),
        (1.05, 1.20, "above", 1.05, "unclear"),  # touching the margin is not beyond it
        (1.04, 1.20, "above", 1.05, "unclear"),
        (0.90, 1.20, "above", 1.05, "unclear"),
        (0.97, 1.03, "above", 1.05, "against"),  # inside the margin: no practical difference
        (0.60, 0.80, "above", 1.05, "against"),  # beyond it in the other direction
        (0.90, 1.05, "above", 1.05, "unclear"),
        (0.80, 0.94, "below", 0.95, "for"),
        (0.80, 0.95, "below", 0.95, "unclear"),
        (0.80, 0.96, "below", 0.95, "unclear"),
        (0.97, 1.03, "below", 0.95, "against"),
        (1.20, 1.40, "below", 0.95, "against"),
        (0.97, 1.04, "below", 1.05, "for"),  # "no more than 5 % slower"
        (11.0, 30.0, "above", 10.0, "for"),
        (2.0, 9.0, "above", 10.0, "against"),  # a claim's own bar: ten times
        (0.51, 0.70, "above", 0.5, "for"),
        (-0.2, -0.1, "above", 0.0, "against"),
        (math.nan, math.nan, "above", 1.05, "unclear"),
        (None, None, "above", 1.05, "unclear"),
        (None, None, "below", 0.95, "unclear"),
    ],
)
def test_outcome_of_a_cell(
    low: float | None, high: float | None, direction: str, bar: float, expected: Outcome
) -> None:
    assert inference.outcome(Interval(1.0, low, high, 5), direction, bar) == expected


@pytest.mark.parametrize(
    ("for_", "against", "unclear", "skipped", "expected"),
    [
        (0, 0, 0, 0, "not tested"),
        (0, 0, 0, 3, "not tested"),
        (1, 0, 0, 0, "supported"),
        (10, 0, 0, 5, "supported"),
        (8, 0, 2, 0, "supported"),  # exactly 80 % decided
        (4, 0, 1, 0, "supported"),
        (7, 0, 2, 0, "inconclusive"),  # 78 %
        (3, 0, 1, 0, "inconclusive"),
        (0, 0, 4, 0, "inconclusive"),
        (0, 1, 0, 0, "challenged"),
        (0, 8, 2, 0, "challenged"),
        (0, 7, 2, 0, "inconclusive"),
        (5, 5, 0, 0, "conditional"),
        (1, 9, 0, 0, "conditional"),
        (1, 1, 8, 0, "conditional"),
    ],
)
def test_verdict_of_a_claim(
    for_: int, against: int, unclear: int, skipped: int, expected: Verdict
) -> None:
    outcomes: list[Outcome] = ["for"] * for_ + ["against"] * against
    outcomes += ["unclear"] * unclear + ["skipped"] * skipped
    assert inference.verdict(outcomes, RULES) == expected


@given(st.lists(st.sampled_from(["for", "against", "unclear", "skipped"])), st.randoms())
def test_a_verdict_does_not_depend_on_the_order_of_cells(outcomes: list[Outcome], random) -> None:
    shuffled = list(outcomes)
    random.shuffle(shuffled)
    assert inference.verdict(shuffled, RULES) == inference.verdict(outcomes, RULES)


swap: dict[str, str] = {"for": "against", "against": "for", "supported": "challenged"}
swap["challenged"] = "supported"


@given(st.lists(st.sampled_from(["for", "against", "unclear", "skipped"])))
def test_verdicts_mirror(outcomes: list[Outcome]) -> None:
    mirrored = [swap.get(name, name) for name in outcomes]
    plain = inference.verdict(outcomes, RULES)
    assert inference.verdict(mirrored, RULES) == swap.get(plain, plain)  # type: ignore[arg-type]
