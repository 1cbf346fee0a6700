"""The rendered report: same bytes twice, valid data, safe text, and no figure left behind."""

from __future__ import annotations

import csv
import json
import math
import re
import shutil
import sys
import xml.etree.ElementTree as ElementTree
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import jsonschema
import pytest
from pydantic import ValidationError
from rich.console import Console

from scripts import update_readme
from scripts.judging.model import Reason, Verdict
from scripts.render_report import main, render
from scripts.report import cite, figures, instead, page, tables, terminal, wording
from scripts.report.figures.overview import item_stages
from scripts.report.figures.style import SERIES
from scripts.report.figures.values import inks
from scripts.report.model import Study
from scripts.report.record import Report, clean, study_record
from scripts.report.reference import differences
from scripts.report.sentences import trend
from tests.synthetic_study import MACHINES, NASTY, build, cell, drawing_less

IDS = [f"C{i:02}" for i in range(1, 21)] + [f"X{i:02}" for i in range(1, 13)]


@pytest.fixture(scope="module")
def study() -> Study:
    return build()


@pytest.fixture(scope="module")
def drawn(study: Study) -> figures.Figures:
    return figures.build(study)


@pytest.fixture(scope="module")
def report(study: Study, drawn: figures.Figures, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("report")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(figures, "build", lambda _: drawn)
        render(study, out, "https://example.org/asv/")
    return out


class Page(HTMLParser):
    """Ids, tags, links and visible text of a page."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.ids: list[str] = []
        self.links: list[str] = []
        self.tags: list[str] = []
        self.text = ""
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        values = dict(attrs)
        self.tags.append(tag)
        self.ids += [values["id"] or ""] if "id" in values else []
        self.links += [values["href"] or ""] if "href" in values else []

    def handle_data(self, data: str) -> None:
        self.text += data


def contents(out: Path) -> dict[str, bytes]:
    return {str(p.relative_to(out)): p.read_bytes() for p in sorted(out.rglob("*")) if p.is_file()}


@pytest.mark.slow
def test_same_study_same_bytes(report: Path, tmp_path: Path) -> None:
    render(build(), tmp_path, "https://example.org/asv/")
    assert contents(tmp_path) == contents(report)


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


def test_svg_files_are_well_formed_and_described(report: Path) -> None:
    files = sorted((report / "figures").glob("*.svg"))
    assert files
    for path in files:
        root = ElementTree.fromstring(path.read_text(encoding="utf-8"))
        names = [child.tag.rpartition("}")[2] for child in root]
        assert {"title", "desc"} <= set(names), path.name
        assert path.with_suffix(".csv").is_file(), path.name


def test_json_follows_the_schema_and_has_no_nan(report: Path) -> None:
    def refuse(constant: str) -> None:
        raise AssertionError(f"{constant} in claims.json")

    text = (report / "claims.json").read_text(encoding="utf-8")
    record = json.loads(text, parse_constant=refuse)
    schema = json.loads((report / "claims.schema.json").read_text(encoding="utf-8"))
    jsonschema.validate(record, schema)
    assert [claim["id"] for claim in record["claims"]] == IDS
    assert {claim["verdict"] for claim in record["claims"]} == set(wording.ICONS)
    assert record["claims"][0]["evidence"][0]["px"] == 64


def test_schema_refuses_an_unknown_verdict(study: Study) -> None:
    record = study_record(study)
    record["claims"][0]["verdict"] = "proven"
    with pytest.raises(ValidationError):
        Report.model_validate(record)


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
def test_not_finite_becomes_null(value: float) -> None:
    assert clean(value) is None


def test_floats_keep_four_significant_digits() -> None:
    assert clean(5.234567) == 5.235
    assert clean(1024) == 1024


def test_csv_and_markdown_keep_one_row_a_claim(report: Path) -> None:
    with (report / "claims.csv").open(encoding="utf-8", newline="") as handle:
        assert [row["id"] for row in csv.DictReader(handle)] == IDS
    lines = (report / "claims.md").read_text(encoding="utf-8").splitlines()
    bars = [len(re.findall(r"(?<!\\)\|", line)) for line in lines if line.startswith("|")]
    assert len(bars) == len(IDS) + 2
    assert set(bars) == {6}


def test_markdown_and_latex_are_escaped() -> None:
    markdown, latex = tables.escape_md(NASTY), tables.escape_tex(NASTY)
    assert "<" not in markdown
    assert r"\|" in markdown and r"\*bold\*" in markdown
    assert not re.search(r"(?<!\\)[&%#_]", latex)
    for special in (r"\textless{}", r"\%", r"\_", r"\textbackslash{}", r"\textasciicircum{}"):
        assert special in latex


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
        (("conditional", "inconclusive"), True),
        (("not tested", "not tested"), False),
    ],
)
def test_a_machine_that_tested_nothing_disagrees_with_nobody(
    tmp_path: Path, verdicts: tuple[Verdict, Verdict], differ: bool
) -> None:
    two = build(machines=2)
    by_machine = dict(zip(("bench-a", "bench-b"), verdicts, strict=True))
    study = replace(two, claims=[replace(claim, by_machine=by_machine) for claim in two.claims])
    text = Page(page.page(study, figures.build(build(missing=True)), "")).text
    assert ("The machines disagree." in text) is differ
    assert ("machines disagree" in in_a_terminal(study, tmp_path)) is differ


def test_missing_data_is_said_not_raised(tmp_path: Path) -> None:
    written = render(build(missing=True), tmp_path, "")
    assert not [path for path in written if path.suffix == ".svg"]
    page = Page((tmp_path / "index.html").read_text(encoding="utf-8"))
    assert set(IDS) <= set(page.ids)
    assert "no run measured" in page.text
    assert not {"field", "skipped"} & set(page.ids), "a section without content"


def test_stale_figures_go_and_other_files_stay(report: Path, tmp_path: Path) -> None:
    out = shutil.copytree(report, tmp_path / "report")
    foreign = out / "figures" / "sketch.svg"
    foreign.write_text("<svg/>", encoding="utf-8")
    render(build(missing=True), out, "")
    assert [path.name for path in (out / "figures").iterdir()] == ["sketch.svg"]


def in_a_terminal(study: Study, tmp_path: Path, columns: int = 80) -> str:
    with (tmp_path / "log").open("w") as log:
        console = Console(width=columns, record=True, file=log)
        terminal.print_study(study, Path("index.html"), console)
        return console.export_text()


@pytest.mark.parametrize("columns", [60, 80, 160])
def test_the_terminal_answers_first_and_cuts_nothing(
    study: Study, tmp_path: Path, columns: int
) -> None:
    shown = in_a_terminal(study, tmp_path, columns)
    lines = shown.splitlines()
    assert max(len(line) for line in lines) <= columns
    assert all(any(line.startswith(name) for line in lines) for name in IDS)
    assert "\u2026" not in shown
    flat = re.sub(r"\s+", "", shown)
    assert all(re.sub(r"\s+", "", claim.title) in flat for claim in study.claims) or columns < 160
    places = [flat.find(re.sub(r"\s+", "", part)) for part in (
        f"{study.points[0].text} [C13]", "claimverdict" if columns > 99 else "idclaim",
        "Undecided, and what would decide it", "Images: bundled photographs", "Report: index.html",
        "make doctor TARGET=",
    )]  # fmt: skip
    assert -1 not in places and places == sorted(places)
    assert "(naive/preloaded)" in flat or columns < 160, "an effect has its subject"


def test_the_terminal_says_where_the_committed_results_differ_and_why(
    study: Study, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    record = study_record(study)
    first, second = record["claims"][0], record["claims"][5]
    first["verdict"] = second["verdict"] = "conditional"
    first["cells"]["total"] += 9
    record["machines"][0]["name"] = "elsewhere"
    path = tmp_path / "claims.json"
    path.write_text(json.dumps(record), encoding="utf-8")
    total = study.claims[0].cells.total
    assert differences(study, path) == [
        f"C01: supported here, conditional in the committed results; the {study.profile} profile "
        f"has {total} of its {total + 9} cells.",
        "C06: supported here, conditional in the committed results; bench-a is another machine "
        "than elsewhere.",
    ]
    monkeypatch.setattr(terminal, "REFERENCE", path)
    assert "Other than the committed results" in in_a_terminal(study, tmp_path)
    for text in ("{", "[]", '{"claims": [1], "machines": []}'):
        path.write_text(text, encoding="utf-8")
        assert differences(study, path) == []
    assert differences(study, tmp_path / "absent.json") == []


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


def test_figures_print_numbers_whole(drawn: figures.Figures) -> None:
    """Coordinates are shortened, data is not: 1.02 must not read 1.0."""
    assert "1.02\u00d7 [" in drawn.by_claim["C06"].svg


def test_no_label_of_a_figure_is_cut(drawn: figures.Figures) -> None:
    assert not [chart.name for chart in drawn.all() if "\u2026" in chart.svg + chart.narrow]
    assert "faster \u2190" in drawn.by_claim["C02"].svg, "a ratio says which way is faster"


def test_a_stage_has_the_share_that_its_claim_gives_it(study: Study) -> None:
    share = {"quantity": "share", "treatment": "naive", "baseline": "", "bar": None}
    cells = [
        cell({"px": 256, "stage": stage, "medium": "disk-warm"}, value, "for", **share)
        for stage, value in (("read", 0.02), ("decode", 0.84), ("convert", 0.09))
    ]
    chart = item_stages(replace(study, claims=[replace(study.claims[0], evidence=cells)]))
    assert isinstance(chart, figures.Chart) and "84 %" in chart.svg
    assert isinstance(item_stages(replace(study, claims=[])), str)


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
    assert page.remark(replace(cell({"px": 64}, 1.2, "for"), **more), "> 1.05") == expected


def test_an_own_bar_is_in_the_remark_where_the_table_shares_none() -> None:
    assert page.remark(cell({"px": 64}, 1.2, "for"), "") == "bar > 1.05"
    assert page.p_value(0.00001) == "< 0.001"


def test_a_citation_names_its_author_its_address_and_what_was_measured(study: Study) -> None:
    two = build(machines=2)
    source, post = cite.works()
    assert (
        source.authors and source.title and post.title == "Why is my PyTorch custom dataset slow?"
    )
    first = next(claim for claim in two.claims if claim.id == "C01")
    only = [one for one in first.evidence if one.machine == MACHINES[1]]
    contest = replace(only[0], benchmark="arms.Raw.track_raw")
    for evidence, told in (
        (
            first.evidence,
            f"{MACHINES[0]} (commit {'1' * 10}) and {MACHINES[1]} (commit {'2' * 10})",
        ),
        (only, f"measured on {MACHINES[1]} (commit {'2' * 10}), profile"),
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


@pytest.mark.parametrize(
    ("environments", "expected"),
    [
        (["Python 3.11, torch 2.14"], "forkserver. Python 3.14 itself was not measured yet."),
        (["Python 3.14", "Python 3.11"], "under Python 3.11 and Python 3.14, with forkserver."),
        ([""], "Not measured."),
    ],
)
def test_the_advice_for_a_python_says_which_was_measured(
    environments: list[str], expected: str
) -> None:
    told = [one.take for one in instead.further(environments) if one.key == "python"]
    assert all(take.startswith("Yes") for take in told) and told[-1].endswith(expected)


def test_a_machine_has_not_the_colour_of_an_outcome() -> None:
    cells = [cell({}, 1.2, "for", machine=f"m{i}") for i in range(9)]
    assert not {SERIES[0], SERIES[1], SERIES[7]} & set(inks(cells).values())


@pytest.mark.parametrize(
    ("slopes", "expected"),
    [((-0.4, -0.3), "least for large images"), ((0.1, 0.3), "most for"), ((-1, 1), "no trend")],
)
def test_slopes_are_said_in_words(slopes: tuple[float, ...], expected: str) -> None:
    assert expected in trend([cell({}, slope, "for", quantity="slope") for slope in slopes])


def test_readme_gets_one_number_of_a_claim(report: Path) -> None:
    record = json.loads((report / "claims.json").read_text(encoding="utf-8"))
    first = next(c for c in record["claims"] if c["effect"]["quantity"] == "ratio")
    first |= {"title": "a <b> | c", "finding": "Not this."}
    first["effect"]["arms"] = ["slow", "fast"]
    line = next(x for x in update_readme.table(record).splitlines() if f"[{first['id']}]" in x)
    assert "a &lt;b> \\| c" in line and line.endswith(f"| {first['headline']} slow / fast |")
    first["effect"] |= {"arms": ["slow"], "metric": "what it is"}
    assert update_readme.number(first).endswith("] what it is, slow")
    first["finding"] = "It pays after 2.1 epochs [1.9\u20132.3]; here 3. And so on."
    for quantity in ("amount", "value"):
        first["effect"]["quantity"] = quantity
        assert update_readme.number(first) == "It pays after 2.1 epochs [1.9\u20132.3]."
    first["effect"] |= {"quantity": "amount", "arms": []}
    assert update_readme.number(first).endswith("] what it is")


def test_ids_of_inlined_figures_differ(drawn: figures.Figures) -> None:
    shown = "".join(chart.svg + chart.narrow for chart in drawn.all())
    ids = re.findall(r' id="([^"]+)"', shown)
    assert len(ids) == len(set(ids))


def test_out_that_is_a_file_is_one_sentence(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "scripts.report.study", SimpleNamespace(load_study=None))
    (tmp_path / "file").write_text("", encoding="utf-8")
    assert main(["--out", str(tmp_path / "file")]) == 2
    assert "give a folder" in capsys.readouterr().err


def test_command_renders_what_the_judge_returns(
    drawn: figures.Figures,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(figures, "build", lambda _: drawn)
    judge = SimpleNamespace(load_study=lambda results, claims: build(missing=not results))
    monkeypatch.setitem(sys.modules, "scripts.report.study", judge)
    assert main(["--results", "a", "b", "--out", str(tmp_path / "out")]) == 0
    assert f"{wording.tally(build())['supported']} supported" in capsys.readouterr().out
    assert (tmp_path / "out" / "claims.json").is_file()


def test_an_amount_is_shown_with_its_unit(study: Study, report: Path) -> None:
    text = Page((report / "index.html").read_text(encoding="utf-8")).text
    assert "1.19\u00a0epochs" in text
    assert "[4.05 or more]" in text  # open above
    assert "never pays" in text
    evidence = next(c for c in study_record(study)["claims"] if c["id"] == "X04")["evidence"]
    assert [cell["unit"] for cell in evidence] == ["epochs"] * 3
    assert evidence[2]["estimate"] is None and evidence[2]["reading"] == "never pays"
    assert [evidence[1][name] for name in ("high", "more_rounds", "p_holm")] == [None, 7, 0.06]


def test_an_amount_is_drawn_on_a_log_axis_and_never_is_said(drawn: figures.Figures) -> None:
    chart = drawn.by_claim["X04"]
    assert "(epochs)" in chart.svg and "1.19 [1.09" in chart.svg
    assert "1 cell that never pays has no place on the axis" in chart.caption
    assert "Dashed: the claim's own bar (< 3)" in chart.caption


def test_break_even_figure_shows_the_judged_crossing_and_one_from_its_lines(
    drawn: figures.Figures,
) -> None:
    chart = next(c for c in drawn.overview if c.name == "break-even")
    rows = chart.data.set_index("impl")
    assert list(rows.index) == ["naive", "preloaded", "mapped"]
    assert rows.loc["preloaded", "crossing"] == 1.19  # the claim's own cell
    assert rows.loc["preloaded", "low"] == pytest.approx(1.19 * 0.92)
    # No claim judged the mapped one: its crossing is that of the lines drawn, without an interval.
    naive, mapped = rows.loc["naive"], rows.loc["mapped"]
    extra = mapped["construction"] - naive["construction"]
    expected = extra / (naive["epoch"] - mapped["epoch"])
    assert mapped["crossing"] == pytest.approx(expected) and math.isnan(mapped["low"])
    assert "even after 1.19" in chart.svg and "even after" in chart.narrow
