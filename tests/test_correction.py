"""Holm's step down on known numbers, what it leaves alone, and the rounds that are lacking."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from datasets_impl.observe.log import SPARSE
from scripts.judging.claims import Rules
from scripts.judging.correction import (
    AT_THE_BAR,
    MOST_MORE,
    corrected,
    holm,
    in_rounds,
    more_rounds,
)
from scripts.judging.model import UNPAIRED, Cell, Reason

RULES = Rules(margin=0.05, confidence=0.95, decided_share=0.8, false_alarm_gate=0.05)
chances = st.lists(st.floats(min_value=0, max_value=1), min_size=1, max_size=30)


def cell(p: float | None, **more: Any) -> Cell:
    """A cell that is decided for the claim where p alone would."""
    outcome = "for" if p is not None and p < 0.05 else "unclear"
    base = Cell("t", "ratio", {}, 1.5, 1.2, 1.9, outcome, 6, "b.B.track_b", "lab", p=p)
    return replace(base, **more)


@pytest.mark.parametrize(
    ("given_", "expected"),
    [
        ([0.03], [0.03]),
        ([0.01, 0.04, 0.03], [0.03, 0.06, 0.06]),  # 3 x 0.01, then 2 x 0.03, then no less than that
        ([0.02, 0.01], [0.02, 0.02]),
        ([0.5, 0.6], [1.0, 1.0]),  # never above one
        ([0.0, 0.0, 0.04], [0.0, 0.0, 0.04]),
        ([], []),
    ],
)
def test_known_adjustments(given_: list[float], expected: list[float]) -> None:
    assert holm(given_) == pytest.approx(expected)


@given(chances, st.randoms())
def test_an_adjustment_follows_its_cell_and_keeps_the_order(p: list[float], random: Any) -> None:
    adjusted = holm(p)
    for one, other in zip(p, adjusted, strict=True):
        assert one <= other + 1e-12 and other <= min(1.0, len(p) * one + 1e-12)
    order = list(range(len(p)))
    random.shuffle(order)
    assert holm([p[i] for i in order]) == pytest.approx([adjusted[i] for i in order])
    ranked = [value for _, value in sorted(zip(p, adjusted, strict=True))]
    assert ranked == sorted(ranked)


def test_one_of_many_is_no_longer_decided_and_says_so() -> None:
    found = corrected([cell(0.02), *(cell(p) for p in (0.3, 0.5, 0.7))], RULES)
    assert [one.outcome for one in found] == ["unclear"] * 4
    assert found[0].reasons == (Reason("not after Holm", (4,)),)
    assert found[0].p == 0.02 and found[0].p_holm == pytest.approx(0.08)
    assert found[0].more_rounds is not None and found[0].more_rounds > 0
    assert (found[0].low, found[0].high) == (1.2, 1.9)  # what is shown stays the nominal interval


def test_one_cell_alone_is_judged_as_before() -> None:
    (found,) = corrected([cell(0.04)], RULES)
    assert (found.outcome, found.p_holm, found.reasons, found.more_rounds) == (
        "for",
        0.04,
        (),
        None,
    )


def test_steps_down_where_bonferroni_would_not() -> None:
    found = corrected([cell(0.001), cell(0.02), cell(0.03)], RULES)
    assert [one.outcome for one in found] == ["for", "for", "for"]


def test_context_exact_and_lost_cells_are_no_part_of_the_family() -> None:
    others = [
        cell(0.9, counts=False, outcome="unclear"),
        cell(None, quantity="value", outcome="for"),
        cell(None, estimate=None, outcome="skipped"),
        cell(None, estimate=None, outcome="unclear", reasons=(Reason("logged", ("failed",)),)),
    ]
    found = corrected([cell(0.03), *others], RULES)
    assert found[1:] == others
    assert found[0].outcome == "for" and found[0].p_holm == pytest.approx(0.03)


def test_medians_need_samples_not_rounds() -> None:
    (found,) = corrected([cell(0.3, reasons=(UNPAIRED,))], RULES)
    assert found.outcome == "unclear" and found.more_rounds is None and found.reasons == (UNPAIRED,)


def test_a_cell_at_the_bar_is_said_to_sit_there() -> None:
    (found,) = corrected([cell(1.0)], RULES)
    assert found.more_rounds is None and found.reasons == (AT_THE_BAR,)


@pytest.mark.parametrize(
    ("rounds", "blocks", "more", "expected"),
    [
        pytest.param(5, 5, 3, 3, id="every round"),
        pytest.param(7, 3, 1, 3, id="every third round, the next is the tenth"),
        pytest.param(4, 2, 1, 3, id="every third round, the next is the seventh"),
        pytest.param(6, 2, 1, 1, id="every third round, the next follows"),
        pytest.param(7, 3, 2, 6, id="every third round, five blocks take thirteen"),
        pytest.param(5, 5, 0, 0, id="nothing lacks"),
    ],
)
def test_blocks_of_slow_benchmarks_take_three_rounds(
    rounds: int, blocks: int, more: int, expected: int
) -> None:
    one = replace(cell(0.2), blocks=blocks, more_rounds=more)
    (found,) = in_rounds([one], {(one.machine, one.benchmark): rounds})
    assert found.more_rounds == expected
    assert -(-(rounds + expected) // (1 if blocks == rounds else SPARSE)) >= blocks + more


def test_a_block_of_what_runs_in_every_second_round_takes_two() -> None:
    """Four blocks of seven rounds (1, 3, 5, 7): the next one comes with the ninth."""
    one = replace(cell(0.2), blocks=4, more_rounds=1)
    assert in_rounds([one], {(one.machine, one.benchmark): 7})[0].more_rounds == 2


def test_more_rounds_by_hand() -> None:
    # The effect is one standard deviation: t = sqrt(6) over six blocks.
    blocks, effect = 6, 1.0
    p = 2 * stats.t.sf(effect * math.sqrt(blocks), blocks - 1)
    found = more_rounds(p, blocks, 0.05)
    assert found is not None

    def power(count: int) -> float:
        bar = stats.t.isf(0.025, count - 1)
        return float(stats.nct.sf(bar, count - 1, effect * math.sqrt(count)))

    # Textbook value: ten blocks for an effect of one standard deviation, 5 %, 80 %.
    assert blocks + found == 10
    assert power(blocks + found) >= 0.8 > power(blocks + found - 1)


def test_that_many_rounds_do_decide_in_four_of_five_simulations() -> None:
    effect, blocks, level = 0.7, 6, 0.01
    p = 2 * stats.t.sf(effect * math.sqrt(blocks), blocks - 1)
    more = more_rounds(float(p), blocks, level)
    assert more is not None
    random = np.random.default_rng(3)
    data = random.normal(effect, 1, (4000, blocks + more))
    decided = float(np.mean(stats.ttest_1samp(data, 0, axis=1).pvalue < level))
    assert 0.78 < decided < 0.85


@given(st.floats(min_value=1e-9, max_value=1), st.integers(2, 20), st.floats(0.001, 0.05))
def test_more_rounds_are_within_bounds_and_grow_with_strictness(
    p: float, blocks: int, level: float
) -> None:
    found, stricter = more_rounds(p, blocks, level), more_rounds(p, blocks, level / 10)
    assert found is None or 0 <= found <= MOST_MORE
    assert (found == 0) == (p < level)
    if stricter is not None:
        assert found is not None and found <= stricter


@given(st.lists(st.floats(min_value=1e-6, max_value=1), min_size=1, max_size=12))
def test_a_cell_needs_no_fewer_rounds_than_those_decided_before_it(p: list[float]) -> None:
    found = corrected([cell(one) for one in p], RULES)
    unclear = sorted((one for one in found if one.outcome == "unclear"), key=lambda c: c.p or 0)
    lacking = [math.inf if c.more_rounds is None else c.more_rounds for c in unclear]
    assert lacking == sorted(lacking)
    assert all(rounds > 0 for rounds in lacking)
    assert all(one.more_rounds is None for one in found if one.outcome != "unclear")
