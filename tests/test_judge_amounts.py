"""Amounts and break-even epochs, by hand."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import pytest

from scripts.judging.model import Bar
from scripts.report.reasons import in_words
from tests.claims_text import claim
from tests.judging import bench, first
from tests.synthetic_results import (
    FAILED,
    Bench,
    Noise,
)

# ---------------------------------------------------------------------------- amounts, break-even

AMOUNT = """
[claim.test.amount]
label = "copies"
kind = "amount"
metric = "copies"
benchmarks = ["memory.ByWorkers"]
direction = "above"
bar = 2.0
unit = "copies"
"""


def test_an_amount_is_judged_in_its_own_unit(tmp_path: Path) -> None:
    found = first(
        tmp_path,
        claim(AMOUNT),
        bench(
            "memory.ByWorkers.track_copies",
            lambda f: {"fork": 1.0, "spawn": 5.0}[f["start_method"]],
            Noise(drift=0.02),
            px=[256],
            start_method=["fork", "spawn"],
            impl=["preloaded"],
        ),
    )
    fork, spawn = found.evidence
    assert (fork.outcome, spawn.outcome) == ("against", "for")
    assert spawn.quantity == "amount" and spawn.unit == "copies" and spawn.bar == Bar(">", 2)
    assert spawn.estimate == pytest.approx(5, rel=0.05)
    assert found.effect is not None and found.effect.unit == "copies"
    assert "copies [" in found.finding and "to" in found.finding


def test_an_amount_from_medians_has_a_wider_bar(tmp_path: Path) -> None:
    found = first(
        tmp_path,
        claim(AMOUNT),
        bench(
            "memory.ByWorkers.track_copies",
            lambda f: {"fork": 2.05, "spawn": 3.0}[f["start_method"]],
            Noise(spread=0.001, drift=0.001),
            px=[256],
            start_method=["fork", "spawn"],
            impl=["preloaded"],
        ),
        sampled=False,
    )
    assert [cell.outcome for cell in found.evidence] == ["unclear", "for"]


BREAK_EVEN = """
[claim.test.break-even]
label = "pays"
kind = "break-even"
metric = "epoch"
construction = ["startup.Construction"]
benchmarks = ["epoch.ByWorkers"]
treatment = { impl = "*" }
baseline = { impl = "naive" }
direction = "below"
bar = 3
unit = "epochs"
"""
MADE = {"naive": 10.0, "preloaded": 1010.0, "mapped": 4010.0, "slow": 1010.0}  # milliseconds
ARMS = [*MADE]


def epoch_time(factors: dict[str, Any]) -> float:
    """Microseconds an image: of 1000 images, an epoch takes as many milliseconds."""
    naive = 520.0 / (1 + factors["workers"])
    return {"naive": naive, "slow": 2 * naive}.get(factors["impl"], 20.0)


def constructions(**levels: list[Any]) -> Bench:
    chosen = {"n": [1000], "px": [256], "impl": ARMS} | levels
    return bench(
        "startup.Construction.track_construction",
        lambda f: MADE[f["impl"]],
        Noise(drift=0),
        "ms",
        **chosen,
    )


def epochs(**levels: list[Any]) -> Bench:
    chosen = {"n": [1000], "px": [256], "workers": [0, 1], "impl": ARMS} | levels
    return bench("epoch.ByWorkers.track_epoch", epoch_time, Noise(drift=0), **chosen)


def test_break_even_epochs_by_hand(tmp_path: Path) -> None:
    text = claim(BREAK_EVEN, headline='{ impl = "preloaded", workers = 0 }')
    found = first(tmp_path, text, constructions(), epochs())
    cells = {(c.factors["impl"], c.factors["workers"]): c for c in found.evidence}
    assert len(cells) == 6 and {c.baseline for c in cells.values()} == {"naive"}
    # 1000 ms more to construct, 500 ms less an epoch, 240 with one worker.
    expected = {
        ("preloaded", 0): (1000 / 500, "for"),
        ("preloaded", 1): (1000 / 240, "against"),
        ("mapped", 0): (4000 / 500, "against"),
        ("mapped", 1): (4000 / 240, "against"),
    }
    for place, (value, outcome) in expected.items():
        assert cells[place].estimate == pytest.approx(value, rel=0.03), place
        assert (cells[place].outcome, cells[place].unit) == (outcome, "epochs"), place
        assert cells[place].bar == Bar("<", 3) and cells[place].p_holm is not None
    for workers in (0, 1):
        never = cells["slow", workers]
        assert never.estimate == math.inf and never.reading == "never pays"
        assert never.outcome == "against"
    assert found.verdict == "conditional" and "or never" in found.finding
    assert found.effect is not None and found.effect.unit == "epochs"
    assert "2.0" in found.finding.partition(" and ")[0]
    assert "construction" in found.effect.metric


def test_break_even_without_its_construction_is_skipped_and_says_why(tmp_path: Path) -> None:
    text = claim(BREAK_EVEN, headline='{ impl = "preloaded" }')
    found = first(tmp_path, text, constructions(px=[64]), epochs())
    assert {cell.outcome for cell in found.evidence} == {"skipped"}
    assert "construction was not measured" in found.missing


def test_break_even_takes_the_construction_of_the_same_count_and_size(tmp_path: Path) -> None:
    made = bench(
        "startup.Construction.track_construction",
        lambda f: 10.0 if f["impl"] == "naive" else f["n"] + 10.0,
        Noise(drift=0),
        "ms",
        n=[500, 1000],
        px=[64, 256],
        impl=["naive", "preloaded"],
    )
    text = claim(BREAK_EVEN, headline='{ impl = "preloaded" }')
    found = first(
        tmp_path, text, made, epochs(n=[1000, 500], workers=[0], impl=["naive", "preloaded"])
    )
    estimates = {cell.factors["n"]: cell.estimate for cell in found.evidence}
    # An epoch over half the images saves half as much: both pay after two epochs.
    assert estimates == {500: pytest.approx(2, rel=0.03), 1000: pytest.approx(2, rel=0.03)}


def test_break_even_of_a_failed_construction_stays_undecided(tmp_path: Path) -> None:
    made = Bench(
        "startup.Construction.track_construction",
        {"n": [1000], "px": [256], "impl": ARMS},
        lambda f: FAILED if f["impl"] == "mapped" else [MADE[f["impl"]]] * 6,
        "ms",
    )
    text = claim(BREAK_EVEN, headline='{ impl = "preloaded" }')
    found = first(tmp_path, text, made, epochs(workers=[0]))
    lost = next(cell for cell in found.evidence if cell.factors["impl"] == "mapped")
    assert (
        lost.outcome == "unclear" and lost.estimate is None and "failed" in in_words(lost.reasons)
    )


def test_break_even_from_medians_has_no_interval(tmp_path: Path) -> None:
    text = claim(BREAK_EVEN, headline='{ impl = "preloaded" }')
    found = first(tmp_path, text, constructions(), epochs(workers=[0]), sampled=False)
    assert {cell.outcome for cell in found.evidence} == {"unclear"}
    assert next(c for c in found.evidence if c.factors["impl"] == "preloaded").low is None
