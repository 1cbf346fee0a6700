"""`claims.toml`: complete, and answerable by the suite."""

from __future__ import annotations

import json
from typing import Any

import pytest
from standard_suite import standard_suite

from datasets_impl.contest.model import Arm
from datasets_impl.contest.registry import ARMS
from datasets_impl.factors import ALSO
from scripts.check_claims import check_known
from scripts.judging.claims import (
    Amount,
    Barred,
    BreakEven,
    Claim,
    MeasuredShare,
    Paired,
    load_claims,
)
from scripts.judging.claims import Test as ClaimTest
from scripts.root import CLAIMS, RESULTS

IDS = [f"C{i:02}" for i in range(1, 21)] + [f"X{i:02}" for i in range(1, 13)]
MEASURED = set(IDS) - {"X06", "X07", "X08"}

KNOWN = load_claims(CLAIMS)
TESTS = [
    pytest.param(claim, test, id=f"{claim.id}: {test.label}")
    for claim in KNOWN.claim
    for test in claim.test.values()
]


def arms_of(test: ClaimTest) -> list[dict[str, Any]]:
    return [test.treatment, test.baseline] if isinstance(test, Paired) else []


def levels(benchmark: str) -> dict[str, list[Any]]:
    return standard_suite()[benchmark].levels


# ---------------------------------------------------------------------------- the file as it is


def test_every_claim_is_present_once_and_in_order() -> None:
    assert [claim.id for claim in KNOWN.claim] == IDS


def test_claims_of_the_post_and_findings_beyond_it_are_told_apart() -> None:
    for claim in KNOWN.claim:
        assert (claim.section == "beyond the post") == (claim.origin == "beyond"), claim.id


def test_every_claim_that_must_be_measured_has_tests_that_count() -> None:
    judged = {claim.id for claim in KNOWN.claim if any(test.counts for test in claim.test.values())}
    assert judged >= MEASURED


@pytest.mark.parametrize("name", ["C04", "C07", "C14", "C17", "X01", "X04"])
def test_preloading_is_judged_with_the_tensors_of_torchvision_too(name: str) -> None:
    """Example 2 takes a transform, and its reader passes `ToTensor()`."""
    (claim,) = (one for one in KNOWN.claim if one.id == name)
    assert any(
        test.counts and "preloaded-float" in (*test.where.get("impl", ()), *arm.values())
        for test in claim.test.values()
        for arm in arms_of(test)
    )


def test_the_rules_are_those_of_the_brief() -> None:
    assert KNOWN.rules.margin == 0.05
    assert KNOWN.rules.confidence == 0.95
    assert KNOWN.rules.decided_share == 0.8
    assert KNOWN.rules.false_alarm_gate == 0.05


def test_bars_of_the_brief() -> None:
    bars = {
        claim.id: {
            test.bar for test in claim.test.values() if isinstance(test, Barred) and test.counts
        }
        for claim in KNOWN.claim
    }
    assert bars["C01"] == {0.5}
    assert bars["C03"] == {0.5}
    assert bars["C14"] == {10.0}
    assert bars["C07"] == bars["C08"] == bars["C05"] == bars["C20"] == {None}  # the margin


@pytest.mark.parametrize(("claim", "test"), TESTS)
def test_benchmarks_of_a_test_exist_and_measure_its_metric(claim: Claim, test: ClaimTest) -> None:
    if test.unless:  # the suite measures it no more, committed results have it
        former = json.loads((RESULTS / "benchmarks.json").read_text())
        assert all(f"{name}.track_{test.metric}" in former for name in test.benchmarks)
        return
    for name in test.benchmarks:
        assert name in standard_suite(), name
        suite = standard_suite()[name]
        unit = suite.units.get(
            test.metric, ALSO[test.metric] if test.metric in suite.also else None
        )
        assert unit is not None, f"{name} has no {test.metric}"
        match test:
            case MeasuredShare():
                assert unit == "%", "a level is read as percent"
            case Amount():
                assert unit == test.unit, "the bar is in the unit of the benchmark"
            case BreakEven():
                assert unit == "us", "an epoch is read as microseconds per image"
            case Paired():
                assert unit in ("ns", "us", "ms", "MB"), "arms are compared in time or memory"
    for name in test.construction if isinstance(test, BreakEven) else ():
        assert standard_suite()[name].units["construction"] == "ms", name
        known = levels(name)
        for arm in arms_of(test):
            assert all(level in ("*", *known[factor]) for factor, level in arm.items()), name


def test_benchmarks_factors_and_levels_of_every_test_exist() -> None:
    check_known(KNOWN, CLAIMS, {name: one.levels for name, one in standard_suite().items()})


@pytest.mark.parametrize(("claim", "test"), TESTS)
def test_arms_of_a_test_differ_and_leave_something_to_compare(
    claim: Claim, test: ClaimTest
) -> None:
    if not isinstance(test, Paired) or test.unless:
        return
    assert test.treatment != test.baseline
    for name in test.benchmarks:
        for factor, level in test.treatment.items():
            others = [found for found in levels(name)[factor] if found != test.baseline[factor]]
            assert others if level == "*" else level in others


@pytest.mark.parametrize("claim", [c for c in KNOWN.claim if c.test], ids=lambda claim: claim.id)
def test_the_headline_is_a_cell_of_the_suite(claim: Claim) -> None:
    wanted = dict(claim.headline)
    benchmark = wanted.pop("benchmark", None)
    found = [
        name
        for test in claim.test.values()
        if test.counts and not test.unless
        for name in test.benchmarks
        if benchmark in (None, name)
        and all(level in levels(name).get(factor, []) for factor, level in wanted.items())
        and all(
            level in ("*", wanted.get(factor, level))
            for arm in arms_of(test)[:1]
            for factor, level in arm.items()
        )
    ]
    assert found, f"{claim.id}: no counted test has a cell with {claim.headline}"


@pytest.mark.parametrize(
    ("claim", "test"),
    [
        pytest.param(claim, test, id=f"{claim.id}: {test.label}")
        for claim in KNOWN.claim
        for test in claim.test.values()
        if isinstance(test, Paired)
        and (test.metric, test.treatment.get("impl")) in ARMS
        and ARMS[test.metric, test.treatment["impl"]].origin == "peer"  # type: ignore[index]
    ],
)
def test_a_specialised_loader_is_compared_with_an_arm_of_equal_fidelity(
    claim: Claim, test: Paired
) -> None:
    arms: dict[Any, Arm] = dict(ARMS)
    rival = arms[test.metric, test.treatment["impl"]]
    assert arms[test.metric, test.baseline["impl"]].exact is rival.exact
