"""How a claims file is read: families, names and hashes; what is wrong ends in one sentence."""

from __future__ import annotations

import hashlib
import itertools
import json
import re
from pathlib import Path
from typing import Any

import pytest

from datasets_impl.errors import StudyError
from scripts import check_claims
from scripts.check_claims import main
from scripts.compare import main as compare
from scripts.judging.claims import Amount, Barred, BreakEven, Claims, Paired, load_claims
from scripts.render_report import main as render
from scripts.root import CLAIMS
from scripts.validate import main as validate
from tests.claims_text import HEAD
from tests.standard_suite import standard_suite
from tests.synthetic_results import Bench, write_results

GOOD = (
    HEAD
    + """
[[claim]]
id = "C01"
title = "t"
section = "s"
restated = "r"
method = "m"
advice = "a"
finding = "f"
headline = { px = 256 }
[claim.test.one]
label = "l"
kind = "ratio"
metric = "item"
benchmarks = ["item.ByStage"]
treatment = { impl = "a" }
baseline = { impl = "b" }
"""
)


def written(tmp_path: Path, text: str) -> Path:
    path = tmp_path / "claims.toml"
    path.write_text(text, encoding="utf-8")
    return path


def test_the_good_file_of_these_tests_is_good(tmp_path: Path) -> None:
    found = load_claims(written(tmp_path, GOOD))
    assert isinstance(found, Claims)
    assert found.claim[0].test["one"].counts


def test_the_mark_that_editors_put_before_a_text_is_no_part_of_it(tmp_path: Path) -> None:
    marked = load_claims(written(tmp_path, "\ufeff" + GOOD.replace("\n", "\r\n")))
    assert marked.rules_hash == load_claims(written(tmp_path, GOOD)).rules_hash


def test_a_conflict_of_git_is_called_so(tmp_path: Path) -> None:
    ours, theirs = "<<<<<<< HEAD\n", "=======\n>>>>>>> theirs\n"
    assert "conflict markers of git" in refused(tmp_path, ours + GOOD + theirs)


def refused(folder: Path, text: str | bytes) -> str:
    """The one sentence with which a file that holds `text` is refused."""
    path = folder / "claims.toml"
    path.write_bytes(text.encode() if isinstance(text, str) else text)
    return sentence(path)


def sentence(path: Path) -> str:
    with pytest.raises(StudyError) as error:
        load_claims(path)
    said = str(error.value)
    assert "\n" not in said and str(path) in said
    assert said.endswith(".") and "Traceback" not in said
    return said


SECOND = GOOD[GOOD.index("[[claim]]") :]


@pytest.mark.parametrize(
    ("old", "new", "place"),
    [
        ("margin = 0.05", 'margin = "wide"', "rules.margin"),
        ("margin = 0.05", "margin = 0", "rules.margin"),
        ("margin = 0.05", "margin = nan", "rules.margin"),
        ("margin = 0.05", "margin = 5", "rules.margin"),
        ("margin = 0.05", "", "rules.margin"),
        ("confidence = 0.95", "confidence = 95", "rules.confidence"),
        ("decided_share = 0.8", "decided_share = 80", "rules.decided_share"),
        ('date = "2025-01-30"', "date = 2025-01-30", "post.date"),
        ('title = "t"', 'titel = "t"', "C01.title"),
        ('advice = "a"', 'advice = "a"\nverdict = "supported"', "C01.verdict"),
        ('id = "C01"', 'id = "C1"', "C1.id"),
        ('id = "C01"', "", "claim number 1"),
        ('finding = "f"', "", "C01"),
        ('kind = "ratio"', 'kind = "guess"', "C01.test.one: Input tag 'guess'"),
        ('kind = "ratio"', "", "C01.test.one: Unable to extract tag using discriminator 'kind'"),
        ('kind = "ratio"', 'kind = "ratio"\nbar = nan', "C01.test.one.bar"),
        ('kind = "ratio"', 'kind = "share"', "C01.test.one.bar"),
        ('kind = "ratio"', 'kind = "level"', "C01.test.one.bar"),
        ('kind = "ratio"', 'kind = "exact"', "C01.test.one.expect"),
        ('kind = "ratio"', 'kind = "exact"\nexpect = "about 2"', "C01.test.one.expect"),
        ('kind = "ratio"', 'kind = "exact"\nexpect = ">= 2.0.1"', "C01.test.one.expect"),
        ('kind = "ratio"', 'kind = "slope"\nbar = 0', "C01.test.one.over"),
        ('finding = "f"', 'finding = "f"\ninstead = "x"', "Input should be a valid list"),
        ('benchmarks = ["item.ByStage"]', "benchmarks = []", "C01.test.one.benchmarks"),
        ('benchmarks = ["item.ByStage"]', 'benchmarks = "item.ByStage"', "C01.test.one.benchmarks"),
        ('baseline = { impl = "b" }', "baseline = { px = 3 }", "C01.test.one"),
        ('baseline = { impl = "b" }', "", "C01.test.one"),
        ('label = "l"', 'label = "l"\nweight = 2', "C01.test.one.weight"),
        ('label = "l"', 'label = "l"\nunless = "two"', "C01: unless of 'one' names no test"),
        ('label = "l"', 'label = "l"\nunless = "one"', "C01: unless of 'one' names no test"),
        ('finding = "f"', 'finding = "f {range:one"', "C01: the finding has a broken {...}"),
        ('finding = "f"', 'finding = "f } f"', "C01: the finding has a broken {...}"),
        *(
            (f'{name} = "{name[0]}"', f'{name} = "{{range:one"', f"C01: {name} has a brace")
            for name in ("title", "section", "restated", "method", "advice")
        ),
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
    assert place in refused(tmp_path, new if old == GOOD else GOOD.replace(old, new, 1))


@pytest.mark.parametrize(
    "content", [b"[rules\nmargin = 1", b"\xff\xfe\x00", b"a = 1\na = 2", b"[[claim]]\nid = 'C01"]
)
def test_broken_toml_is_named_in_one_sentence(tmp_path: Path, content: bytes) -> None:
    assert "not valid TOML" in refused(tmp_path, content)


def test_a_missing_file_and_a_folder_are_named_in_one_sentence(tmp_path: Path) -> None:
    assert sentence(tmp_path / "none.toml").endswith("is missing; name the file of claims.")
    assert sentence(tmp_path)


def test_an_empty_file_is_refused(tmp_path: Path) -> None:
    assert "rules" in refused(tmp_path, "")


@pytest.mark.parametrize(
    "kept", [list(pair) for pair in itertools.combinations(["test", "needs"], 2)] + [[]]
)
def test_a_claim_has_tests_or_says_what_it_needs_never_both_or_neither(
    tmp_path: Path, kept: list[str]
) -> None:
    head, _, test = GOOD.partition("[claim.test.one]")
    text = head + ('needs = "a disk"\n' if "needs" in kept else "")
    text += "[claim.test.one]" + test if "test" in kept else ""
    assert "either tests or" in refused(tmp_path, text)


BREAK_EVEN = GOOD.replace('kind = "ratio"', 'kind = "break-even"').replace("item", "epoch") + (
    'construction = ["startup.Construction"]\nbar = 3\nunit = "epochs"\ndirection = "below"\n'
)
AMOUNT = (
    GOOD[: GOOD.index("treatment")].replace('kind = "ratio"', 'kind = "amount"')
    + 'bar = 2.0\nunit = "MB"\n'
)


@pytest.mark.parametrize("text", [BREAK_EVEN, AMOUNT], ids=["break-even", "amount"])
def test_the_kinds_with_a_unit_are_read(tmp_path: Path, text: str) -> None:
    (test,) = load_claims(written(tmp_path, text)).claim[0].test.values()
    assert isinstance(test, BreakEven | Amount) and test.unit and test.bar


@pytest.mark.parametrize(
    ("text", "old", "new", "named"),
    [
        (BREAK_EVEN, "bar = 3\n", "", "one.bar: Field required"),
        (BREAK_EVEN, "bar = 3\n", "bar = 0\n", "greater than 0"),
        (BREAK_EVEN, 'unit = "epochs"\n', "", "one.unit: Field required"),
        (BREAK_EVEN, 'construction = ["startup.Construction"]\n', "", "one.construction"),
        (BREAK_EVEN, 'baseline = { impl = "b" }\n', "", "one.baseline: Field required"),
        (AMOUNT, "bar = 2.0\n", "", "one.bar: Field required"),
        (AMOUNT, 'unit = "MB"\n', "", "one.unit: Field required"),
        (AMOUNT, 'unit = "MB"\n', 'unit = "MB"\nconstruction = ["a.B"]\n', "construction"),
        (AMOUNT, '"amount"', '"level"', "less than 1"),
    ],
)
def test_a_kind_that_lacks_something_is_refused_in_one_sentence(
    tmp_path: Path, text: str, old: str, new: str, named: str
) -> None:
    assert named in refused(tmp_path, text.replace(old, new))


# ---------------------------------------------------------------------------- families and names

FAMILY = (
    GOOD[: GOOD.index("[claim.test.one]")]
    + """
[claim.shared]
kind = "ratio"
metric = "item"
benchmarks = ["item.ByStage"]
baseline = { impl = "b" }
direction = "below"
[claim.test.decoder]
label = "{each} / b"
treatment = { impl = "dataset-{each}" }
where = { impl = ["dataset-{each}", "b"] }
each = ["pil", "cv"]
but.cv = { label = "OpenCV / b", bar = 0.5 }
[claim.test.opened]
label = "opened"
kind = "exact"
metric = "opened"
benchmarks = ["exact.FilesOpened"]
expect = "== 0"
"""
)


BUT = 'but.cv = { label = "OpenCV / b", bar = 0.5 }'


def test_a_family_is_a_test_for_each_of_its_words(tmp_path: Path) -> None:
    (claim,) = load_claims(written(tmp_path, FAMILY)).claim
    assert [*claim.test] == ["decoder.pil", "decoder.cv", "opened"]
    first, second, exact = claim.test.values()
    assert isinstance(first, Barred) and isinstance(second, Barred)
    assert (first.label, second.label) == ("pil / b", "OpenCV / b")
    assert (first.bar, second.bar) == (None, 0.5)
    assert first.where == {"impl": ["dataset-pil", "b"]}
    assert isinstance(second, Paired)
    assert (second.treatment, second.baseline) == ({"impl": "dataset-cv"}, {"impl": "b"})
    assert first.direction == "below" and first.metric == "item"
    assert exact.metric == "opened"  # and no arm or direction, which its kind does not have


def test_tests_are_found_by_name_and_families_as_a_whole(tmp_path: Path) -> None:
    (claim,) = load_claims(written(tmp_path, FAMILY)).claim

    def labels(names: str) -> list[str]:
        return [test.label for test in claim.tests(names)]

    assert labels("decoder") == ["pil / b", "OpenCV / b"]
    assert labels("decoder.cv,opened") == ["OpenCV / b", "opened"]
    assert labels("decoder.cv@workers=2@px=!64,opened") == ["OpenCV / b", "opened"]


@pytest.mark.parametrize(
    ("old", "new", "named"),
    [
        ('finding = "f"', 'finding = "{range:raw}"', "C01: no test is named 'raw'; there are deco"),
        ('finding = "f"', 'finding = "{range:opened,}"', "C01: no test is named ''"),
        ('finding = "f"', 'finding = "{range:opened@px}"', "C01: behind opened@ stands factor=le"),
        ('finding = "f"', 'finding = "{readings}"', "C01: no test is named ''"),
        ('finding = "f"', 'finding = "{range[0]}"', "the unknown field 'range[0]'"),
        ('finding = "f"', 'finding = "{hedline}"', "readings:TEST, trend:TEST, headline"),
        ('finding = "f"', 'finding = "{total:opened}"', "unknown field 'total'"),
        ('finding = "f"', 'finding = "{total"', "C01: "),
        ('label = "OpenCV / b"', 'label = "pil / b"', "the same label, 'pil / b'"),
        ("but.cv", "but.opencv", "test.decoder.but names 'opencv', which is not in its each"),
        ('each = ["pil", "cv"]', "", "test.decoder.each must be a list of words"),
        ('each = ["pil", "cv"]', "each = []", "test.decoder.each must be a list of words"),
        ('each = ["pil", "cv"]', "each = [1, 2]", "test.decoder.each must be a list of words"),
        (BUT, "but = 3", "test.decoder.but must be a table"),
        (BUT, "but.cv = 3", "test.decoder.but.cv must be a table"),
        ('each = ["pil", "cv"]', 'each = ["pil", "cv", "a,b"]', "C01.test.decoder.a,b"),
        ("bar = 0.5", "bar = -1", "C01.test.decoder.cv.bar"),
        ('direction = "below"', 'direktion = "below"', "shared has the unknown field 'direktion'"),
        ('direction = "below"', 'direction = "down"', "C01.test.decoder.pil.direction"),
        ('expect = "== 0"', 'expect = "== 0"\nbar = 3', "C01.test.opened.bar"),
    ],
)  # fmt: skip
def test_a_wrong_family_or_name_is_named_in_one_sentence(
    tmp_path: Path, old: str, new: str, named: str
) -> None:
    assert old in FAMILY
    assert named in refused(tmp_path, FAMILY.replace(old, new, 1))


@pytest.mark.parametrize(
    "tests", ["test = 3", "test = { one = 3 }", "test = []", "shared = 3\ntest = {}"]
)
def test_tests_that_are_no_tables_are_refused(tmp_path: Path, tests: str) -> None:
    text = GOOD[: GOOD.index("[claim.test.one]")] + tests + "\n"
    assert "must be a table" in refused(tmp_path, text)


# ---------------------------------------------------------------------------- the hash of the rules


def hash_of(tmp_path: Path, text: str) -> str:
    return load_claims(written(tmp_path, text)).rules_hash


@pytest.mark.parametrize(
    ("old", "new"),
    [
        (f'{field} = "{word}"', f'{field} = "other words"')
        for field, word in (
            ("title", "t"), ("section", "s"), ("restated", "r"), ("method", "m"), ("advice", "a"),
            ("finding", "f"), ("title", "A post"),
        )
    ]
    + [
        ('label = "opened"', 'readings = { 0 = "none" }\nlabel = "opened"'),
        ("[claim.test.decoder]", "# a remark\n[claim.test.arms]"),
        ("[claim.shared]", "[claim.shared]\ncounts = true"),
    ],
)  # fmt: skip
def test_other_words_have_the_same_hash(tmp_path: Path, old: str, new: str) -> None:
    assert old in FAMILY
    changed = FAMILY.replace(old, new, 1)
    assert hash_of(tmp_path, changed) == hash_of(tmp_path, FAMILY)


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("margin = 0.05", "margin = 0.1"),
        ("decided_share = 0.8", "decided_share = 0.9"),
        ('id = "C01"', 'id = "C02"'),
        ("px = 256", "px = 64"),
        ("bar = 0.5", "bar = 0.6"),
        ("bar = 0.5", "counts = false"),
        ("bar = 0.5", 'unless = "opened"'),
        ('direction = "below"', 'direction = "above"'),
        ('each = ["pil", "cv"]', 'each = ["pil", "cv", "turbo"]'),
        ('baseline = { impl = "b" }', 'baseline = { impl = "c" }'),
        ('label = "{each} / b"', 'label = "{each} over b"'),
        ("item.ByStage", "item.ByCount"),
        ('metric = "item"', 'metric = "epoch"'),
        ('kind = "ratio"', 'kind = "share"\nbar = 0.5'),
        ('where = { impl = ["dataset-{each}", "b"] }', ""),
        ("== 0", "== 1"),
    ],
)
def test_other_rules_have_another_hash(tmp_path: Path, old: str, new: str) -> None:
    assert old in FAMILY
    changed = FAMILY.replace(old, new, 1)
    assert hash_of(tmp_path, changed) != hash_of(tmp_path, FAMILY)


def test_the_command_prints_the_hash_and_what_it_is_of(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(check_claims, "suite", dict)
    monkeypatch.setattr(check_claims, "check_known", lambda *given: None)  # its arms are made up
    path = written(tmp_path, FAMILY)
    assert main([str(path)]) == 0
    printed = capsys.readouterr().out
    assert printed == hash_of(tmp_path, FAMILY) + "\n"
    assert main([str(path), "--rules"]) == 0
    text = capsys.readouterr().out
    assert hashlib.sha256(text.encode()).hexdigest() == printed.strip()
    assert json.loads(text)["rules"]["margin"] == 0.05
    assert main([str(tmp_path / "none.toml")]) == 2


LEVELS = {"item.ByStage": {"px": [64, 256], "impl": ["a", "b"]}}
TRACKED = {"item"}


@pytest.mark.parametrize(
    ("old", "new", "what"),
    [
        ("item.ByStage", "item.ByStages", "item.ByStages is no benchmark of the suite"),
        ('metric = "item"', 'metric = "itme"', "item.ByStage has no metric 'itme'"),
        ('impl = "a"', 'impl = "aa"', "item.ByStage has no impl = 'aa'"),
        ('impl = "b"', 'impl = "bb"', "item.ByStage has no impl = 'bb'"),
        ('{ impl = "', '{ arm = "', "item.ByStage has no factor 'arm'"),
        ('label = "l"', 'label = "l"\nwhere = { px = ["!65"] }', "has no px = '65'"),
        ('kind = "ratio"', 'kind = "slope"\nbar = 0\nover = "n"', "has no factor 'n'"),
    ],
)
def test_a_test_of_what_the_suite_does_not_measure_is_refused(
    tmp_path: Path,
    old: str,
    new: str,
    what: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    path = written(tmp_path, GOOD)
    check_claims.check_known(load_claims(path), path, LEVELS, TRACKED)
    path = written(tmp_path, GOOD.replace(old, new))
    said = f"wrong at C01.test.one: .*{what}; mend that name"
    with pytest.raises(StudyError, match=said):
        check_claims.check_known(load_claims(path), path, LEVELS, TRACKED)
    # So do the commands that judge by them, where neither results nor suite know the name.
    results = written_results(tmp_path / "results")
    monkeypatch.setattr(check_claims, "suite", lambda: LEVELS)
    monkeypatch.setattr(check_claims, "metrics", lambda: TRACKED)
    for command, given in (
        (render, ["--results", results, "--out", tmp_path / "out"]),
        (validate, [results]),
        (compare, [results, written_results(tmp_path / "other"), "--out", tmp_path / "out"]),
    ):
        assert command([*map(str, given), "--claims", str(path)]) == 2
        assert re.search(said, capsys.readouterr().err)


def written_results(folder: Path) -> Path:
    levels = {"px": [64, 256], "impl": ["a", "b"]}
    write_results(folder, [Bench("item.ByStage.track_item", levels, lambda factors: [1.0, 1.1])])
    return folder


def test_rules_that_are_committed_and_names_that_were_measured_need_no_suite(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def asked() -> Any:
        raise AssertionError("the suite takes seconds to answer")

    monkeypatch.setattr(check_claims, "suite", asked)
    check_claims.check_named(CLAIMS, [])
    check_claims.check_named(written(tmp_path, GOOD), [written_results(tmp_path / "results")])
    with pytest.raises(AssertionError):
        check_claims.check_named(written(tmp_path, GOOD), [])


def test_the_metrics_are_those_of_the_suite() -> None:
    tracked = {unit for one in standard_suite().values() for unit in (*one.units, *one.also)}
    assert tracked <= check_claims.metrics()
    assert not {"", "itme", "x"} & check_claims.metrics()


@pytest.mark.slow
def test_the_command_asks_the_suite_itself(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(check_claims, "PROFILES", check_claims.PROFILES[:1])  # a process for each
    wrong = CLAIMS.read_text(encoding="utf-8").replace('impl = "preloaded"', 'impl = "preload"')
    assert main([str(written(tmp_path, wrong))]) == 2
    assert "has no impl = 'preload'; mend that name" in capsys.readouterr().err
