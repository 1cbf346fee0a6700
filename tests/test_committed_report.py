"""What is committed under `results/` is what the code makes of the committed numbers."""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from matplotlib.figure import Figure

from scripts.render_report import render
from scripts.report.figures.claims import claim_chart
from scripts.report.figures.front import front_chart
from scripts.report.model import Study
from scripts.report.study import load_study
from scripts.report.tables import claims_json
from scripts.report.written import LIST, digest
from scripts.root import CLAIMS, RESULTS, ROOT
from scripts.update_readme import updated

REPORT = RESULTS / "report"


@pytest.fixture(scope="module")
def study() -> Study:
    return load_study([RESULTS], CLAIMS)


def test_the_numbers_and_verdicts_are_those_of_the_committed_results(study: Study) -> None:
    assert claims_json(study) == (REPORT / "claims.json").read_text()


def sentences(study: Study) -> Iterator[str]:
    """Every sentence of the cards, the answer and the limits."""
    told = [point.text for point in study.points] + study.notes
    for claim in study.claims:
        told += [claim.finding, claim.boundary, claim.missing, claim.restated, claim.method]
        told.append(claim.advice)
    for text in told:
        yield from re.split(r"(?<=[.:?]) (?=[A-Z`])", text)


def test_a_sentence_has_at_most_two_numbers(study: Study) -> None:
    """A number with its interval is one; names of claims, versions and code are none."""
    name = r"`[^`]*`|\[[^]]*\]|\b[CX]\d\d\b|\b[0-9a-f]{10,}\b"
    many = [
        one for one in sentences(study) if len(re.findall(r"\d[\d,.]*", re.sub(name, "", one))) > 2
    ]
    assert many == []


def test_no_heading_states_what_its_verdict_does_not(study: Study) -> None:
    assert all(
        claim.title.endswith("?") == (claim.verdict != "supported") for claim in study.claims
    )


@pytest.mark.slow
def test_the_report_is_rendered_from_the_committed_results(
    study: Study, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Byte for byte, but for the lines of figures, whose drawing takes as long as all else; after a
    change run `make report` and commit what it writes."""
    monkeypatch.setattr(Figure, "savefig", lambda _, file, **options: file.write(b"<svg></svg>"))
    fresh = tmp_path / "report"
    render(study, fresh)
    names = {path.relative_to(fresh) for path in fresh.rglob("*") if path.is_file()}
    assert names == {path.relative_to(REPORT) for path in REPORT.rglob("*") if path.is_file()}
    told = [name for name in names if name.suffix != ".svg" and name.name != LIST]
    stale = [str(name) for name in told if undrawn(fresh / name) != undrawn(REPORT / name)]
    assert stale == []


def undrawn(path: Path) -> str:
    return re.sub(r'<svg [^>]*class="figure.*?</svg>', "", path.read_text(), flags=re.DOTALL)


def test_one_run_wrote_all_of_the_committed_report() -> None:
    listed = json.loads((REPORT / LIST).read_text())["files"]
    assert {name: [digest((REPORT / name).read_bytes())] for name in listed} == listed


@pytest.mark.skipif(
    sys.version_info >= (3, 14), reason="Matplotlib numbers the clip paths of a figure otherwise"
)
def test_a_figure_is_drawn_from_the_committed_results(study: Study) -> None:
    claim = next(claim for claim in study.claims if claim.id == "C04")
    for chart in (claim_chart(study, claim), front_chart(study)):
        assert chart is not None
        assert (REPORT / "figures" / f"{chart.name}.svg").read_text() == chart.file_svg


def test_every_link_of_the_report_leads_somewhere() -> None:
    """Inside the repository, as a clone has it."""
    html = (REPORT / "index.html").read_text()
    links = {link for link in re.findall(r'href="([^"#]+)', html) if ":" not in link}
    assert links and all((REPORT / link).exists() for link in links)


def test_the_readme_shows_the_committed_report() -> None:
    readme = (ROOT / "README.md").read_text()
    report = json.loads((REPORT / "claims.json").read_text())
    assert updated(readme, report) == readme


def test_the_committed_run_is_clean() -> None:
    report = json.loads((REPORT / "claims.json").read_text())
    assert not report["study"]["dirty"]
    assert report["noise"]["rate"] <= 0.05
    for machine in report["machines"]:
        assert machine["warnings"] == []
