"""The page: every anchor and link, text that is shown and not run, and what its words say."""

from __future__ import annotations

import csv
import json
import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from scripts.judging.model import Reason, Verdict
from scripts.render_report import render
from scripts.report import cite, figures, instead, page, remarks
from scripts.report.model import Study
from scripts.report.record import study_record
from scripts.report.sentences import trend
from tests.shown import Page, in_a_terminal
from tests.synthetic_study import IDS, MACHINES, NASTY, build, cell, drawing_less


def test_page_has_every_anchor_and_no_dangling_link(report: Path) -> None:
    page = Page((report / "index.html").read_text(encoding="utf-8"))
    assert set(IDS) <= set(page.ids)
    assert len(page.ids) == len(set(page.ids)), "an id occurs twice"
    for link in page.links:
        if "=" in link:  # a preset: levels to select
            assert link.startswith("#")
        elif link.startswith("#"):
            assert link[1:] in page.ids, link
        elif not link.startswith("https://example.org/asv/"):
            assert (report / link).is_file(), link


def test_page_carries_nothing_foreign(report: Path) -> None:
    html = (report / "index.html").read_text(encoding="utf-8")
    assert "default-src 'none'" in html
    page = Page(html)
    assert not {"img", "link", "iframe", "object", "base"} & set(page.tags)
    assert page.tags.count("script") == 1
    assert not re.search(r"url\((?!#)|@import|src=", html)


def test_nasty_text_is_shown_not_run(report: Path) -> None:
    html = (report / "index.html").read_text(encoding="utf-8")
    assert "<script>alert" not in html
    assert NASTY in Page(html).text


@pytest.mark.slow
def test_two_machines_show_their_disagreement(tmp_path: Path) -> None:
    with drawing_less():
        render(build(machines=2), tmp_path, "")
    text = Page((tmp_path / "index.html").read_text(encoding="utf-8")).text
    assert "The machines disagree." in text
    head = (tmp_path / "claims.csv").read_text(encoding="utf-8").splitlines()[0]
    assert head.endswith("verdict on bench-a,verdict on bench-b")


@pytest.mark.parametrize(
    ("verdicts", "differ"),
    [
        (("supported", "not tested"), False),
        (("supported", "supported"), False),
        (("supported", "challenged"), True),
        (("conditional", "inconclusive"), False),
        (("conditional", "challenged"), True),
        (("inconclusive", "inconclusive"), False),
        (("not tested", "not tested"), False),
    ],
)
def test_a_machine_that_decided_nothing_disagrees_with_nobody(
    tmp_path: Path, verdicts: tuple[Verdict, Verdict], differ: bool
) -> None:
    two = build(machines=2)
    by_machine = dict(zip(("bench-a", "bench-b"), verdicts, strict=True))
    study = replace(two, claims=[replace(claim, by_machine=by_machine) for claim in two.claims])
    text = Page(page.page(study, figures.build(build(missing=True)), "")).text
    assert ("The machines disagree." in text) is differ
    assert ("machines disagree" in in_a_terminal(study, tmp_path)) is differ
    both = len(IDS) if "not tested" not in verdicts else 0
    words = f"Of {both} claims that both tested, " if both else "No claim was tested on both."
    assert words in text
    assert (f"Of {both} claims that both tested, verdicts differ on" in text) is differ


def test_where_a_conditional_claim_holds_is_on_page_terminal_and_in_the_data(
    study: Study, report: Path, tmp_path: Path
) -> None:
    shown = in_a_terminal(study, tmp_path)
    html = (report / "index.html").read_text(encoding="utf-8")
    with (report / "claims.csv").open(encoding="utf-8", newline="") as handle:
        rows = {row["id"]: row for row in csv.DictReader(handle)}
    claims = {claim["id"]: claim for claim in study_record(study)["claims"]}
    # One factor tells all of X03, none C03.
    sentence = "It holds from sample kb 192 on, not up to sample kb 48."
    assert claims["X03"]["boundary"] == rows["X03"]["boundary"] == sentence
    assert f"X03 {sentence}" in shown and html.count(sentence) == 2  # at a glance, on the card
    assert [(row["levels"], row["outcomes"]) for row in claims["X03"]["grid"]] == [
        ({"sample_kb": kb}, {"bench-a": "for" if kb > 100 else "against"})
        for kb in (12, 48, 192, 768)
    ]
    words, test = "against in 4, unclear in 2, not measured in 1", "share of reading in the item"
    assert (claims["C03"]["boundary"], rows["C03"]["grid"]) == ("", f"{test}: {words}")
    assert f"<b>{words}</b>" in html and 'href="#C03-grid"' in html
    assert re.search(
        rf"C03 {study.claims[2].title}\n +bench-a *\n  {test} +against 4 % to 53 %", shown
    )
    assert [
        name for name in claims if bool(claims[name]["grid"]) != (f'id="{name}-grid"' in html)
    ] == []


def test_a_square_is_told_from_another_without_colour_and_without_script(report: Path) -> None:
    html = (report / "index.html").read_text(encoding="utf-8")
    squares = re.findall(r'<td role="cell" class="g-[a-z]+">(.*?)</td>', html)
    assert squares and all(re.search(r"<b>[a-z].*</b>", square) for square in squares)


def test_field_and_skips_stand_on_the_page_and_in_the_data(report: Path, study: Study) -> None:
    text = Page((report / "index.html").read_text(encoding="utf-8")).text
    assert "Agreement with the field" in text and "What could not be measured here" in text
    for row in study.field_rows:
        for part in (row.source, row.published, row.because):
            assert part in text
    record = json.loads((report / "claims.json").read_text(encoding="utf-8"))
    assert [row["agreement"] for row in record["field"]] == ["agrees", "differs", "not measured"]
    assert len(record["skips"]) == 3
    assert text.count("throttling a disk needs root") == 1, "one reason, said once"
    assert page.by_reason(study.skips)[0] == (
        "throttling a disk needs root",
        ["storage.ByBandwidth at 25 and 100 MB/s: 4 cells",
         "storage.ByBandwidth at 400 MB/s: 2 cells"],
    )  # fmt: skip


LOADED = (Reason("logged", ("loaded",)),)


@pytest.mark.parametrize(
    ("more", "expected"),
    [
        ({}, ""),
        ({"outcome": "unclear", "p_holm": 0.081, "more_rounds": 12},
         "p 0.081 after correction; about 12 more rounds would decide it"),
        ({"outcome": "unclear", "p_holm": 0.5, "more_rounds": 1, "reasons": LOADED},
         "loaded; p 0.5 after correction; about 1 more round would decide it"),
        ({"outcome": "for", "p_holm": 0.001, "more_rounds": None}, ""),
        ({"counts": False}, "context, not judged"),
        ({"outcome": "skipped", "reasons": (Reason("logged", ("needs root",)),)}, "needs root"),
    ],
)  # fmt: skip
def test_a_remark_says_why_and_what_would_decide(more: dict[str, Any], expected: str) -> None:
    assert remarks.remark(replace(cell({"px": 64}, 1.2, "for"), **more), "> 1.05") == expected


def test_an_own_bar_is_in_the_remark_where_the_table_shares_none() -> None:
    assert remarks.remark(cell({"px": 64}, 1.2, "for"), "") == "bar > 1.05"
    assert remarks.p_value(0.00001) == "< 0.001"


def test_a_citation_names_its_author_its_address_and_what_was_measured(study: Study) -> None:
    two = build(machines=2)
    source, post = cite.works()
    assert (
        source.authors and source.title and post.title == "Why is my PyTorch custom dataset slow?"
    )
    first = next(claim for claim in two.claims if claim.id == "C01")
    only = [one for one in first.evidence if one.machine == MACHINES[1]]
    contest = replace(only[0], benchmark="arms.Raw.track_raw")
    beside = replace(only[0], benchmark="trainers.Decode.track_epoch")  # of the standard profile
    for evidence, told in (
        (
            first.evidence,
            f"{MACHINES[0]} (commit {'1' * 10}) and {MACHINES[1]} (commit {'2' * 10})",
        ),
        (only, f"measured on {MACHINES[1]} (commit {'2' * 10}), profile"),
        ([beside], f"measured on {MACHINES[1]} (commit {'2' * 10}), profile"),
        ([*only, contest], f"{MACHINES[1]} (commits {'2' * 10} and c0ffeec0ff)"),
        ([], "rules c1a1"),
    ):
        claim = replace(first, evidence=evidence, title="Is it so?")
        for cited in (cite.text(two, claim), cite.bibtex(two, claim)):
            assert told.lower() in cited.lower() and source.authors[0] in cited, cited
            assert (MACHINES[0] in cited) is (MACHINES[0] in told)
            assert cite.address(claim) in cited and source.title in cited and "?." not in cited


@pytest.mark.parametrize(
    ("record", "expected"),
    [
        ({"url": "https://example.org/study"}, "https://example.org/study, {}"),
        ({"repository-code": "https://example.org/code"}, "https://example.org/code, {}"),
        ({}, "the address of this page"),
    ],
)
def test_an_address_is_the_recorded_one_or_the_pages_own(
    record: dict[str, str], expected: str, study: Study, monkeypatch: pytest.MonkeyPatch
) -> None:
    people = [{"family-names": "Ada", "given-names": "L."}, {"name": "A group"}]
    source = cite.work({"title": "T", "authors": people, **record})
    monkeypatch.setattr(cite, "works", lambda: (source, source))
    address = cite.address(study.claims[0])
    assert address == expected.format("results/report/index.html#C01")
    entry = cite.bibtex(study, study.claims[0])
    assert "author = {Ada, L. and {A group}}" in entry and address in entry


OLD, BOTH = "Python 3.11, torch 2.14", ["forkserver", "spawn"]


@pytest.mark.parametrize(
    ("starts", "expected"),
    [
        ({OLD: BOTH}, "3.11, with forkserver. Python 3.14 itself was not measured yet."),
        ({OLD: BOTH, "Python 3.14": BOTH}, "under Python 3.11 and Python 3.14, with forkserver."),
        ({OLD: BOTH, "Python 3.14, torch 2.14": ["spawn"]},
         "under Python 3.11, with forkserver. The start of workers was not measured yet under "
         "Python 3.14."),
        ({OLD: BOTH, "Python 3.14, torch 2.14": []}, "was not measured yet under Python 3.14."),
        ({OLD: ["spawn"], "Python 3.14": []}, "may not start. Not measured."),
        ({"": BOTH}, "Not measured."),
    ],
)  # fmt: skip
def test_the_advice_for_a_python_says_which_was_measured(
    starts: dict[str, list[str]], expected: str
) -> None:
    told = [one.take for one in instead.further(starts) if one.key == "python"]
    assert all(take.startswith("Yes") for take in told) and told[-1].endswith(expected)


@pytest.mark.parametrize(
    ("slopes", "expected"),
    [((-0.4, -0.3), "least for large images"), ((0.1, 0.3), "most for"), ((-1, 1), "no trend")],
)
def test_slopes_are_said_in_words(slopes: tuple[float, ...], expected: str) -> None:
    assert expected in trend([cell({}, slope, "for", quantity="slope") for slope in slopes])


def test_an_amount_is_shown_with_its_unit(study: Study, report: Path) -> None:
    text = Page((report / "index.html").read_text(encoding="utf-8")).text
    assert "1.19\u00a0epochs" in text
    assert "[4.05 or more]" in text  # open above
    assert "never pays" in text
    evidence = next(c for c in study_record(study)["claims"] if c["id"] == "X04")["evidence"]
    assert [cell["unit"] for cell in evidence] == ["epochs"] * 3
    assert evidence[2]["estimate"] is None and evidence[2]["reading"] == "never pays"
    assert [evidence[1][name] for name in ("high", "more_rounds", "p_holm")] == [None, 7, 0.06]
