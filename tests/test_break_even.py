"""Break-even epochs on known numbers, with the ends at zero and at infinity."""

from __future__ import annotations

import math

import numpy as np
import pytest

from scripts.judging import inference
from scripts.judging.break_even import BreakEven, Costs, break_even

BLOCKS = 6
DRIFT = np.exp(np.random.default_rng(4).normal(0, 0.2, BLOCKS))  # shared by all times of a block


def costs(construction: float, epoch: float, spread: float = 0.0, seed: int = 1) -> Costs:
    random = np.random.default_rng(seed)
    noise = np.exp(random.normal(0, spread, (2, BLOCKS)))
    return Costs(construction * DRIFT * noise[0], epoch * DRIFT * noise[1])


def found(dear: Costs, cheap: Costs, bar: float = 3.0) -> BreakEven:
    return break_even(dear, cheap, bar, 0.95)


def decided(result: BreakEven) -> str:
    """Against the bar, in the direction "below"."""
    return inference.outcome(result.decision, "below", 1.0)


@pytest.mark.parametrize(
    ("construction", "saved", "epochs"),
    [(1000.0, 500.0, 2.0), (1000.0, 100.0, 10.0), (70.0, 700.0, 0.1)],
)
def test_known_numbers(construction: float, saved: float, epochs: float) -> None:
    result = found(costs(construction + 5, 20), costs(5, 20 + saved))
    assert result.epochs.estimate == pytest.approx(epochs)
    # Drift of a whole block scales every time alike: the ratio is the same in every block.
    assert result.epochs.low == pytest.approx(epochs, rel=1e-9)
    assert result.epochs.high == pytest.approx(epochs, rel=1e-9)
    assert (result.epochs.blocks, result.reading) == (BLOCKS, "")
    assert decided(result) == ("for" if epochs < 3 else "against")


def test_totals_are_equal_at_the_estimate() -> None:
    dear, cheap = costs(1000, 20, 0.05, 1), costs(10, 300, 0.05, 2)
    epochs = found(dear, cheap).epochs.estimate
    assert dear.total(epochs).mean() == pytest.approx(cheap.total(epochs).mean())


def test_the_interval_holds_the_estimate_and_is_the_same_in_every_run() -> None:
    one, two = (found(costs(1000, 20, 0.05, 1), costs(10, 300, 0.05, 2)).epochs for _ in range(2))
    assert one == two
    assert one.low is not None and one.high is not None
    assert one.low < one.estimate < one.high


def test_pairing_within_blocks_narrows_the_interval() -> None:
    dear, cheap = costs(1000, 20, 0.01, 1), costs(10, 300, 0.01, 2)
    torn = Costs(cheap.construction[::-1], cheap.epoch[::-1])
    paired, unpaired = found(dear, cheap).epochs, found(dear, torn).epochs
    assert paired.low is not None and paired.high is not None
    assert unpaired.low is not None and unpaired.high is not None
    assert paired.high - paired.low < 0.5 * (unpaired.high - unpaired.low)


def test_an_epoch_that_saves_nothing_never_pays() -> None:
    result = found(costs(1000, 300, 0.01, 1), costs(10, 200, 0.01, 2))
    assert math.isinf(result.epochs.estimate) and result.reading == "never pays"
    assert (result.epochs.low, result.epochs.high) == (None, None)
    assert decided(result) == "against"
    assert decided(found(costs(1000, 300, 0.01, 1), costs(10, 200, 0.01, 2), bar=1e6)) == "against"


def test_a_construction_that_costs_nothing_pays_at_once() -> None:
    result = found(costs(10, 100, 0.01, 1), costs(500, 300, 0.01, 2))
    assert (result.epochs.estimate, result.epochs.low) == (0.0, 0.0)
    assert result.reading == "pays at once" and decided(result) == "for"


def test_cheaper_to_construct_and_slower_in_each_epoch_is_ahead_only_at_first() -> None:
    result = found(costs(10, 300, 0.01, 1), costs(1000, 200, 0.01, 2))
    assert result.reading == "never pays" and decided(result) == "against"


def test_a_saving_within_the_noise_leaves_the_interval_open_above() -> None:
    dear = Costs(np.full(BLOCKS, 100.0), np.asarray([90.0, 112, 95, 104, 92, 101]))
    cheap = Costs(np.full(BLOCKS, 10.0), np.full(BLOCKS, 101.0))
    result = found(dear, cheap)
    assert math.isfinite(result.epochs.estimate)
    assert result.epochs.low is not None and result.epochs.high is None
    assert decided(found(dear, cheap, bar=40.0)) == "unclear"


def test_no_saving_seen_is_not_called_never() -> None:
    dear = Costs(np.full(BLOCKS, 12.0), np.asarray([90.0, 112, 95, 110, 99, 101]))
    result = found(dear, Costs(np.full(BLOCKS, 10.0), np.full(BLOCKS, 101.0)))
    assert math.isinf(result.epochs.estimate) and result.reading == "no saving seen"
    assert decided(result) == "unclear"


def test_one_block_gives_an_estimate_and_no_interval() -> None:
    one = [Costs(np.asarray([c]), np.asarray([t])) for c, t in ((1000.0, 20.0), (10.0, 350.0))]
    result = found(*one)
    assert result.epochs.estimate == pytest.approx(3.0)
    assert (result.epochs.low, result.epochs.high) == (None, None)
    assert decided(result) == "unclear"
