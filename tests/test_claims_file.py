"""`claims.toml`: complete, answerable by the suite, refused in one sentence when wrong."""

from __future__ import annotations

import itertools
from pathlib import Path
from typing import Any

import pytest
from standard_suite import standard_suite

from datasets_impl.arms.model import Arm
from datasets_impl.arms.registry import ARMS
from datasets_impl.errors import StudyError
from scripts.claims import Claim, Claims, load_claims
from scripts.claims import Test as ClaimTest
from scripts.root import CLAIMS

IDS = [f"C{i:02}" for i in range(1, 21)] + [f"X{i:02}" for i in range(1, 10)]
MEASURED = set(IDS) - {"X06", "X07", "X08"}

KNOWN = load_claims(CLAIMS)
TESTS = [
    pytest.param(claim, test, id=f"{claim.id}: {test.label}")
    for claim in KNOWN.claim
    for test in claim.test
]


def levels(benchmark: str) -> dict[str, list[Any]]:
    return standard_suite()[benchmark].levels


# ---------------------------------------------------------------------------- the file as it is


def test_every_claim_is_present_once_and_in_order() -> None:
    assert [claim.id for claim in KNOWN.claim] == IDS


def test_claims_of_the_post_and_findings_beyond_it_are_told_apart() -> None:
    for claim in KNOWN.claim:
        assert claim.origin == ("post" if claim.id.startswith("C") else "beyond"), claim.id
        assert (claim.section == "beyond the post") == (claim.origin == "beyond"), claim.id


def test_every_claim_that_must_be_measured_has_tests_that_count() -> None:
    judged = {claim.id for claim in KNOWN.claim if any(test.counts for test in claim.test)}
    assert judged >= MEASURED


def test_the_rules_are_those_of_the_brief() -> None:
    assert KNOWN.rules.margin == 0.05
    assert KNOWN.rules.confidence == 0.95
    assert KNOWN.rules.decided_share == 0.8
    assert KNOWN.rules.false_alarm_gate == 0.05


def test_bars_of_the_brief() -> None:
    bars = {
        claim.id: {test.bar for test in claim.test if test.counts and test.kind != "exact"}
        for claim in KNOWN.claim
    }
    assert bars["C01"] == {0.5}
    assert bars["C03"] == {0.5}
    assert bars["C14"] == {10.0}
    assert bars["C07"] == bars["C08"] == bars["C05"] == bars["C20"] == {None}  # the margin


@pytest.mark.parametrize(("claim", "test"), TESTS)
def test_benchmarks_of_a_test_exist_and_measure_its_metric(claim: Claim, test: ClaimTest) -> None:
    for name in test.benchmarks:
        assert name in standard_suite(), name
        unit = standard_suite()[name].units.get(test.metric)
        assert unit is not None, f"{name} has no {test.metric}"
        if test.kind == "level":
            assert unit == "%", "a level is read as percent"
        if test.kind in ("ratio", "share", "slope"):
            assert unit in ("ns", "us", "ms", "MB"), "arms are compared in time or memory"
        if test.kind == "amount":
            assert unit == test.unit, "the bar is in the unit of the benchmark"
        if test.kind == "break-even":
            assert unit == "us", "an epoch is read as microseconds per image"
    for name in test.construction:
        assert standard_suite()[name].units["construction"] == "ms", name
        known = levels(name)
        for arm in (test.treatment, test.baseline):
            assert all(level in ("*", *known[factor]) for factor, level in arm.items()), name


@pytest.mark.parametrize(("claim", "test"), TESTS)
def test_factors_and_levels_of_a_test_exist(claim: Claim, test: ClaimTest) -> None:
    for name in test.benchmarks:
        known = levels(name)
        for arm in (test.treatment, test.baseline):
            for factor, level in arm.items():
                assert factor in known, f"{name} has no {factor}"
                assert level == "*" or level in known[factor], f"{name}: {factor}={level}"
        for factor, chosen in test.where.items():
            assert factor in known, f"{name} has no {factor}"
            for level in chosen:
                plain = str(level).removeprefix("!")
                assert plain in map(str, known[factor]), f"{name}: {factor}={level}"
        assert test.over is None or test.over in known


@pytest.mark.parametrize(("claim", "test"), TESTS)
def test_arms_of_a_test_differ_and_leave_something_to_compare(
    claim: Claim, test: ClaimTest
) -> None:
    if test.kind in ("exact", "level", "amount"):
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
        for test in claim.test
        if test.counts
        for name in test.benchmarks
        if benchmark in (None, name)
        and all(level in levels(name).get(factor, []) for factor, level in wanted.items())
        and all(
            level in ("*", wanted.get(factor, level)) for factor, level in test.treatment.items()
        )
    ]
    assert found, f"{claim.id}: no counted test has a cell with {claim.headline}"


def test_labels_of_a_claim_differ() -> None:
    for claim in KNOWN.claim:
        labels = [test.label for test in claim.test]
        assert len(labels) == len(set(labels)), claim.id


@pytest.mark.parametrize(
    ("claim", "test"),
    [
        pytest.param(claim, test, id=f"{claim.id}: {test.label}")
        for claim in KNOWN.claim
        for test in claim.test
        if (test.metric, test.treatment.get("impl")) in ARMS
        and ARMS[test.metric, test.treatment["impl"]].origin == "peer"  # type: ignore[index]
    ],
)
def test_a_specialised_loader_is_compared_with_an_arm_of_equal_fidelity(
    claim: Claim, test: ClaimTest
) -> None:
    arms: dict[Any, Arm] = dict(ARMS)
    rival = arms[test.metric, test.treatment["impl"]]
    assert arms[test.metric, test.baseline["impl"]].exact is rival.exact


# ---------------------------------------------------------------------------- a wrong file

GOOD = """
[rules]
margin = 0.05
confidence = 0.95
decided_share = 0.8
false_alarm_gate = 0.05
[post]
title = "A post"
date = "2025-01-30"
[[claim]]
id = "C01"
title = "t"
section = "s"
origin = "post"
restated = "r"
method = "m"
advice = "a"
finding = "f"
headline = { px = 256 }
[[claim.test]]
label = "l"
kind = "ratio"
metric = "item"
benchmarks = ["item.ByStage"]
treatment = { impl = "a" }
baseline = { impl = "b" }
"""


def written(tmp_path: Path, text: str) -> Path:
    path = tmp_path / "claims.toml"
    path.write_text(text, encoding="utf-8")
    return path


def test_the_good_file_of_these_tests_is_good(tmp_path: Path) -> None:
    found = load_claims(written(tmp_path, GOOD))
    assert isinstance(found, Claims)
    assert found.claim[0].test[0].counts


SECOND = GOOD[GOOD.index("[[claim]]") :]


@pytest.mark.parametrize(
    ("old", "new", "place"),
    [
        ("margin = 0.05", 'margin = "wide"', "rules.margin"),
        ("margin = 0.05", "margin = 0", "rules.margin"),
        ("margin = 0.05", "", "rules.margin"),
        ("confidence = 0.95", "confidence = 95", "rules.confidence"),
        ("decided_share = 0.8", "decided_share = 80", "rules.decided_share"),
        ('date = "2025-01-30"', "date = 2025-01-30", "post.date"),
        ('title = "t"', 'titel = "t"', "C01.title"),
        ('advice = "a"', 'advice = "a"\nverdict = "supported"', "C01.verdict"),
        ('id = "C01"', 'id = "C1"', "C1.id"),
        ('id = "C01"', "", "claim number 1"),
        ('origin = "post"', 'origin = "mine"', "C01.origin"),
        ('finding = "f"', "", "C01"),
        ('kind = "ratio"', 'kind = "guess"', "C01.test.0.kind"),
        ('kind = "ratio"', 'kind = "share"', "C01.test.0"),
        ('kind = "ratio"', 'kind = "level"', "C01.test.0"),
        ('kind = "ratio"', 'kind = "exact"', "C01.test.0"),
        ('kind = "ratio"', 'kind = "exact"\nexpect = "about 2"', "C01.test.0"),
        ('kind = "ratio"', 'kind = "slope"\nbar = 0', "C01.test.0"),
        ('benchmarks = ["item.ByStage"]', "benchmarks = []", "C01.test.0.benchmarks"),
        ('benchmarks = ["item.ByStage"]', 'benchmarks = "item.ByStage"', "C01.test.0.benchmarks"),
        ('baseline = { impl = "b" }', "baseline = { px = 3 }", "C01.test.0"),
        ('baseline = { impl = "b" }', "", "C01.test.0"),
        ('label = "l"', 'label = "l"\nweight = 2', "C01.test.0.weight"),
        (GOOD, GOOD + SECOND, "C01"),
        (GOOD[GOOD.index("[[claim]]") :], "", "claim"),
        (GOOD, "claim = 3\n" + GOOD.replace(SECOND, ""), "claim"),
        (GOOD, "claim = [3]\n" + GOOD.replace(SECOND, ""), "claim number 1"),
    ],
)
def test_a_wrong_field_is_named_in_one_sentence(
    tmp_path: Path, old: str, new: str, place: str
) -> None:
    assert old in GOOD
    path = written(tmp_path, new if old == GOOD else GOOD.replace(old, new, 1))
    with pytest.raises(StudyError) as error:
        load_claims(path)
    one_sentence(str(error.value), path)
    assert place in str(error.value)


def one_sentence(text: str, path: Path) -> None:
    assert "\n" not in text
    assert str(path) in text
    assert text.endswith(".") and "Traceback" not in text


@pytest.mark.parametrize(
    "content", [b"[rules\nmargin = 1", b"\xff\xfe\x00", b"a = 1\na = 2", b"[[claim]]\nid = 'C01"]
)
def test_broken_toml_is_named_in_one_sentence(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "claims.toml"
    path.write_bytes(content)
    with pytest.raises(StudyError, match="not valid TOML") as error:
        load_claims(path)
    one_sentence(str(error.value), path)


def test_a_missing_file_and_a_folder_are_named_in_one_sentence(tmp_path: Path) -> None:
    for path in (tmp_path / "none.toml", tmp_path):
        with pytest.raises(StudyError) as error:
            load_claims(path)
        one_sentence(str(error.value), path)


def test_an_empty_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(StudyError, match="rules"):
        load_claims(written(tmp_path, ""))


@pytest.mark.parametrize(
    "kept", [list(pair) for pair in itertools.combinations(["test", "needs"], 2)] + [[]]
)
def test_a_claim_has_tests_or_says_what_it_needs_never_both_or_neither(
    tmp_path: Path, kept: list[str]
) -> None:
    head, _, test = GOOD.partition("[[claim.test]]")
    text = head + ('needs = "a disk"\n' if "needs" in kept else "")
    text += "[[claim.test]]" + test if "test" in kept else ""
    with pytest.raises(StudyError, match="either tests or"):
        load_claims(written(tmp_path, text))


BREAK_EVEN = GOOD.replace('kind = "ratio"', 'kind = "break-even"').replace("item", "epoch") + (
    'construction = ["startup.Construction"]\nbar = 3\nunit = "epochs"\ndirection = "below"\n'
)
AMOUNT = GOOD.replace('kind = "ratio"', 'kind = "amount"') + 'bar = 2.0\nunit = "MB"\n'


@pytest.mark.parametrize("text", [BREAK_EVEN, AMOUNT], ids=["break-even", "amount"])
def test_the_kinds_with_a_unit_are_read(tmp_path: Path, text: str) -> None:
    (test,) = load_claims(written(tmp_path, text)).claim[0].test
    assert test.unit and test.bar


@pytest.mark.parametrize(
    ("text", "old", "new", "named"),
    [
        (BREAK_EVEN, "bar = 3\n", "", "needs a bar"),
        (BREAK_EVEN, "bar = 3\n", "bar = 0\n", "above zero"),
        (BREAK_EVEN, 'unit = "epochs"\n', "", "needs a unit"),
        (BREAK_EVEN, 'construction = ["startup.Construction"]\n', "", "of the construction"),
        (BREAK_EVEN, 'baseline = { impl = "b" }\n', "", "the same factors"),
        (AMOUNT, "bar = 2.0\n", "", "needs a bar"),
        (AMOUNT, 'unit = "MB"\n', "", "needs a unit"),
        (AMOUNT, 'unit = "MB"\n', 'unit = "MB"\nconstruction = ["a.B"]\n', "construction"),
        (GOOD, 'kind = "ratio"', 'kind = "level"\nbar = 50.0', "below one"),
    ],
)
def test_a_kind_that_lacks_something_is_refused_in_one_sentence(
    tmp_path: Path, text: str, old: str, new: str, named: str
) -> None:
    path = written(tmp_path, text.replace(old, new))
    with pytest.raises(StudyError, match=named) as error:
        load_claims(path)
    one_sentence(str(error.value), path)
