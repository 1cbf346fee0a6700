"""Missing evidence, medians only, the A/A gate, and the headline."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from scripts.judging.model import Outcome
from scripts.render_report import render
from scripts.report.reasons import in_words
from scripts.report.study import load_study
from tests.claims_text import EXACT, HEAD, RATIO, claim
from tests.judging import aa, bench, first, items, outcomes, study, twice
from tests.synthetic_results import (
    FAILED,
    SKIPPED,
    Bench,
    Noise,
    Value,
    write_results,
)

# ---------------------------------------------------------------------------- missing evidence


def test_nothing_measured_is_not_tested_and_says_what_is_missing(tmp_path: Path) -> None:
    found = first(tmp_path, claim(RATIO), aa())
    assert found.verdict == "not tested" and not found.finding and found.effect is None
    assert "item.ByImplementation" in found.missing


def test_a_tested_claim_says_what_it_was_judged_without(tmp_path: Path) -> None:
    other = RATIO.replace("ByImplementation", "AsFloat")
    floats, context = (
        other.replace("test.ratio", f"test.{name}").replace("naive / preloaded", f"naive / {name}")
        for name in ("floats", "context")
    )
    text = claim(RATIO + floats + context + "counts = false\n")
    found = study(tmp_path, text, items(twice), aa())
    assert found.claims[0].verdict == "supported"
    assert found.notes[-1] == "C01 is judged without “naive / floats”: not tested yet."


def test_a_study_of_which_no_cell_is_left_is_shown(tmp_path: Path) -> None:
    """As when other programs disturbed every measurement."""
    name, levels = "item.ByImplementation.track_item", {"px": [256], "impl": ["naive", "preloaded"]}
    found = study(tmp_path, claim(RATIO), Bench(name, levels, lambda _: SKIPPED))
    assert (tmp_path / "report" / "index.html") in render(found, tmp_path / "report")


def test_arms_that_all_failed_are_not_tested_and_say_why(tmp_path: Path) -> None:
    name, levels = "item.ByImplementation.track_item", {"px": [256], "impl": ["naive", "preloaded"]}
    found = first(
        tmp_path,
        claim(RATIO),
        Bench(name, levels, lambda f: SKIPPED if f["impl"] == "naive" else [1.0, 1.1]),
        observations=[
            {
                "benchmark": "item.ByImplementation",
                "factors": {"px": 256, "impl": "naive"},
                "skipped": "no such decoder",
            }
        ],
    )
    assert found.verdict == "not tested" and "no such decoder" in found.missing
    assert found.cells.skipped == 1


def test_a_claim_that_needs_more_says_what(tmp_path: Path) -> None:
    text = claim(headline="{}", finding="x") + 'needs = "a throttled disk"\n'
    found = first(tmp_path, text, items(twice))
    assert (found.verdict, found.missing) == ("not tested", "Needs a throttled disk.")


def test_one_block_is_unclear_never_decided(tmp_path: Path) -> None:
    name, levels = "item.ByImplementation.track_item", {"px": [256], "impl": ["naive", "preloaded"]}
    found = first(tmp_path, claim(RATIO), Bench(name, levels, lambda f: [100 * twice(f)]))
    assert [cell.outcome for cell in found.evidence] == ["unclear"]
    assert found.verdict == "inconclusive" and "Reasons: one block" in found.missing


def test_a_failed_partner_never_borrows_another_baseline(tmp_path: Path) -> None:
    def value(factors: dict[str, Any]) -> Value:
        if factors == {"px": 64, "impl": "preloaded"}:
            return FAILED
        return [twice(factors), 1.01 * twice(factors), 0.99 * twice(factors)]

    name, levels = (
        "item.ByImplementation.track_item",
        {"px": [64, 256], "impl": ["naive", "preloaded"]},
    )
    found = first(tmp_path, claim(RATIO), Bench(name, levels, value))
    assert outcomes(found) == {64: "unclear", 256: "for"}
    lost = next(cell for cell in found.evidence if cell.outcome == "unclear")
    assert lost.estimate is None and "failed" in in_words(lost.reasons)
    # A cell that failed stays in the denominator: one of two decided is not enough.
    assert found.verdict == "inconclusive"


# ---------------------------------------------------------------------------- without samples


def plain(tmp_path: Path, ratio: float, direction: str, bar: str = "") -> Outcome:
    text = RATIO + f'direction = "{direction}"\n{bar}'
    exact = Noise(spread=0.002, drift=0.002)
    found = first(
        tmp_path,
        claim(text),
        bench(
            "item.ByImplementation.track_item",
            lambda f: ratio if f["impl"] == "naive" else 1.0,
            exact,
            px=[256],
            impl=["naive", "preloaded"],
        ),
        sampled=False,
    )
    (cell,) = found.evidence
    assert in_words(cell.reasons) == "from medians, arms not paired"
    return cell.outcome


@pytest.mark.parametrize(
    ("ratio", "direction", "bar", "expected"),
    [
        (1.5, "above", "", "for"),
        (1.07, "above", "", "unclear"),  # beyond the margin, within the doubled one
        (0.8, "above", "", "against"),
        (0.7, "below", "", "for"),
        (0.93, "below", "", "unclear"),  # must not count against: it is below the margin
        (1.2, "below", "", "against"),
        (1.0, "below", "bar = 1.05", "unclear"),  # equal arms are not "more than 5 % slower"
        (0.9, "below", "bar = 1.05", "for"),
        (1.3, "below", "bar = 1.05", "against"),
    ],
)
def test_medians_decide_less_in_both_directions(
    tmp_path: Path, ratio: float, direction: str, bar: str, expected: Outcome
) -> None:
    assert plain(tmp_path, ratio, direction, bar) == expected


def test_results_without_samples_are_named_as_such(tmp_path: Path) -> None:
    found = study(tmp_path, claim(RATIO), items(twice), aa(), sampled=False)
    assert "no samples" in " ".join(found.notes)
    assert "No samples" in " ".join(found.machines[0].warnings)


# ---------------------------------------------------------------------------- the A/A gate


@pytest.mark.parametrize(
    ("alarms", "timed", "challenged"),
    [
        (0, "supported", "challenged"),
        (1, "supported", "challenged"),  # one in twenty: not more than 5 %
        (2, "inconclusive", "inconclusive"),
    ],
)
def test_the_gate_stops_verdicts_on_times_and_leaves_exact_ones(
    tmp_path: Path, alarms: int, timed: str, challenged: str
) -> None:
    found = study(
        tmp_path,
        claim(RATIO)
        + claim(RATIO + 'direction = "below"\n', identifier="C02")
        + claim(EXACT, identifier="C03", headline='{ phase = "epoch" }'),
        items(twice),
        aa(alarms),
        Bench("exact.FilesOpened.track_opened", {"phase": ["epoch"]}, lambda f: 0.0, "images"),
    )
    assert (found.noise.cells, found.noise.false_alarms) == (20, alarms)
    assert {cell.p_holm for cell in found.noise.evidence} == {None}  # the gate is a rate per cell
    assert found.noise.rate == pytest.approx(alarms / 20)
    assert [one.verdict for one in found.claims] == [timed, challenged, "supported"]
    assert ("A/A" in found.claims[0].missing) == (timed == "inconclusive")
    if alarms:
        assert found.noise.widest == pytest.approx(0.2, rel=0.1)


def test_alarms_count_in_both_directions(tmp_path: Path) -> None:
    faster = bench(
        "controls.Item.track_item",
        lambda f: 0.8 if f["impl"] == "naive-again" else 1.0,
        px=[1, 2],
        impl=["naive", "naive-again"],
    )
    found = study(tmp_path, claim(RATIO), items(twice), faster)
    assert (found.noise.cells, found.noise.false_alarms, found.noise.rate) == (2, 2, 1.0)


def test_without_control_arms_the_noise_floor_is_unknown_and_said_so(tmp_path: Path) -> None:
    found = study(tmp_path, claim(RATIO), items(twice))
    assert (found.noise.cells, found.noise.rate) == (0, None)
    assert "noise floor is unknown" in " ".join(found.notes)


def test_a_noisy_machine_gates_itself_and_not_its_quiet_neighbour(tmp_path: Path) -> None:
    results = tmp_path / "results"
    write_results(results, [items(twice), aa(2)], machine="noisy")
    # Together four alarms in eighty would pass the gate; the noisy session alone does not.
    for name in ("quiet", "silent", "still"):
        write_results(results, [items(twice), aa(0)], machine=name)
    claims = tmp_path / "claims.toml"
    claims.write_text(HEAD + claim(RATIO))
    found = load_study([results], claims)
    assert found.noise.rate == pytest.approx(2 / 80)
    assert found.claims[0].by_machine == {
        "noisy": "inconclusive",
        "quiet": "supported",
        "silent": "supported",
        "still": "supported",
    }
    assert found.claims[0].verdict == "inconclusive" and "noisy" in found.claims[0].missing


# ---------------------------------------------------------------------------- the headline


def test_the_headline_is_the_cell_named_and_at_the_centre_otherwise(tmp_path: Path) -> None:
    def times(factors: dict[str, Any]) -> float:
        if factors["impl"] == "preloaded":
            return 1.0
        scale = {"ramdisk": 2, "disk-warm": 3, "disk-cold": 5}[factors["medium"]]
        return scale * factors["px"]

    found = first(
        tmp_path,
        claim(RATIO),
        items(times, px=[64, 256, 128], medium=["ramdisk", "disk-cold", "disk-warm"]),
    )
    assert found.effect is not None
    assert found.effect.factors == {"px": 256, "medium": "disk-warm", "impl": "naive"}
    assert found.effect.estimate == pytest.approx(768, rel=0.02)
    assert found.effect.arms == ["naive", "preloaded"]


def test_a_headline_that_was_not_measured_is_absent_not_replaced(tmp_path: Path) -> None:
    found = first(tmp_path, claim(RATIO, headline="{ px = 999 }"), items(twice))
    assert found.effect is None and found.verdict == "supported"
