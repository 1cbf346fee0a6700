"""Known numbers in, the right verdicts out: pairing and outcomes."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest

from scripts.judging.model import Reason
from scripts.report.study import load_study
from tests.claims_text import EXACT, HEAD, RATIO, SHARE, SLOPE, claim
from tests.judging import aa, bench, first, items, twice
from tests.synthetic_results import (
    Bench,
    Noise,
    Value,
    edit_json,
    write_results,
)

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


@pytest.mark.parametrize("part", [0.9, 1.0, 1.3])
def test_a_share_of_two_timings_is_never_above_all(tmp_path: Path, part: float) -> None:
    """Reading can seem slower than the item that reads, when each was timed by itself."""
    found = first(
        tmp_path,
        claim(SHARE, headline='{ px = 256, stage = "read" }'),
        bench(
            "item.ByStage.track_item",
            lambda f: part if f["stage"] == "read" else 1.0,
            Noise(spread=0.2),
            px=[64, 256],
            stage=["item", "read"],
        ),
    )
    for cell in found.evidence:
        assert cell.estimate is not None and cell.low is not None and cell.high is not None
        assert 0 < cell.low <= cell.estimate <= cell.high <= 1
        assert (Reason("timed apart") in cell.reasons) is (cell.high == 1)
        assert cell.outcome == "for" and cell.p is not None
    shown = re.findall(r"(\d+)\s?%", found.finding)
    assert shown and all(int(number) <= 100 for number in shown)


PART = SHARE.replace("test.share", "test.apart") + 'unless = "together"\n'
TOGETHER = """
[claim.test.together]
label = "reading in an item"
kind = "level"
metric = "stage_share"
benchmarks = ["item.ByStage"]
bar = 0.5
"""


def test_a_test_counts_only_on_machines_without_what_took_its_place(tmp_path: Path) -> None:
    apart = bench(
        "item.ByStage.track_item",
        lambda f: 0.3 if f["stage"] == "read" else 1.0,
        px=[256],
        stage=["item", "read"],
    )
    together = bench(
        "item.ByStage.track_stage_share", lambda f: 80.0, unit="%", px=[256], stage=["read"]
    )
    results, text = tmp_path / "results", claim(PART, TOGETHER, headline="{ px = 256 }")
    write_results(results, [apart, together], machine="both")
    write_results(results, [apart, together], machine="old")
    edit_json(
        next((results / "old").glob("*-*.json")),
        lambda data: data["results"].pop("item.ByStage.track_stage_share"),
    )
    (tmp_path / "claims.toml").write_text(HEAD + text)
    found = load_study([results], tmp_path / "claims.toml").claims[0]
    counts = {(cell.machine, cell.test): cell.counts for cell in found.evidence}
    assert counts == {
        ("both", "read / item"): False,
        ("both", "reading in an item"): True,
        ("old", "read / item"): True,
    }
    assert found.by_machine == {"both": "supported", "old": "challenged"}
    (left,) = [cell for cell in found.evidence if not cell.counts]
    assert left.reasons == (Reason("counts instead", ("reading in an item",)),)


def test_share_level_slope_and_exact(tmp_path: Path) -> None:
    level = """
[claim.test.level]
label = "item access"
kind = "level"
metric = "item_share"
benchmarks = ["epoch.ItemShare"]
bar = 0.5
"""
    exact = EXACT + 'readings = { 0 = "none", 2 = "twice" }\n'
    opened = {"epoch": 0.0, "again": 2.0}
    found = first(
        tmp_path,
        claim(SHARE, level, SLOPE, exact, headline='{ px = 256, stage = "read" }'),
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
        Bench(
            "exact.FilesOpened.track_opened",
            {"phase": [*opened]},
            lambda f: opened[f["phase"]],
            "images",
        ),
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
    context = (
        RATIO.replace("naive / preloaded", "context")
        .replace("test.ratio", "test.context")
        .replace("benchmarks", "counts = false\nbenchmarks")
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
