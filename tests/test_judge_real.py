"""The real claims on synthetic evidence of the whole suite."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from datasets_impl.factors import ALSO
from scripts.judging.claims import load_claims
from scripts.judging.evidence import Evidence
from scripts.judging.judge import _judgement
from scripts.report.model import Study
from scripts.report.study import described, load_study
from scripts.root import CLAIMS
from tests.synthetic_results import Noise, Value, load_evidence, whole_suite, write_results

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
        if name.endswith("stage_share"):
            return noise.around(100 * stages[factors["stage"]])
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


LOGGED = {  # claims with numbers that are in a log alone, which these results have none of
    claim.id
    for claim in load_claims(CLAIMS).claim
    if any(test.metric in ALSO for test in claim.test.values())
}
TESTED = [claim for claim in load_claims(CLAIMS).claim if claim.test]


def test_full_evidence_tests_every_claim_that_has_tests(real: Study) -> None:
    told = {
        claim.id
        for claim in TESTED
        if any(test.counts and test.metric not in ALSO for test in claim.test.values())
    }
    for one in real.claims:
        has_tests = one.id in told
        assert (one.verdict != "not tested") == has_tests, one.id
        assert bool(one.finding) == has_tests
        assert "{" not in one.finding, one.finding
        assert one.id in LOGGED or "not measured" not in one.finding, one.finding
        assert (one.effect is not None) == has_tests, one.id
        assert bool(one.grid) == (one.verdict == "conditional") >= bool(one.boundary)
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


@pytest.fixture(scope="module")
def everything(tmp_path_factory: pytest.TempPathFactory) -> Evidence:
    """Of the whole suite, in few rounds."""
    folder = tmp_path_factory.mktemp("few")
    write_results(folder, whole_suite(synthetic(Noise(blocks=3))))
    return load_evidence([folder])


@pytest.mark.slow
@pytest.mark.parametrize("one", TESTED, ids=lambda one: one.id)
def test_a_finding_survives_evidence_in_which_single_tests_have_no_cells(
    one: Any, everything: Evidence
) -> None:
    known = load_claims(CLAIMS)
    known = known.model_copy(update={"claim": [each for each in known.claim if each.id == one.id]})
    cells = everything.cells
    used = {name for test in one.test.values() for name in _benchmarks(test)}
    for gone in {frozenset(test.benchmarks) for test in one.test.values()}:
        kept = cells["benchmark"].isin(used - gone) | cells["benchmark"].str.startswith("controls.")
        (found,) = described(_judgement(known, replace(everything, cells=cells[kept]))).claims
        rest = [cell for cell in found.evidence if cell.benchmark.rpartition(".")[0] not in gone]
        assert len(rest) == len(found.evidence)
        if not any(cell.counts for cell in rest):
            assert found.verdict == "not tested" and found.missing
        else:
            assert "{" not in found.finding


def _benchmarks(test: Any) -> set[str]:
    return {*test.benchmarks, *getattr(test, "construction", ())}


@pytest.mark.slow
def test_judging_twice_gives_the_same_study(real: Study, tmp_path: Path) -> None:
    write_results(tmp_path, whole_suite(synthetic(Noise())))
    again = load_study([tmp_path], CLAIMS)
    for name in vars(again):
        if name != "measurements":
            assert getattr(again, name) == getattr(real, name), name
    assert again.measurements.equals(real.measurements)
