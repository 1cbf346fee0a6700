"""The command that compares two folders of results."""

from __future__ import annotations

import csv
import json
import re
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from scripts import compare
from scripts.judging import judge
from scripts.judging.model import Cell
from scripts.judging.repeat import repeat_of
from scripts.render_report import main as render_main
from scripts.report import figures, page
from scripts.report.model import Study
from scripts.root import CLAIMS
from tests.claims_text import HEAD, RATIO, claim
from tests.commands import sentence
from tests.repeats import again
from tests.synthetic_results import Bench, Noise, load_evidence, write_results
from tests.synthetic_study import NASTY, build, drawing_less


@pytest.fixture(scope="module")
def first() -> Study:
    return build()


BY_RESOLUTION = RATIO.replace("ByImplementation", "ByResolution")
RULES = HEAD + claim(
    BY_RESOLUTION + "bar = 10.0\n",
    headline='{ px = 256, impl = "naive" }',
    identifier="C14",
    title="Preloading makes item access far cheaper",
    finding="It takes {headline}.",
)


def run_with(main: Callable[[list[str]], int], folder: Path, *arguments: object) -> int:
    """`main` under the one claim of `RULES`, whatever the project's own claims are."""
    claims = folder / "claims.toml"
    claims.write_text(RULES)
    return main([*map(str, arguments), "--claims", str(claims)])


def results(folder: Path, seed: int, **more: object) -> Path:
    """One small run that decides something: naive items take long, preloaded ones do not."""
    noise = Noise(seed=seed)
    slow = {"naive": float(str(more.pop("naive", 500.0))), "preloaded": 1.0}

    def value(factors: dict[str, object]) -> list[float]:
        return noise.around(slow[str(factors["impl"])])

    levels = {
        "n": [256], "px": [64, 256], "medium": ["disk-warm"], "stage": ["item"],
        "impl": ["naive", "preloaded"],
    }  # fmt: skip
    provenance = {"profile": more.pop("profile", "quick")}
    write_results(
        folder,
        [Bench("item.ByResolution.track_item", levels, value)],
        provenance=provenance,
        **more,  # type: ignore[arg-type]
    )
    return folder


@pytest.fixture
def two(tmp_path: Path) -> tuple[Path, Path]:
    return results(tmp_path / "one", 1), results(tmp_path / "two", 2)


def test_the_command_compares_two_folders(
    two: tuple[Path, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "out"
    assert run_with(compare.main, tmp_path, *two, "--out", out) == 0
    printed = capsys.readouterr().out
    assert "verdicts" in printed and str(out / "index.html") in printed.replace("\n", "")
    assert max(len(line) for line in printed.splitlines() if "Page:" not in line) <= 80
    rows = list(csv.DictReader((out / "cells.csv").read_text().splitlines()))
    assert rows and {row["comparison"] for row in rows} <= {
        "agrees", "differs", "undecided", "in one only",
    }  # fmt: skip
    assert "agrees" in {row["comparison"] for row in rows}
    for row in rows:
        assert float(row["first_low"]) < float(row["first"]) < float(row["first_high"])
    html = (out / "index.html").read_text()
    assert "default-src 'none'" in html and "<script" not in html
    assert not re.search(r"url\((?!#)|@import|src=", html)
    for link in re.findall(r'href="([^"#]+)"', html):
        assert (out / link).is_file(), link
    assert (out / "verdicts.csv").read_text().startswith("claim,first,second,same\n")


def test_two_machines_by_the_command(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    one = results(tmp_path / "one", 1)
    other = results(tmp_path / "two", 2, machine="other")
    assert run_with(compare.main, tmp_path, one, other, "--out", tmp_path / "out") == 0
    assert "second: other" in capsys.readouterr().out


def test_a_missing_folder_is_one_sentence(
    two: tuple[Path, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    absent = tmp_path / "absent"
    sentence(compare.main([str(two[0]), str(absent)]), capsys, str(absent))


def test_the_same_folder_twice_is_one_sentence(
    two: tuple[Path, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    copy = shutil.copytree(two[0], tmp_path / "copy")
    out = tmp_path / "out"
    code = run_with(compare.main, tmp_path, two[0], copy, "--out", out)
    sentence(code, capsys, "same run")
    assert not out.exists()


def test_out_that_is_a_file_is_one_sentence(
    two: tuple[Path, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "file").write_text("")
    arguments = [*map(str, two), "--out", str(tmp_path / "file")]
    sentence(compare.main(arguments), capsys, "give a folder")


@pytest.fixture
def repeated(tmp_path: Path) -> Path:
    """One folder with two runs of a machine."""
    results(tmp_path / "repeated", 1)
    again = {"commit": "f" * 40, "environment": "existing-py3.11-quick-repeat"}
    return results(tmp_path / "repeated", 2, **again)


def test_the_report_finds_a_second_run(repeated: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    assert run_with(render_main, tmp_path, "--results", repeated, "--out", out) == 0
    record = json.loads((out / "claims.json").read_text())
    assert record["repeat"]["cells"] == record["repeat"]["cells_agreeing"] == 2
    assert record["repeat"]["verdicts"] == [
        {"claim": "C14", "first": "supported", "second": "supported"}
    ]
    assert "Does it repeat?" in (out / "index.html").read_text()


def test_the_command_compares_the_two_runs_of_one_folder(
    repeated: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "out"
    assert run_with(compare.main, tmp_path, repeated, "--out", out) == 0
    assert "commit ffffffffff" in capsys.readouterr().out
    assert (out / "verdicts.csv").read_text().endswith("C14,supported,supported,True\n")


def test_a_folder_with_one_run_is_one_sentence(
    two: tuple[Path, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    sentence(run_with(compare.main, tmp_path, two[0]), capsys, "no second run", "make repeat")


def test_a_machine_that_only_one_run_has_is_left_out_of_the_comparison(
    two: tuple[Path, Path], repeated: Path, tmp_path: Path
) -> None:
    for folder in (two[0], repeated):
        results(folder, 3, machine="other", naive=1.0, started=1_600_000_000)
    arguments = ["--results", repeated, "--out", tmp_path / "out"]
    assert run_with(render_main, tmp_path, *arguments) == 0
    record = json.loads((tmp_path / "out" / "claims.json").read_text())
    assert record["claims"][0]["verdict"] == "conditional", "the other machine is in the report"
    assert record["repeat"]["verdicts"] == [
        {"claim": "C14", "first": "supported", "second": "supported"}
    ]
    assert run_with(compare.main, tmp_path, *two, "--out", tmp_path / "both") == 0
    assert (tmp_path / "both" / "verdicts.csv").read_text().endswith("supported,supported,True\n")


def test_a_second_run_of_another_profile_is_refused_before_anything_is_judged(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(judge, "evidence_of", lambda *given: pytest.fail("it was judged"))
    one = results(tmp_path / "one", 1)
    other = results(tmp_path / "two", 2, profile="full")
    arguments = [str(one), str(other), "--out", str(tmp_path / "out")]
    sentence(compare.main(arguments), capsys, "full", "quick", "same profile")
    assert not (tmp_path / "out").exists()


def test_results_below_a_results_folder_are_not_read(tmp_path: Path) -> None:
    """One level is a machine; deeper folders, such as a second run's, are somebody else's."""
    outer = results(tmp_path / "results", 1)
    before = load_evidence([outer]).cells["samples"].tolist()
    later = 2_000_000_000
    inner = results(outer / "repeat", 2, started=later)
    assert load_evidence([outer]).cells["samples"].tolist() == before
    assert load_evidence([inner]).cells["samples"].tolist() != before


@pytest.mark.slow
def test_nasty_text_is_shown_not_run(first: Study) -> None:
    def change(claim: str, cell: Cell) -> Cell:
        if cell.test == NASTY and not cell.counts:
            return cell
        return replace(cell, outcome={"for": "against", "against": "for"}.get(cell.outcome, "for"))

    nasty = replace(
        first,
        claims=[
            replace(c, evidence=[replace(cell, test=NASTY) for cell in c.evidence[:3]])
            for c in first.claims
        ],
    )
    found = repeat_of(nasty, again(nasty, change))
    html = compare.html({claim.id: NASTY for claim in first.claims}, found, None)
    assert "<script" not in html and "&lt;script&gt;" in html
    with drawing_less():
        shown = page.page(replace(nasty, repeat=found), figures.build(nasty), "")
    assert "<script>alert" not in shown


def test_claims_file_is_the_default(two: tuple[Path, Path]) -> None:
    assert compare.parse([*map(str, two)]).claims == CLAIMS
