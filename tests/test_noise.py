"""A/A arms: any factor may have a second name, and every benchmark family has a pair."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from scripts.judging.claims import Rules
from scripts.judging.model import Noise as Floor
from scripts.judging.noise import noise_floor, noisy_machines
from tests.synthetic_results import (
    SKIPPED,
    Bench,
    Noise,
    Value,
    load_evidence,
    whole_suite,
    write_results,
)

RULES = Rules(margin=0.05, confidence=0.95, decided_share=0.8, false_alarm_gate=0.05)


def floor(tmp_path: Path, *benches: Bench, sampled: bool = True) -> Floor:
    write_results(tmp_path, benches, sampled=sampled)
    return noise_floor(load_evidence([tmp_path]).cells, RULES)


def pair(name: str, factor: str, level: str, times: float = 1.0, **levels: list[Any]) -> Bench:
    """Two arms, the second taking `times` as long as the first."""
    around = Noise()

    def value(factors: dict[str, Any]) -> Value:
        return around.around(times if factors[factor].endswith("-again") else 1.0)

    return Bench(name, {**levels, factor: [level, f"{level}-again"]}, value)


@pytest.mark.parametrize(
    ("name", "factor", "level"),
    [
        ("controls.Item.track_item", "impl", "naive"),
        ("controls.Loop.track_epoch", "loop", "tuned"),
        ("controls.Access.track_access", "structure", "numpy"),
        ("controls.Transport.track_transport", "carrier", "tensor"),
    ],
)
def test_any_factor_may_have_a_second_arm(
    name: str, factor: str, level: str, tmp_path: Path
) -> None:
    noise = floor(tmp_path, pair(name, factor, level, 1.3, n=[64, 256]))
    assert (noise.cells, noise.false_alarms, noise.rate) == (2, 2, 1.0)
    assert noise.widest == pytest.approx(0.3, abs=0.02)
    for cell in noise.evidence:
        assert (cell.treatment, cell.baseline) == (f"{level}-again", level)
        assert cell.benchmark == name
    assert noisy_machines(noise, RULES) == {"lab"}


def test_equal_arms_raise_no_alarm(tmp_path: Path) -> None:
    noise = floor(tmp_path, pair("controls.Loop.track_epoch", "loop", "tuned"))
    assert (noise.cells, noise.false_alarms, noise.rate) == (1, 0, 0.0)
    assert noise.evidence[0].outcome == "for" and not noisy_machines(noise, RULES)


def test_shares_are_compared_as_ratios(tmp_path: Path) -> None:
    noise = floor(tmp_path, pair("controls.Stall.track_stall", "impl", "naive", 0.8))
    assert noise.evidence[0].estimate == pytest.approx(0.8, abs=0.02)
    assert noise.false_alarms == 1


def test_second_names_elsewhere_are_no_controls(tmp_path: Path) -> None:
    noise = floor(tmp_path, pair("loader.ByLoop.track_epoch", "loop", "tuned", 2.0))
    assert (noise.cells, noise.rate, noise.evidence) == (0, None, [])


def test_an_arm_that_was_skipped_is_not_counted(tmp_path: Path) -> None:
    absent = Bench(
        "controls.Throttled.track_epoch", {"impl": ["naive", "naive-again"]}, lambda _: SKIPPED
    )
    noise = floor(tmp_path, absent, pair("controls.Loop.track_epoch", "loop", "tuned"))
    assert noise.cells == 1


def test_pairs_of_one_benchmark_are_not_mixed(tmp_path: Path) -> None:
    """A slow implementation's second arm is held against itself alone."""
    around, slow = Noise(), {"naive": 50.0, "mapped": 1.0}
    noise = floor(
        tmp_path,
        Bench(
            "controls.Epoch.track_epoch",
            {"impl": ["naive", "naive-again", "mapped", "mapped-again"]},
            lambda f: around.around(slow[f["impl"].removesuffix("-again")]),
        ),
    )
    assert (noise.cells, noise.false_alarms) == (2, 0)


def test_every_family_of_benchmarks_has_a_pair_that_is_judged(tmp_path: Path) -> None:
    """Each metric but the exact ones, which have no noise."""
    around = Noise()
    benches = whole_suite(lambda name, factors: around.around(10.0))
    noise = floor(tmp_path, *benches)
    judged = {cell.benchmark for cell in noise.evidence}
    controls = {bench.name for bench in benches if bench.name.startswith("controls.")}
    controls |= {f"arms.{task.title()}.track_{task}" for task in ("decode", "raw", "train")}
    controls |= {"remote.OverALine.track_remote"}
    assert judged == controls
    assert noise.cells == sum(
        len([level for level in [*bench.levels.values()][-1] if level.endswith("-again")])
        * _product(bench)
        for bench in benches
        if bench.name in controls
    )
    covered = {name.rpartition(".track_")[2] for name in controls}
    assert {"epoch", "item", "first_batch", "construction"} <= covered
    assert {"access", "transport", "stall", "tree"} <= covered


def _product(bench: Bench) -> int:
    """Combinations of all factors but the last, which holds the arms."""
    count = 1
    for levels in [*bench.levels.values()][:-1]:
        count *= len(levels)
    return count
