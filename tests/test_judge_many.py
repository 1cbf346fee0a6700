"""Many cells of a claim at once: families, and the rounds that are lacking."""

from __future__ import annotations

import math
from pathlib import Path

import pytest

from scripts.judging.correction import AT_THE_BAR
from scripts.judging.model import Reason
from scripts.report.study import load_study
from tests.claims_text import HEAD, RATIO, claim
from tests.judging import bench, first, items, outcomes, study, twice
from tests.synthetic_results import (
    Bench,
    write_results,
)

# ---------------------------------------------------------------------------- many cells at once


def scattered(estimate: float, spread: float, count: int = 6) -> list[float]:
    """Blocks whose logs have exactly this mean and standard deviation."""
    steps = [i - (count - 1) / 2 for i in range(count)]
    scale = math.sqrt(sum(step**2 for step in steps) / (count - 1))
    return [estimate * math.exp(spread * step / scale) for step in steps]


def against_one(ratios: dict[int, tuple[float, float]]) -> Bench:
    """Naive over preloaded by px: (ratio, spread of its log) for each."""
    return Bench(
        "item.ByImplementation.track_item",
        {"px": [*ratios], "impl": ["naive", "preloaded"]},
        lambda f: scattered(*ratios[f["px"]]) if f["impl"] == "naive" else [1.0] * 6,
    )


# 1.2 against 1.05 with this spread has t = 3.27 over six blocks: p = 0.022.
WEAK, STRONG, NULL = (1.2, 0.1), (2.0, 0.01), (1.05, 0.1)


def test_a_cell_that_is_decided_alone_is_not_among_many(tmp_path: Path) -> None:
    alone = first(tmp_path / "a", claim(RATIO), against_one({256: WEAK}))
    assert outcomes(alone) == {256: "for"} and alone.verdict == "supported"
    many = first(tmp_path / "b", claim(RATIO), against_one({256: WEAK, 1: NULL, 2: NULL, 3: NULL}))
    assert outcomes(many) == {256: "unclear", 1: "unclear", 2: "unclear", 3: "unclear"}
    weak = next(cell for cell in many.evidence if cell.factors["px"] == 256)
    assert weak.p == pytest.approx(0.022, abs=0.001) and weak.p_holm == pytest.approx(4 * weak.p)
    assert weak.reasons == (Reason("not after Holm", (4,)),)
    assert weak.low is not None and weak.low > 1.05  # what is shown is the nominal interval


def test_context_does_not_make_the_family_larger(tmp_path: Path) -> None:
    context = RATIO.replace("naive / preloaded", "context").replace("test.ratio", "test.context")
    text = RATIO.replace("benchmarks", "where = { px = [256] }\nbenchmarks") + context.replace(
        "benchmarks", "counts = false\nwhere = { px = [1, 2, 3] }\nbenchmarks"
    )
    found = first(tmp_path, claim(text), against_one({256: WEAK, 1: NULL, 2: NULL, 3: WEAK}))
    assert found.verdict == "supported"
    shown = [cell for cell in found.evidence if not cell.counts]
    assert [cell.p_holm for cell in shown] == [None] * 3
    assert shown[2].outcome == "for"  # at the nominal level: context is not corrected


def test_each_machine_is_a_family_of_its_own(tmp_path: Path) -> None:
    results = tmp_path / "results"
    for machine, ratios in (("one", {256: WEAK}), ("two", {256: NULL, 1: NULL, 2: NULL})):
        write_results(results, [against_one(ratios)], machine=machine)
    claims = tmp_path / "claims.toml"
    claims.write_text(HEAD + claim(RATIO))
    found = load_study([results], claims).claims[0]
    assert found.by_machine == {"one": "supported", "two": "inconclusive"}
    assert found.verdict == "inconclusive"
    assert (found.cells.for_, found.cells.unclear) == (1, 3)


def test_machines_that_agree_do_not_make_each_other_undecided(tmp_path: Path) -> None:
    results = tmp_path / "results"
    for number in range(8):
        write_results(results, [against_one({256: WEAK})], machine=f"machine-{number}")
    claims = tmp_path / "claims.toml"
    claims.write_text(HEAD + claim(RATIO))
    found = load_study([results], claims).claims[0]
    assert found.verdict == "supported" and found.cells.for_ == 8
    assert {cell.p_holm for cell in found.evidence} == {cell.p for cell in found.evidence}


def test_an_inconclusive_claim_names_the_rounds_it_lacks(tmp_path: Path) -> None:
    found = first(
        tmp_path,
        claim(RATIO),
        against_one({256: STRONG, 1: STRONG, 2: STRONG, 3: (1.2, 0.13), 4: NULL}),
    )
    (weak,) = (cell for cell in found.evidence if cell.factors["px"] == 3)
    (null,) = (cell for cell in found.evidence if cell.factors["px"] == 4)
    assert null.more_rounds is None and AT_THE_BAR in null.reasons
    assert weak.more_rounds is not None
    # Four of five cells are enough: the one at the bar may stay as it is.
    rounds = f"{weak.more_rounds} more round{'s'[: weak.more_rounds != 1]}"
    assert f"Measure {rounds} to decide enough of the others: " in found.missing
    assert f"`make study ROUNDS={6 + weak.more_rounds}`" in found.missing


def test_the_rounds_are_asked_of_the_profile_that_was_measured(tmp_path: Path) -> None:
    facts = {"profile": "standard"}
    weak = against_one({256: (1.2, 0.13)})
    assert "`make standard ROUNDS=" in first(tmp_path, claim(RATIO), weak, provenance=facts).missing


def test_cells_at_the_bar_are_not_promised_a_verdict(tmp_path: Path) -> None:
    found = first(tmp_path, claim(RATIO), against_one({256: STRONG, 1: NULL, 2: NULL}))
    assert found.verdict == "inconclusive" and "ROUNDS" not in found.missing
    assert "More rounds alone would not decide enough" in found.missing


def test_medians_are_sent_to_a_study_with_samples(tmp_path: Path) -> None:
    found = first(tmp_path, claim(RATIO), against_one({256: NULL}), sampled=False)
    assert found.verdict == "inconclusive" and "with samples: `make study`" in found.missing


def test_a_combination_that_two_sweeps_share_counts_once(tmp_path: Path) -> None:
    text = RATIO.replace('["item.ByImplementation"]', '["item.ByImplementation", "item.ByCount"]')
    other = bench(
        "item.ByCount.track_item", twice, px=[256, 512], impl=["naive", "preloaded"]
    )  # the table holds ByCount first: the order of the claim decides, not that of the table
    found = first(tmp_path, claim(text), items(twice), other)
    assert found.cells.total == found.cells.for_ == 3
    (again,) = (cell for cell in found.evidence if not cell.counts)
    assert (again.benchmark, again.factors["px"]) == ("item.ByCount.track_item", 256)
    elsewhere = "item.ByImplementation.track_item"
    assert again.reasons == (Reason("counts elsewhere", (elsewhere,)),)
    assert again.p_holm is None and again.estimate is not None


@pytest.mark.parametrize(
    ("recorded", "told"),
    [
        ("1" * 64, "were measured by the rules 111111111111, and are judged by the rules "),
        ("2" * 40, "were measured when claims.toml had the git hash 222222222222, and are judged"),
        ("same", ""),
        ("", ""),
    ],
)
def test_results_measured_under_other_rules_are_told_apart(
    tmp_path: Path, recorded: str, told: str
) -> None:
    cells = against_one({256: STRONG})
    rules = study(tmp_path / "a", claim(RATIO), cells).claims_hash
    facts = {"claims_hash": rules if recorded == "same" else recorded}
    reworded = claim(RATIO, title="Other words", finding="{headline}.")
    found = study(tmp_path / "b", reworded, cells, provenance=facts)
    notes = [note for note in found.notes if "were measured" in note]
    assert found.claims_hash == rules
    assert [told in note and f"by the rules {rules[:12]}." in note for note in notes] == (
        [True] if told else []
    )
    assert study(tmp_path / "c", claim(RATIO + "bar = 2\n"), cells).claims_hash != rules
