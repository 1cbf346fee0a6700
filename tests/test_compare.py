"""Two sets of results compared: what counts as the same, what is written, and what is refused."""

from __future__ import annotations

import csv
import json
import math
import re
import shutil
import xml.etree.ElementTree as ElementTree
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from datasets_impl.errors import StudyError
from scripts import compare, figures, page, tables
from scripts import repeat as repeating
from scripts.evidence import load_evidence
from scripts.figures_repeat import drawable, repeat_chart
from scripts.model import Cell, Study, Verdict
from scripts.render_report import main as render_main
from scripts.render_report import render
from scripts.repeat import repeat_of
from scripts.root import CLAIMS
from tests.claims_text import HEAD, claim
from tests.synthetic_results import Bench, Noise, write_results
from tests.synthetic_study import NASTY, build

Change = Callable[[str, Cell], Cell]


def again(study: Study, change: Change | None = None, **verdicts: Verdict) -> Study:
    """A second run: every effect a little off, and `change` and `verdicts` on top of that."""

    def measured(claim: str, cell: Cell) -> Cell:
        if cell.quantity != "value" and None not in (cell.estimate, cell.low, cell.high):
            off = {name: getattr(cell, name) * 1.01 for name in ("estimate", "low", "high")}
            cell = replace(cell, **off)
        return change(claim, cell) if change else cell

    return replace(
        study,
        claims=[
            replace(
                claim,
                verdict=verdicts.get(claim.id, claim.verdict),
                evidence=[measured(claim.id, cell) for cell in claim.evidence],
            )
            for claim in study.claims
        ],
    )


def turned(claim: str, cell: Cell) -> Cell:
    """The cells of C01 at 64 px come out the other way."""
    if claim == "C01" and cell.factors["px"] == 64:
        return replace(cell, outcome="against")
    return cell


@pytest.fixture(scope="module")
def first() -> Study:
    return build()


# --- what is compared ------------------------------------------------------------------------


def test_a_run_that_repeats_agrees_throughout(first: Study) -> None:
    found = repeat_of(first, again(first))
    decided = [
        cell
        for claim in first.claims
        for cell in claim.evidence
        if cell.counts and cell.outcome in ("for", "against")
    ]
    assert found.cells == found.agreeing == len(decided) > 100
    assert found.flips == 0 and repeating.counted_once(found) == 0
    assert not repeating.differing(found) and not repeating.differing_cells(found)
    tested = [claim for claim in first.claims if claim.verdict != "not tested"]
    assert len(found.verdicts) == len(tested)
    assert repeating.sentence(found) == (
        f"{len(tested)} of {len(tested)} verdicts and 100\u00a0% of the cells decided in both agree"
    )


def test_cells_that_turn_are_counted_and_named(first: Study) -> None:
    whole = repeat_of(first, again(first))
    found = repeat_of(first, again(first, turned))
    assert (found.cells, found.agreeing) == (whole.cells, whole.cells - 2)
    differing = repeating.differing_cells(found)
    assert [row["claim"] for row in differing] == ["C01", "C01"]
    assert {row["factors"] for row in differing} == {"256 images, 64 px", "1,024 images, 64 px"}
    assert differing[0]["first_outcome"] == "for" and differing[0]["second_outcome"] == "against"
    assert differing[0]["first_words"].startswith("55\u00a0% [")


def test_flips_are_told_from_other_differences(first: Study) -> None:
    verdicts = {claim.id: claim.verdict for claim in first.claims}
    assert (verdicts["C01"], verdicts["C02"], verdicts["C03"]) == (
        "supported",
        "challenged",
        "conditional",
    )
    second = again(first, C01="challenged", C02="inconclusive", C03="conditional")
    found = repeat_of(first, second)
    assert found.flips == 1
    assert repeating.differing(found) == [
        ("C01", "supported", "challenged"),
        ("C02", "challenged", "inconclusive"),
    ]
    assert repeating.agreeing_verdicts(found) == len(found.verdicts) - 2


def test_undecided_and_context_cells_are_not_counted(first: Study) -> None:
    def change(claim: str, cell: Cell) -> Cell:
        if claim == "C01":
            return replace(cell, outcome="unclear")
        return replace(cell, outcome="for") if not cell.counts else cell

    whole, found = repeat_of(first, again(first)), repeat_of(first, again(first, change))
    own = [cell for claim in first.claims if claim.id == "C01" for cell in claim.evidence]
    assert found.cells == found.agreeing == whole.cells - len(own)
    assert repeating.counted_once(found) == len(own)
    rows = found.effects
    assert set(rows.loc[rows["claim"] == "C01", "comparison"]) == {"undecided"}
    assert (~rows["counts"].astype(bool)).any(), "context cells stay in the table"


def test_cells_of_one_run_only_are_shown_not_counted(first: Study) -> None:
    second = again(first)
    (claim,) = (claim for claim in second.claims if claim.id == "C07")
    shorter = replace(claim, evidence=claim.evidence[1:])
    second = replace(second, claims=[shorter if c.id == "C07" else c for c in second.claims])
    whole, found = repeat_of(first, again(first)), repeat_of(first, second)
    (row,) = found.effects[found.effects["comparison"] == "in one only"].to_dict("records")
    assert (row["claim"], row["second_outcome"]) == ("C07", "")
    assert math.isnan(row["second"]) and row["first"] > 0
    assert found.cells == whole.cells - 1
    assert repeat_of(second, first).cells == found.cells


def test_two_machines_are_compared_whatever_their_names(first: Study) -> None:
    (machine,) = first.machines

    def elsewhere(claim: str, cell: Cell) -> Cell:
        return replace(cell, machine="elsewhere")

    second = replace(again(first, elsewhere), machines=[replace(machine, name="elsewhere")])
    found = repeat_of(first, second)
    assert found.cells == repeat_of(first, again(first)).cells
    assert set(found.effects["machine"]) == {"bench-a / elsewhere"}
    assert found.first.startswith("bench-a, ") and found.second.startswith("elsewhere, ")


def test_of_several_machines_the_common_ones_are_compared(first: Study) -> None:
    both = build(machines=2)
    found = repeat_of(both, again(first))
    assert set(found.effects["machine"]) == {"bench-a"}
    assert found.cells == repeat_of(first, again(first)).cells


def test_several_machines_without_a_common_one_are_refused(first: Study) -> None:
    both = build(machines=2)
    other = replace(first, machines=[replace(first.machines[0], name="elsewhere")])
    with pytest.raises(StudyError, match="no machine in common"):
        repeat_of(both, other)


def test_a_run_is_not_its_own_repetition(first: Study) -> None:
    with pytest.raises(StudyError, match="the same run"):
        repeat_of(first, build())


def test_the_share_is_never_rounded_up_to_all_of_them(first: Study) -> None:
    found = replace(repeat_of(first, again(first)), cells=2000, agreeing=1999)
    assert "99.9\u00a0%" in repeating.sentence(found)
    nothing = replace(found, cells=0, agreeing=0)
    assert repeating.sentence(nothing).endswith("no cell is decided in both")


# --- the figure ------------------------------------------------------------------------------


def test_the_figure_shows_every_positive_effect(first: Study) -> None:
    found = repeat_of(first, again(first, turned))
    chart = repeat_chart(found)
    assert chart is not None and chart.narrow != chart.svg
    shown = drawable(found.effects)
    assert set(shown["quantity"]) <= {"ratio", "share", "amount"}
    assert (shown[["first", "second"]] > 0).all(axis=None) and shown["counts"].all()
    for svg in (chart.file_svg, chart.narrow):
        root = ElementTree.fromstring(svg)
        assert [e.tag.rpartition("}")[2] for e in root][:1] in (["title"], ["style"])
        for word in ("decided alike", "decided differently", "second run"):
            assert word in svg
    assert f"{len(shown)} effects" in chart.caption
    assert "Half of the effects differ by less than 1.0 %" in chart.caption
    assert len(list(csv.DictReader(chart.csv.splitlines()))) == len(found.effects)


def test_no_common_effect_no_figure(first: Study) -> None:
    def infinite(claim: str, cell: Cell) -> Cell:
        return replace(cell, estimate=math.inf, high=None) if cell.estimate else cell

    assert repeat_chart(repeat_of(first, again(first, infinite))) is None
    nothing = build(missing=True)
    assert repeat_chart(repeat_of(nothing, nothing)) is None


# --- the report ------------------------------------------------------------------------------


def files(folder: Path) -> dict[str, bytes]:
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


def repeated(study: Study) -> Study:
    return replace(study, repeat=repeat_of(study, again(study, turned, C01="challenged")))


def test_the_page_says_how_far_it_repeats(first: Study, tmp_path: Path) -> None:
    study = repeated(first)
    assert study.repeat is not None
    render(study, tmp_path)
    html = (tmp_path / "index.html").read_text()
    hero = html[html.index('class="hero"') : html.index("</header>")]
    words = repeating.sentence(study.repeat)
    assert words in hero and html.count(words) >= 2
    assert '<a href="#repeat">Does it repeat?</a>' in html and 'id="repeat"' in html
    section = html[html.index('id="repeat"') :]
    section = section[: section.index("</section>")]
    assert "1 turns between supported and challenged" in section
    assert "Cells decided differently: 2" in section
    assert html.index('id="overview"') < html.index('id="repeat"') < html.index('id="method"')
    for link in re.findall(r'href="(figures/repeat\.\w+)"', section):
        assert (tmp_path / link).is_file()
    ids = re.findall(r' id="([^"]+)"', html)
    assert len(ids) == len(set(ids))


def test_a_page_without_a_second_run_does_not_mention_one(first: Study, tmp_path: Path) -> None:
    render(repeated(first), tmp_path)
    assert (tmp_path / "figures" / "repeat.svg").is_file()
    render(first, tmp_path)
    html = (tmp_path / "index.html").read_text()
    assert "Does it repeat?" not in html and 'id="repeat"' not in html and "Repeat run" not in html
    assert not (tmp_path / "figures" / "repeat.svg").exists()
    assert not (tmp_path / "figures" / "repeat.csv").exists()
    assert "repeat" not in json.loads((tmp_path / "claims.json").read_text())


def test_claims_json_has_the_counts(first: Study) -> None:
    study = repeated(first)
    assert study.repeat is not None
    record = json.loads(tables.claims_json(study))["repeat"]
    assert record["flips"] == 1
    assert record["cells"] - record["cells_agreeing"] == 2
    assert record["cells"] == study.repeat.cells
    assert record["verdicts"][0] == {"claim": "C01", "first": "supported", "second": "challenged"}
    assert record["verdicts_agreeing"] == len(record["verdicts"]) - 1


def test_same_studies_same_bytes(first: Study, tmp_path: Path) -> None:
    for name in ("a", "b"):
        study = repeated(build())
        assert study.repeat is not None
        render(study, tmp_path / name / "report")
        compare.write(study, study.repeat, tmp_path / name / "compare")
    assert files(tmp_path / "a") == files(tmp_path / "b")
    assert any(name.endswith("repeat.svg") for name in files(tmp_path / "a"))


# --- the command -----------------------------------------------------------------------------


RATIO = """
[[claim.test]]
label = "naive / preloaded, item"
kind = "ratio"
metric = "item"
benchmarks = ["item.ByResolution"]
treatment = { impl = "naive" }
baseline = { impl = "preloaded" }
direction = "above"
bar = 10.0
"""
RULES = HEAD + claim(
    RATIO,
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


def refused(code: int, capsys: pytest.CaptureFixture[str], *words: str) -> None:
    error = capsys.readouterr().err
    assert code == 2
    assert error.startswith("error: ") and error.count("\n") == 1
    for word in words:
        assert word in error


def test_a_missing_folder_is_one_sentence(
    two: tuple[Path, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    absent = tmp_path / "absent"
    refused(compare.main([str(two[0]), str(absent)]), capsys, str(absent))


def test_the_same_folder_twice_is_one_sentence(
    two: tuple[Path, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    copy = shutil.copytree(two[0], tmp_path / "copy")
    out = tmp_path / "out"
    code = run_with(compare.main, tmp_path, two[0], copy, "--out", out)
    refused(code, capsys, "same run")
    assert not out.exists()


def test_out_that_is_a_file_is_one_sentence(
    two: tuple[Path, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "file").write_text("")
    arguments = [*map(str, two), "--out", str(tmp_path / "file")]
    refused(compare.main(arguments), capsys, "give a folder")


def test_the_report_takes_a_second_run(
    two: tuple[Path, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "out"
    arguments = ["--results", two[0], "--repeat", two[1], "--out", out]
    assert run_with(render_main, tmp_path, *arguments) == 0
    record = json.loads((out / "claims.json").read_text())
    assert record["repeat"]["cells"] == record["repeat"]["cells_agreeing"] == 2
    assert record["repeat"]["verdicts"] == [
        {"claim": "C14", "first": "supported", "second": "supported"}
    ]
    assert "Does it repeat?" in (out / "index.html").read_text()


def test_a_machine_that_only_one_run_has_is_left_out_of_the_comparison(
    two: tuple[Path, Path], tmp_path: Path
) -> None:
    results(two[0], 3, machine="other", naive=1.0, started=1_600_000_000)
    arguments = ["--results", two[0], "--repeat", two[1], "--out", tmp_path / "out"]
    assert run_with(render_main, tmp_path, *arguments) == 0
    record = json.loads((tmp_path / "out" / "claims.json").read_text())
    assert record["claims"][0]["verdict"] == "conditional", "the other machine is in the report"
    assert record["repeat"]["verdicts"] == [
        {"claim": "C14", "first": "supported", "second": "supported"}
    ]
    assert run_with(compare.main, tmp_path, *two, "--out", tmp_path / "both") == 0
    assert (tmp_path / "both" / "verdicts.csv").read_text().endswith("supported,supported,True\n")


def test_a_second_run_of_another_profile_is_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    one = results(tmp_path / "one", 1)
    other = results(tmp_path / "two", 2, profile="full")
    arguments = ["--results", str(one), "--repeat", str(other), "--out", str(tmp_path / "out")]
    refused(render_main(arguments), capsys, "full", "quick", "same profile")
    assert not (tmp_path / "out").exists()


def test_results_below_a_results_folder_are_not_read(tmp_path: Path) -> None:
    """One level is a machine; deeper folders, such as a second run's, are somebody else's."""
    outer = results(tmp_path / "results", 1)
    before = load_evidence([outer]).cells["samples"].tolist()
    later = 2_000_000_000
    inner = results(outer / "repeat", 2, started=later)
    assert load_evidence([outer]).cells["samples"].tolist() == before
    assert load_evidence([inner]).cells["samples"].tolist() != before


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
    html = compare.html(nasty, found, None)
    assert "<script" not in html and "&lt;script&gt;" in html
    shown = page.page(replace(nasty, repeat=found), figures.build(nasty), "")
    assert "<script>alert" not in shown


def test_claims_file_is_the_default(two: tuple[Path, Path]) -> None:
    assert compare.parse([*map(str, two)]).claims == CLAIMS
