"""The files of a report: same bytes twice, valid data, escaped text, and no figure left behind."""

from __future__ import annotations

import csv
import json
import math
import re
import shutil
import sys
import xml.etree.ElementTree as ElementTree
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import jsonschema
import pytest
from pydantic import ValidationError

from scripts import update_readme
from scripts.render_report import main, render
from scripts.report import figures, tables, wording
from scripts.report.fields import clean
from scripts.report.model import Study
from scripts.report.record import Report, study_record
from tests.folders import snapshot
from tests.shown import Page
from tests.synthetic_study import IDS, NASTY, build


@pytest.mark.slow
def test_same_study_same_bytes(
    report: Path, drawn: figures.Figures, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The committed report says it of figures: it is drawn anew, and compared byte for byte."""
    monkeypatch.setattr(figures, "build", lambda _: drawn)
    render(build(), tmp_path, "https://example.org/asv/")
    assert snapshot(tmp_path) == snapshot(report)


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


def test_readme_gets_one_number_of_a_claim(report: Path) -> None:
    record = json.loads((report / "claims.json").read_text(encoding="utf-8"))
    first = next(c for c in record["claims"] if c["effect"]["quantity"] == "ratio")
    first |= {"title": "a <b> | c", "finding": "Not this."}
    first["effect"]["arms"] = ["slow", "fast"]
    line = next(x for x in update_readme.table(record).splitlines() if f"[{first['id']}]" in x)
    assert "a &lt;b> \\| c" in line and line.endswith(f"| {first['headline']} slow / fast |")
    first["effect"] |= {"arms": ["slow"], "metric": "what it is"}
    assert update_readme.number(first).endswith("] what it is, slow")
    first["effect"] |= {"quantity": "amount", "arms": []}
    assert update_readme.number(first).endswith("] what it is")


WORDS = ("changed", "refused in 2 ways")  # outcomes that claims.toml has words for


@pytest.mark.parametrize(
    ("headline", "effect", "expected"),
    [
        ("1.4 epochs [1.3\u20131.5]",
         {"quantity": "amount", "unit": "epochs", "metric": "epochs until it pays", "low": 1.3,
          "arms": ["a", "b"]}, "1.4 epochs [1.3\u20131.5] until it pays, a / b"),
        ("1 of 20", {"metric": "versions in 20 epochs"}, "1 of 20 versions in 20 epochs, a"),
        ("0 opened per image", {"metric": "files opened"}, "0 opened per image, a"),
        (WORDS[0], {"metric": "stored data changed"}, "1 of 2 cells for it: stored data changed"),
        (WORDS[1], {"metric": "mixed shapes"}, "1 of 2 cells for it: mixed shapes"),
    ],
)  # fmt: skip
def test_it_is_a_number_and_no_sentence(
    headline: str, effect: dict[str, Any], expected: str
) -> None:
    cells = [{"machine": machine, "outcome": outcome, "counts": True,
              "reading": headline if headline in WORDS and outcome == "for" else ""}
             for machine in "xy" for outcome in ("for", "against", "skipped")]  # fmt: skip
    usual = {"quantity": "value", "unit": "", "low": None, "arms": ["a"]}
    claim = {"headline": headline, "finding": "Not this.", "evidence": cells}
    assert update_readme.number({**claim, "effect": usual | effect}) == expected


def test_a_link_that_leads_to_itself_is_one_sentence(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "self").symlink_to("self")
    for given in (["--out", str(tmp_path / "self")], ["--results", str(tmp_path / "self" / "x")]):
        assert main(given) == 2
        assert "symbolic link that leads to itself" in " ".join(capsys.readouterr().err.split())
    assert (tmp_path / "self").is_symlink()


def test_out_that_is_a_file_is_one_sentence(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "scripts.report.study", SimpleNamespace(load_study=None))
    (tmp_path / "file").write_text("", encoding="utf-8")
    assert main(["--out", str(tmp_path / "file")]) == 2
    assert "give a folder" in capsys.readouterr().err


@pytest.mark.parametrize("given", ["javascript:alert(1)", "data:text/html,<p>"])
def test_an_address_that_would_run_something_is_refused(
    given: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["--out", str(tmp_path / "report"), "--asv-pages", given]) == 2
    assert "give an address of http, https or a file" in capsys.readouterr().err
    assert not (tmp_path / "report").exists()


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
