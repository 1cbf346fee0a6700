"""Known numbers in, the right verdicts out: pairing, outcomes, the A/A gate, words."""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from scripts.claims import load_claims
from scripts.judge import load_study
from scripts.model import ClaimResult, Outcome, Study
from scripts.root import CLAIMS
from tests.claims_text import HEAD, claim
from tests.synthetic_results import (
    FAILED,
    SKIPPED,
    Bench,
    Noise,
    Value,
    whole_suite,
    write_results,
)

RATIO = """
[[claim.test]]
label = "naive / preloaded"
kind = "ratio"
metric = "item"
benchmarks = ["item.ByImplementation"]
treatment = { impl = "naive" }
baseline = { impl = "preloaded" }
"""

Times = Callable[[dict[str, Any]], float]


def bench(
    name: str,
    times: Times,
    noise: Noise | None = None,
    unit: str = "us",
    **levels: list[Any],
) -> Bench:
    """A benchmark whose cells scatter around `times(factors)`."""
    around = noise or Noise()
    return Bench(name, levels, lambda factors: around.around(times(factors)), unit)


def aa(alarms: int = 0, machine_seed: int = 2) -> Bench:
    """Twenty A/A pairs; `alarms` of them differ by a fifth."""
    sizes = list(range(20))
    return bench(
        "controls.Item.track_item",
        lambda f: 1.2 if f["px"] < alarms and f["impl"] == "naive-again" else 1.0,
        Noise(seed=machine_seed),
        px=sizes,
        impl=["naive", "naive-again"],
    )


def study(tmp_path: Path, text: str, *benches: Bench, **options: Any) -> Study:
    write_results(tmp_path / "results", benches, **options)
    claims = tmp_path / "claims.toml"
    claims.write_text(HEAD + text)
    return load_study([tmp_path / "results"], claims)


def first(tmp_path: Path, text: str, *benches: Bench, **options: Any) -> ClaimResult:
    return study(tmp_path, text, *benches, **options).claims[0]


def items(times: Times, **levels: list[Any]) -> Bench:
    chosen = {"px": [64, 256], "impl": ["naive", "preloaded"]} | levels
    return bench("item.ByImplementation.track_item", times, **chosen)


def twice(factors: dict[str, Any]) -> float:
    return 2.0 if factors["impl"] == "naive" else 1.0


def outcomes(result: ClaimResult) -> dict[Any, Outcome]:
    return {cell.factors["px"]: cell.outcome for cell in result.evidence}


# ---------------------------------------------------------------------------- outcomes


@pytest.mark.parametrize(
    ("ratio", "direction", "verdict"),
    [
        (2.0, "above", "supported"),
        (1.0, "above", "challenged"),
        (1.03, "above", "challenged"),  # inside the margin
        (0.5, "above", "challenged"),
        (0.5, "below", "supported"),
        (0.97, "below", "challenged"),
        (2.0, "below", "challenged"),
    ],
)
def test_a_known_ratio_gives_its_verdict(
    tmp_path: Path, ratio: float, direction: str, verdict: str
) -> None:
    found = first(
        tmp_path,
        claim(RATIO + f'direction = "{direction}"\n'),
        items(lambda f: 7.0 * (ratio if f["impl"] == "naive" else 1.0)),
    )
    assert found.verdict == verdict
    assert found.by_machine == {"lab": verdict}
    for cell in found.evidence:
        assert cell.estimate == pytest.approx(ratio, rel=0.02)
        assert cell.low is not None and cell.low < cell.estimate < (cell.high or 0)
        assert (cell.treatment, cell.baseline, cell.blocks) == ("naive", "preloaded", 6)


def test_every_cell_is_compared_with_its_own_baseline(tmp_path: Path) -> None:
    # Each benchmark, size and medium has times of its own; a wrong partner gives a wrong ratio.
    def times(factors: dict[str, Any]) -> float:
        base = factors["px"] * (1 if factors["medium"] == "ramdisk" else 31)
        return base * {"naive": 3.0, "preloaded": 1.0, "mapped": 77.0}[factors["impl"]]

    levels = {"medium": ["ramdisk", "disk"], "impl": ["mapped", "preloaded", "naive"]}
    other = bench("item.ByCount.track_item", lambda f: 5 * times(f), px=[256, 512, 64], **levels)
    text = RATIO.replace('["item.ByImplementation"]', '["item.ByImplementation", "item.ByCount"]')
    found = first(tmp_path, claim(text), items(times, px=[64, 256], **levels), other)
    assert len(found.evidence) == 4 + 6
    for cell in found.evidence:
        assert cell.estimate == pytest.approx(3.0, rel=0.02), cell.factors
    places = [(cell.benchmark, *sorted(cell.factors.items())) for cell in found.evidence]
    assert len(set(places)) == len(places)


def test_machines_are_never_compared_with_each_other(tmp_path: Path) -> None:
    for name, slow in (("one", 1.0), ("two", 50.0), ("three", 7.0)):
        write_results(
            tmp_path / "results", [items(lambda f, slow=slow: slow * twice(f))], machine=name
        )
    claims = tmp_path / "claims.toml"
    claims.write_text(HEAD + claim(RATIO))
    found = load_study([tmp_path / "results"], claims).claims[0]
    assert {cell.machine for cell in found.evidence} == {"one", "two", "three"}
    for cell in found.evidence:
        assert cell.estimate == pytest.approx(2.0, rel=0.02), cell.machine
    assert found.cells.total == found.cells.for_ == 6


def test_blocks_are_paired_in_their_order(tmp_path: Path) -> None:
    drift = [1.0, 100.0, 3.0, 50.0, 7.0]
    noise = iter([0.001, -0.002, 0.001, 0.0, 0.002] * 4)

    def value(factors: dict[str, Any]) -> Value:
        return [block * twice(factors) * (1 + next(noise)) for block in drift]

    found = first(
        tmp_path,
        claim(RATIO),
        Bench(
            "item.ByImplementation.track_item", {"px": [256], "impl": ["naive", "preloaded"]}, value
        ),
    )
    (cell,) = found.evidence
    assert cell.low is not None and cell.high is not None
    assert 1.98 < cell.low < cell.high < 2.02  # the drift of a factor of a hundred cancels


def test_share_level_slope_and_exact(tmp_path: Path) -> None:
    share = """
[[claim.test]]
label = "read / item"
kind = "share"
metric = "item"
benchmarks = ["item.ByStage"]
treatment = { stage = "read" }
baseline = { stage = "item" }
bar = 0.5
"""
    level = """
[[claim.test]]
label = "item access"
kind = "level"
metric = "item_share"
benchmarks = ["epoch.ItemShare"]
bar = 0.5
"""
    slope = """
[[claim.test]]
label = "slope"
kind = "slope"
metric = "item"
benchmarks = ["item.ByImplementation"]
treatment = { impl = "naive" }
baseline = { impl = "preloaded" }
over = "px"
bar = 0.0
"""
    exact = """
[[claim.test]]
label = "opened"
kind = "exact"
metric = "opened"
benchmarks = ["exact.FilesOpened"]
expect = "== 0"
readings = { 0 = "none", 2 = "twice" }
"""
    opened = {"epoch": 0.0, "again": 2.0}
    found = first(
        tmp_path,
        claim(share, level, slope, exact, headline='{ px = 256, stage = "read" }'),
        bench(
            "item.ByStage.track_item",
            lambda f: 0.3 if f["stage"] == "read" else 1.0,
            px=[256],
            stage=["item", "read"],
        ),
        bench(
            "epoch.ItemShare.track_item_share",
            lambda f: 80.0,
            Noise(drift=0.01),
            "%",
            px=[256],
            impl=["naive"],
        ),
        items(lambda f: twice(f) ** (2 if f["px"] == 256 else 1)),
        Bench("exact.FilesOpened.track_opened", {"phase": [*opened]}, lambda f: opened[f["phase"]]),
    )
    cells = {(cell.test, cell.factors.get("phase", "")): cell for cell in found.evidence}
    assert len(cells) == len(found.evidence) == 5
    read = cells["read / item", ""]
    assert (read.quantity, read.outcome) == ("share", "against")
    assert read.estimate == pytest.approx(0.3, rel=0.02)
    access = cells["item access", ""]
    assert (access.quantity, access.outcome) == ("share", "for")
    assert access.estimate == pytest.approx(0.8, rel=0.02)
    steeper = cells["slope", ""]
    # The ratio doubles while the number of pixels grows by sixteen: 1/4 on log-log axes.
    assert steeper.estimate == pytest.approx(0.25, abs=0.01) and steeper.outcome == "for"
    assert steeper.factors["px"] == "64 to 256"
    none, twice_ = cells["opened", "epoch"], cells["opened", "again"]
    assert (none.estimate, none.outcome, none.reading) == (0.0, "for", "none")
    assert (twice_.estimate, twice_.outcome, twice_.reading) == (2.0, "against", "twice")
    assert found.verdict == "conditional"
    assert found.effect is not None and found.effect.estimate == read.estimate


def test_a_star_stands_for_every_level_but_the_baselines(tmp_path: Path) -> None:
    text = RATIO.replace('{ impl = "naive" }', '{ workers = "*" }')
    text = text.replace('{ impl = "preloaded" }', "{ workers = 0 }")
    found = first(
        tmp_path,
        claim(text),
        bench(
            "item.ByImplementation.track_item",
            lambda f: 1.0 + f["workers"],
            px=[256],
            workers=[0, 1, 4],
            impl=["a", "b"],
        ),
    )
    estimates = {(c.factors["workers"], c.factors["impl"]): c.estimate for c in found.evidence}
    assert set(estimates) == {(1, "a"), (4, "a"), (1, "b"), (4, "b")}
    for (workers, _), estimate in estimates.items():
        assert estimate == pytest.approx(1 + workers, rel=0.02)


def test_an_exclamation_mark_leaves_a_level_out(tmp_path: Path) -> None:
    # Another benchmark without the factor must not turn 0 into 0.0, which "!0" would miss.
    text = RATIO.replace("treatment", 'where = { workers = ["!0"] }\ntreatment', 1)
    found = first(
        tmp_path,
        claim(text),
        bench(
            "item.ByImplementation.track_item",
            twice,
            px=[256],
            workers=[0, 1, 2],
            impl=["naive", "preloaded"],
        ),
        aa(),
    )
    assert {cell.factors["workers"] for cell in found.evidence} == {1, 2}


def test_context_cells_are_shown_but_not_judged(tmp_path: Path) -> None:
    context = RATIO.replace("naive / preloaded", "context").replace(
        "benchmarks", "counts = false\nbenchmarks"
    )
    context = context.replace('impl = "preloaded"', 'impl = "mapped"')
    found = first(
        tmp_path,
        claim(RATIO, context),
        items(
            lambda f: {"naive": 2.0, "preloaded": 1.0, "mapped": 4.0}[f["impl"]],
            impl=["naive", "preloaded", "mapped"],
        ),
    )
    assert found.verdict == "supported"
    assert (found.cells.total, found.cells.for_) == (2, 2)
    shown = [cell for cell in found.evidence if not cell.counts]
    assert [cell.outcome for cell in shown] == ["against", "against"]


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
    assert "decided alone, not after Holm's correction over 4 cells" in weak.reason
    assert weak.low is not None and weak.low > 1.05  # what is shown is the nominal interval


def test_context_does_not_make_the_family_larger(tmp_path: Path) -> None:
    context = RATIO.replace("naive / preloaded", "context")
    text = RATIO.replace("benchmarks", "where = { px = [256] }\nbenchmarks") + context.replace(
        "benchmarks", "counts = false\nwhere = { px = [1, 2, 3] }\nbenchmarks"
    )
    found = first(tmp_path, claim(text), against_one({256: WEAK, 1: NULL, 2: NULL, 3: WEAK}))
    assert found.verdict == "supported"
    shown = [cell for cell in found.evidence if not cell.counts]
    assert [cell.p_holm for cell in shown] == [None] * 3
    assert shown[2].outcome == "for"  # at the nominal level: context is not corrected


def test_each_machine_is_a_family_and_all_together_are_one(tmp_path: Path) -> None:
    results = tmp_path / "results"
    for machine, ratios in (("one", {256: WEAK}), ("two", {256: NULL, 1: NULL, 2: NULL})):
        write_results(results, [against_one(ratios)], machine=machine)
    claims = tmp_path / "claims.toml"
    claims.write_text(HEAD + claim(RATIO))
    found = load_study([results], claims).claims[0]
    assert found.by_machine == {"one": "supported", "two": "inconclusive"}
    assert found.verdict == "inconclusive" and found.cells.unclear == 4


def test_an_inconclusive_claim_names_the_rounds_it_lacks(tmp_path: Path) -> None:
    found = first(
        tmp_path,
        claim(RATIO),
        against_one({256: STRONG, 1: STRONG, 2: STRONG, 3: (1.2, 0.13), 4: NULL}),
    )
    (weak,) = (cell for cell in found.evidence if cell.factors["px"] == 3)
    (null,) = (cell for cell in found.evidence if cell.factors["px"] == 4)
    assert null.more_rounds is None and "sits at the bar" in null.reason
    assert weak.more_rounds is not None
    # Four of five cells are enough: the one at the bar may stay as it is.
    assert f"measure {weak.more_rounds} more round" in found.missing
    assert f"`make study ROUNDS={6 + weak.more_rounds}`" in found.missing


def test_the_rounds_are_asked_of_the_profile_that_was_measured(tmp_path: Path) -> None:
    facts = {"profile": "standard"}
    weak = against_one({256: (1.2, 0.13)})
    assert "`make standard ROUNDS=" in first(tmp_path, claim(RATIO), weak, provenance=facts).missing


def test_cells_at_the_bar_are_not_promised_a_verdict(tmp_path: Path) -> None:
    found = first(tmp_path, claim(RATIO), against_one({256: STRONG, 1: NULL, 2: NULL}))
    assert found.verdict == "inconclusive" and "ROUNDS" not in found.missing
    assert "more rounds alone would not decide enough" in found.missing


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
    assert again.reason == "the combination counts in item.ByImplementation.track_item"
    assert again.p_holm is None and again.estimate is not None


# ---------------------------------------------------------------------------- amounts, break-even

AMOUNT = """
[[claim.test]]
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
    assert spawn.quantity == "amount" and spawn.unit == "copies" and spawn.bar == "> 2"
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
[[claim.test]]
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
        assert cells[place].bar == "< 3" and cells[place].p_holm is not None
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
    assert lost.outcome == "unclear" and lost.estimate is None and "failed" in lost.reason


def test_break_even_from_medians_has_no_interval(tmp_path: Path) -> None:
    text = claim(BREAK_EVEN, headline='{ impl = "preloaded" }')
    found = first(tmp_path, text, constructions(), epochs(workers=[0]), sampled=False)
    assert {cell.outcome for cell in found.evidence} == {"unclear"}
    assert next(c for c in found.evidence if c.factors["impl"] == "preloaded").low is None


# ---------------------------------------------------------------------------- missing evidence


def test_nothing_measured_is_not_tested_and_says_what_is_missing(tmp_path: Path) -> None:
    found = first(tmp_path, claim(RATIO), aa())
    assert found.verdict == "not tested" and not found.finding and found.effect is None
    assert "item.ByImplementation" in found.missing


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
    text = claim(headline="{}") + 'needs = "a throttled disk"\n'
    found = first(tmp_path, text.replace('finding = "', 'finding = "x'), items(twice))
    assert (found.verdict, found.missing) == ("not tested", "Needs a throttled disk.")


def test_one_block_is_unclear_never_decided(tmp_path: Path) -> None:
    name, levels = "item.ByImplementation.track_item", {"px": [256], "impl": ["naive", "preloaded"]}
    found = first(tmp_path, claim(RATIO), Bench(name, levels, lambda f: [100 * twice(f)]))
    assert [cell.outcome for cell in found.evidence] == ["unclear"]
    assert found.verdict == "inconclusive" and "one block" in found.missing


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
    assert lost.estimate is None and "failed" in lost.reason
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
    assert cell.reason == "from medians, arms not paired"
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

EXACT = """
[[claim.test]]
label = "opened"
kind = "exact"
metric = "opened"
benchmarks = ["exact.FilesOpened"]
expect = "== 0"
"""


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
        Bench("exact.FilesOpened.track_opened", {"phase": ["epoch"]}, lambda f: 0.0),
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


# ---------------------------------------------------------------------------- the real claims


def synthetic(noise: Noise) -> Callable[[str, dict[str, Any]], Value]:
    speed = {"naive": 9.0, "naive-again": 9.0, "decode-image": 7.0, "pil-to-tensor": 9.1}
    stages = {"item": 1.0, "read": 0.05, "decode": 0.8, "convert": 0.1}
    transforms = {"none": 1.0, "light": 1.1, "heavy": 2.0}

    def value(name: str, factors: dict[str, Any]) -> Value:
        if name.startswith("exact."):
            return float(len(str(factors)) % 3)
        if name.endswith("item_share"):
            return [90.0, 91.0, 90.5, 89.5, 90.2, 90.4]
        time = speed.get(factors.get("impl", ""), 1.0) * (factors.get("px", 64) / 64) ** 2
        time *= stages.get(factors.get("stage", "item"), 0.1) * transforms.get(
            factors.get("transform", "none"), 1.5
        )
        return noise.around(time / (1 + factors.get("workers", 0)))

    return value


@pytest.fixture(scope="module")
def real(tmp_path_factory: pytest.TempPathFactory) -> Study:
    folder = tmp_path_factory.mktemp("real")
    write_results(folder, whole_suite(synthetic(Noise())))
    return load_study([folder], CLAIMS)


TESTED = [claim for claim in load_claims(CLAIMS).claim if claim.test]


def test_full_evidence_tests_every_claim_that_has_tests(real: Study) -> None:
    for one in real.claims:
        has_tests = one.id in {claim.id for claim in TESTED}
        assert (one.verdict != "not tested") == has_tests, one.id
        assert bool(one.finding) == has_tests
        assert "{" not in one.finding and "not measured" not in one.finding, one.finding
        assert (one.effect is not None) == has_tests, one.id
        assert bool(one.boundary) == (one.verdict == "conditional")
    assert real.noise.rate == 0.0 and real.noise.cells > 20
    assert real.answer


def test_known_ratios_reach_the_verdicts_of_the_real_claims(real: Study) -> None:
    verdicts = {one.id: one.verdict for one in real.claims}
    assert verdicts["C01"] == "supported"  # 90 % of the epoch is item access
    assert verdicts["C03"] == "challenged"  # reading is 5 % of the item
    assert verdicts["C05"] == "supported"  # 1.1 and 2 times
    assert verdicts["C07"] == "challenged"  # every worker helps
    assert verdicts["C08"] == "supported"
    assert verdicts["C14"] == "challenged"  # nine times, ten were asked for
    assert verdicts["C17"] == "supported"  # equal
    assert verdicts["C20"] == "supported"
    # The ratio grows neither nor shrinks with resolution, so only the slope is not "for".
    slope = next(
        cell for one in real.claims if one.id == "C04" for cell in one.evidence
        if cell.quantity == "slope"
    )  # fmt: skip
    assert slope.estimate == pytest.approx(0, abs=0.02)


@pytest.mark.parametrize("one", TESTED, ids=lambda one: one.id)
def test_a_finding_survives_evidence_in_which_single_tests_have_no_cells(
    tmp_path: Path, one: Any
) -> None:
    for test in one.test:
        gone = set(test.benchmarks)
        folder = tmp_path / str(one.test.index(test))
        write_results(
            folder,
            [bench for bench in suite_once() if bench.name.rpartition(".")[0] not in gone],
        )
        found = next(c for c in load_study([folder], CLAIMS).claims if c.id == one.id)
        rest = [cell for cell in found.evidence if cell.benchmark.rpartition(".")[0] not in gone]
        assert len(rest) == len(found.evidence)
        if not any(cell.counts for cell in rest):
            assert found.verdict == "not tested" and found.missing
        else:
            assert "{" not in found.finding


def suite_once() -> list[Bench]:
    if not _suite:
        _suite.extend(whole_suite(synthetic(Noise(blocks=3))))
    return _suite


_suite: list[Bench] = []


def test_judging_twice_gives_the_same_study(real: Study, tmp_path: Path) -> None:
    write_results(tmp_path, whole_suite(synthetic(Noise())))
    one, two = load_study([tmp_path], CLAIMS), load_study([tmp_path], CLAIMS)
    for name in vars(one):
        if name != "measurements":
            assert getattr(one, name) == getattr(two, name), name
    assert one.measurements.equals(two.measurements)
    assert one.claims == real.claims
