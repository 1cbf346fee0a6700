"""Two runs compared: what agrees, what differs, the figure, and the page."""

from __future__ import annotations

import csv
import json
import math
import re
import shutil
import xml.etree.ElementTree as ElementTree
from dataclasses import replace
from pathlib import Path

import pytest

from datasets_impl.errors import StudyError
from scripts import compare
from scripts.judging.model import Cell
from scripts.judging.repeat import agreeing_verdicts, counted_once, differing, repeat_of
from scripts.render_report import render
from scripts.report import repeat as repeating
from scripts.report import tables
from scripts.report.figures.repeat import drawable, repeat_chart
from scripts.report.model import Study
from tests.folders import snapshot
from tests.repeats import again, turned
from tests.synthetic_study import build, drawing_less


@pytest.fixture(scope="module")
def first() -> Study:
    return build()


def test_a_run_that_repeats_agrees_throughout(first: Study) -> None:
    found = repeat_of(first, again(first))
    decided = [
        cell
        for claim in first.claims
        for cell in claim.evidence
        if cell.counts and cell.outcome in ("for", "against")
    ]
    assert found.cells == found.agreeing == len(decided) > 100
    assert found.flips == 0 and counted_once(found) == 0
    assert not differing(found) and not repeating.differing_cells(found)
    tested = [claim for claim in first.claims if claim.verdict != "not tested"]
    assert len(found.verdicts) == len(tested)
    assert repeating.sentence(found) == (
        f"{len(tested)} of {len(tested)} verdicts and 100\u00a0% of the cells decided in both agree"
    )


def test_cells_that_turn_are_counted_and_named(first: Study) -> None:
    whole = repeat_of(first, again(first))
    found = repeat_of(first, again(first, turned))
    assert (found.cells, found.agreeing) == (whole.cells, whole.cells - 2)
    cells = repeating.differing_cells(found)
    assert [row["claim"] for row in cells] == ["C01", "C01"]
    assert {row["factors"] for row in cells} == {"256 images, 64 px", "1,024 images, 64 px"}
    assert cells[0]["first_outcome"] == "for" and cells[0]["second_outcome"] == "against"
    assert cells[0]["first_words"].startswith("55\u00a0% [")


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
    assert differing(found) == [
        ("C01", "supported", "challenged"),
        ("C02", "challenged", "inconclusive"),
    ]
    assert agreeing_verdicts(found) == len(found.verdicts) - 2


def test_undecided_and_context_cells_are_not_counted(first: Study) -> None:
    def change(claim: str, cell: Cell) -> Cell:
        if claim == "C01":
            return replace(cell, outcome="unclear")
        return replace(cell, outcome="for") if not cell.counts else cell

    whole, found = repeat_of(first, again(first)), repeat_of(first, again(first, change))
    own = [cell for claim in first.claims if claim.id == "C01" for cell in claim.evidence]
    assert found.cells == found.agreeing == whole.cells - len(own)
    assert counted_once(found) == len(own)
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
    assert [words.split(", ")[0] for words in repeating.both(found)] == ["bench-a", "elsewhere"]


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


def repeated(study: Study) -> Study:
    return replace(study, repeat=repeat_of(study, again(study, turned, C01="challenged")))


def write_both(study: Study, out: Path) -> Path:
    """The report and the comparison."""
    assert study.repeat is not None
    with drawing_less():
        render(study, out / "report")
    compare.write({claim.id: claim.title for claim in study.claims}, study.repeat, out / "compare")
    return out


@pytest.fixture(scope="module")
def out(first: Study, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_both(repeated(first), tmp_path_factory.mktemp("out"))


@pytest.mark.slow
def test_the_page_says_how_far_it_repeats(first: Study, out: Path) -> None:
    study = repeated(first)
    assert study.repeat is not None
    html = (out / "report" / "index.html").read_text()
    hero = html[html.index('class="hero"') : html.index("</header>")]
    words = repeating.sentence(study.repeat)
    assert words in hero and html.count(words) >= 2
    assert '<a href="#repeat">Repeat</a>' in html and 'id="repeat"' in html
    section = html[html.index('id="repeat"') :]
    section = section[: section.index("</section>")]
    assert "1 turns between supported and challenged" in section
    assert "Cells decided differently: 2" in section
    assert html.index('id="overview"') < html.index('id="repeat"') < html.index('id="method"')
    for link in re.findall(r'href="(figures/repeat\.\w+)"', section):
        assert (out / "report" / link).is_file()
    ids = re.findall(r' id="([^"]+)"', html)
    assert len(ids) == len(set(ids))


@pytest.mark.slow
def test_a_page_without_a_second_run_does_not_mention_one(
    first: Study, out: Path, tmp_path: Path
) -> None:
    shutil.copytree(out / "report", tmp_path, dirs_exist_ok=True)
    assert (tmp_path / "figures" / "repeat.svg").is_file()
    with drawing_less():
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


@pytest.mark.slow
def test_same_studies_same_bytes(out: Path, tmp_path: Path) -> None:
    assert snapshot(write_both(repeated(build()), tmp_path)) == snapshot(out)
    assert any(name.endswith("repeat.svg") for name in snapshot(out))
