"""The rendered report: same bytes twice, valid data, safe text, and no figure left behind."""

from __future__ import annotations

import csv
import json
import math
import re
import sys
import xml.etree.ElementTree as ElementTree
from html.parser import HTMLParser
from pathlib import Path
from types import SimpleNamespace

import pytest
from jsonschema import ValidationError
from rich.console import Console

from scripts import figures, tables, terminal, wording
from scripts.model import Study
from scripts.render_report import main, render
from tests.synthetic_study import NASTY, build

IDS = [f"C{i:02}" for i in range(1, 21)] + [f"X{i:02}" for i in range(1, 10)]


@pytest.fixture(scope="module")
def study() -> Study:
    return build()


@pytest.fixture(scope="module")
def report(study: Study, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("report")
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


def test_same_study_same_bytes(report: Path, tmp_path: Path) -> None:
    render(build(), tmp_path, "https://example.org/asv/")
    assert contents(tmp_path) == contents(report)


def test_page_has_every_anchor_and_no_dangling_link(report: Path) -> None:
    page = Page((report / "index.html").read_text(encoding="utf-8"))
    assert set(IDS) <= set(page.ids)
    assert len(page.ids) == len(set(page.ids)), "an id occurs twice"
    for link in page.links:
        if link.startswith("#"):
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
    tables.validator().validate(record)
    assert [claim["id"] for claim in record["claims"]] == IDS
    assert {claim["verdict"] for claim in record["claims"]} == set(wording.ICONS)
    assert record["claims"][0]["evidence"][0]["px"] == 64


def test_schema_refuses_an_unknown_verdict(study: Study) -> None:
    record = tables.study_record(study)
    record["claims"][0]["verdict"] = "proven"
    with pytest.raises(ValidationError):
        tables.validator().validate(record)


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
def test_not_finite_becomes_null(value: float) -> None:
    assert tables.clean(value) is None


def test_floats_keep_four_significant_digits() -> None:
    assert tables.clean(5.234567) == 5.235
    assert tables.clean(1024) == 1024


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


def test_two_machines_show_their_disagreement(tmp_path: Path) -> None:
    render(build(machines=2), tmp_path, "")
    text = Page((tmp_path / "index.html").read_text(encoding="utf-8")).text
    assert "The machines disagree." in text
    head = (tmp_path / "claims.csv").read_text(encoding="utf-8").splitlines()[0]
    assert head.endswith("verdict on bench-a,verdict on bench-b")


def test_missing_data_is_said_not_raised(tmp_path: Path) -> None:
    written = render(build(missing=True), tmp_path, "")
    assert not [path for path in written if path.suffix == ".svg"]
    page = Page((tmp_path / "index.html").read_text(encoding="utf-8"))
    assert set(IDS) <= set(page.ids)
    assert "no run measured" in page.text


def test_stale_figures_go_and_other_files_stay(tmp_path: Path) -> None:
    render(build(), tmp_path, "")
    foreign = tmp_path / "figures" / "sketch.svg"
    foreign.write_text("<svg/>", encoding="utf-8")
    render(build(missing=True), tmp_path, "")
    assert [path.name for path in (tmp_path / "figures").iterdir()] == ["sketch.svg"]


def test_terminal_table_fits_80_columns(study: Study, tmp_path: Path) -> None:
    console = Console(width=80, record=True, file=(tmp_path / "log").open("w"))
    terminal.print_study(study, Path("index.html"), console)
    lines = console.export_text().splitlines()
    assert max(len(line) for line in lines) <= 80
    assert all(any(line.startswith(name) for line in lines) for name in IDS)
    assert any("55 % [54-56]" in line for line in lines)


def test_figures_print_numbers_whole(study: Study) -> None:
    """Coordinates are shortened, data is not: 0.012 must not read 0.01."""
    assert "0.012 [0.011" in figures.build(study).by_claim["C06"].svg


def test_ids_of_inlined_figures_differ(study: Study) -> None:
    drawn = "".join(chart.svg + chart.narrow for chart in figures.build(study).all())
    ids = re.findall(r' id="([^"]+)"', drawn)
    assert len(ids) == len(set(ids))


def test_out_that_is_a_file_is_one_sentence(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "scripts.judge", SimpleNamespace(load_study=None))
    (tmp_path / "file").write_text("", encoding="utf-8")
    assert main(["--out", str(tmp_path / "file")]) == 2
    assert "give a folder" in capsys.readouterr().err


def test_command_renders_what_the_judge_returns(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    judge = SimpleNamespace(load_study=lambda results, claims: build(missing=not results))
    monkeypatch.setitem(sys.modules, "scripts.judge", judge)
    assert main(["--results", "a", "b", "--out", str(tmp_path / "out")]) == 0
    assert "6 supported" in capsys.readouterr().out
    assert (tmp_path / "out" / "claims.json").is_file()
