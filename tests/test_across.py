"""What changes between environments: compared by the same cells, drawn, said and written down."""

from __future__ import annotations

import csv
import io
import itertools
import json
import math
from dataclasses import replace
from pathlib import Path
from typing import Any

import jsonschema
import numpy as np
import pytest
from scipy import stats

from scripts.judging import inference
from scripts.judging.across import PLACES
from scripts.judging.environment_changes import Across
from scripts.judging.judge import judge
from scripts.render_report import render
from scripts.report import environments, figures
from scripts.report.figures.environments import NONE, NOTHING, environments_chart
from scripts.report.model import Study
from scripts.report.study import load_study
from scripts.root import RESULTS
from tests.claims_text import HEAD, RATIO, claim
from tests.synthetic_environments import (
    LATER,
    OLDER,
    REFERENCE,
    with_environments,
    write_run,
)
from tests.synthetic_study import build, drawing_less

HOUR = 3600


@pytest.fixture
def claims(tmp_path: Path) -> Path:
    path = tmp_path / "claims.toml"
    path.write_text(HEAD + claim(RATIO))
    return path


def measured(folder: Path, base: bool = True) -> Path:
    """Standard under the reference, days before; quick under all three, within two hours."""
    write_run(folder, REFERENCE, "standard", started=0)
    if base:
        write_run(folder, REFERENCE, "quick", started=100 * HOUR)
    write_run(folder, OLDER, "quick", started=101 * HOUR, item=0.8)
    write_run(folder, LATER, "quick", started=102 * HOUR, first_batch=1.5, tree=1.2)
    return folder


def changed(one: Across) -> dict[str, float]:
    """The places where anything changed, with the mean ratio there."""
    ratios: dict[str, list[float]] = {}
    for change in one.changes:
        if change.changed:
            ratios.setdefault(change.place, []).append(change.ratio.estimate)
    return {place: float(np.mean(found)) for place, found in ratios.items()}


def test_quick_runs_are_compared_with_the_quick_run_of_the_reference(
    tmp_path: Path, claims: Path
) -> None:
    found = judge([measured(tmp_path / "results")], claims)
    assert found.profile == "standard", "no verdict rests on the base"
    older, later = found.across
    assert [(one.environment, one.base, one.profile, one.base_profile) for one in found.across] == [
        (OLDER, REFERENCE, "quick", "quick"), (LATER, REFERENCE, "quick", "quick"),
    ]  # fmt: skip
    assert (older.hours, later.hours) == (1, 2)
    assert changed(older) == {"item": pytest.approx(0.8, rel=0.02)}
    assert changed(later) == {
        "first batch": pytest.approx(1.5, rel=0.02), "records": pytest.approx(1.2, rel=0.02)
    }  # fmt: skip
    assert [change.place for change in later.changes] == [
        *["item"] * 2, *["epoch"] * 2, *["epoch, workers"] * 2, *["first batch"] * 2, "records"
    ]  # fmt: skip
    assert {change.factors.get("n") for change in later.changes} == {256, 25_600}
    assert (later.cells, later.agreeing) == (1, 1)


def test_without_it_the_wider_run_is_the_base_of_what_both_have(
    tmp_path: Path, claims: Path
) -> None:
    older, _ = judge([measured(tmp_path / "results", base=False)], claims).across
    assert older.base_profile == "standard" and older.hours == 101
    assert {change.place for change in older.changes} == {"item"}, "other places have another n"


def test_numbers_of_two_versions_are_not_compared(tmp_path: Path, claims: Path) -> None:
    write_run(tmp_path / "results", REFERENCE, "quick", started=0)
    write_run(tmp_path / "results", LATER, "quick", started=1, version="2")
    found = judge([tmp_path / "results"], claims)
    (one,) = found.across
    assert one.changes == [] and one.cells == 0
    assert found.claims[0].by_environment[LATER] == found.claims[0].by_environment[REFERENCE]
    assert environments.sentences(one) == ["The two runs ended 0 minutes apart."]


def test_two_runs_are_compared_by_welch_s_interval() -> None:
    random = np.random.default_rng(3)
    upper, lower = np.exp(random.normal(0.3, 0.1, 4)), np.exp(random.normal(0, 0.02, 7))
    known = stats.ttest_ind(np.log(upper), np.log(lower), equal_var=False)
    ends = known.confidence_interval(0.95)
    found = inference.apart([*upper, math.nan], lower, 0.95)
    assert found.low == pytest.approx(math.exp(ends.low))
    assert found.high == pytest.approx(math.exp(ends.high)) and found.blocks == 4
    alone = inference.apart([2.0], [1.0, 1.1], 0.95)
    assert alone.low is None and alone.estimate == pytest.approx(2 / math.sqrt(1.1))
    same = inference.apart([2.0, 2.0], [1.0, 1.0], 0.95)
    assert same.low == same.high == same.estimate == pytest.approx(2)


@pytest.fixture(scope="module")
def study() -> Study:
    return with_environments(build())


@pytest.mark.slow
def test_the_figure_has_a_row_for_each_who_and_a_mark_for_each_environment(study: Study) -> None:
    chart = environments_chart(study)
    assert isinstance(chart, figures.Chart)
    for svg in (chart.svg, chart.narrow):
        assert all(f">{name}<" in svg for name in (OLDER, LATER, "naive", "preloaded", "list-str"))
        assert all(words in svg for words in ("faster \u2190", "less \u2190", "beyond the band"))
    assert f"over that under {REFERENCE}," in chart.caption and "took no turns" in chart.caption
    rows = list(csv.DictReader(io.StringIO(chart.csv)))
    assert len(rows) == 2 * 2 * len(PLACES)
    assert {(row["base"], row["base_profile"]) for row in rows} == {(REFERENCE, "quick")}


def test_where_nothing_can_be_drawn_there_is_a_reason(study: Study) -> None:
    assert environments_chart(build(missing=True)) == NONE
    nothing = [replace(one, changes=[]) for one in study.across]
    assert environments_chart(replace(study, across=nothing)) == NOTHING


@pytest.mark.slow
def test_it_stands_on_the_page_and_in_the_data(tmp_path: Path, claims: Path) -> None:
    study = load_study([measured(tmp_path / "results")], claims)
    with drawing_less():
        render(study, tmp_path / "report")
    html = (tmp_path / "report" / "index.html").read_text()
    assert f"lab, {LATER} (quick profile): supported" in html
    assert f"{LATER} beside {REFERENCE} (quick profile), on lab." in html
    assert "The two runs ended 2 hours apart." in html and environments.CARE in html
    assert 'href="figures/environments.csv"' in html and NONE.split("`")[0] not in html
    record = json.loads((tmp_path / "report" / "claims.json").read_text())
    schema = json.loads((tmp_path / "report" / "claims.schema.json").read_text())
    jsonschema.validate(record, schema)
    older, later = record["across"]
    assert (older["environment"], later["base_profile"]) == (OLDER, "quick")
    first = next(one for one in later["changes"] if one["benchmark"].startswith("startup."))
    assert first["ratio"]["low"] > 1.4 and first["changed"] is True


@pytest.mark.slow
def test_one_environment_leaves_the_data_as_it_was(tmp_path: Path, claims: Path) -> None:
    write_run(tmp_path / "results", REFERENCE, "quick", started=0)
    with drawing_less():
        render(load_study([tmp_path / "results"], claims), tmp_path / "report")
    assert "across" not in json.loads((tmp_path / "report" / "claims.json").read_text())
    assert NONE.split("`")[0] in (tmp_path / "report" / "index.html").read_text()


def test_a_sentence_has_at_most_two_numbers(study: Study) -> None:
    told = [environments.sentences(one) for one in study.across]
    for sentence in itertools.chain(*told, environments.CARE.split(". ")):
        plain = sentence.partition("[")[0]
        assert sum(any(digit in word for digit in "0123456789") for word in plain.split()) <= 2


def x01(**more: Any) -> dict[str, Any]:
    base = {"machine": "lab", "impl": "preloaded-array", "start_method": "forkserver", "n": 128}
    first = {"benchmark": "startup.BySize.track_first_batch", "baseline": "naive"}
    return base | first | {"estimate": 2.36} | more


TREE = {"benchmark": "memory.StartMethod.track_tree", "baseline": "fork"}


@pytest.mark.parametrize(
    ("cells", "words"),
    [
        ([x01(), x01(n=1024, estimate=2.51), x01(**TREE, estimate=3.04)],
         "takes 2.5 times as long as from files, and all processes need 3.0 times the memory"),
        ([x01(), x01(**TREE)], "(measured under Python 3.11, with forkserver); pixels in one"),
        ([x01(), x01(machine="two", estimate=9.0), x01(**TREE)], "takes 2.4 times"),
        ([x01(), x01(**TREE, machine="two")], "under Python 3.11 and Python 3.14, with"),
        ([x01(machine="odd"), x01(**TREE, machine="odd")], "under another Python, with"),
        ([x01(), x01(**TREE, estimate=None)], environments.UNMEASURED),
        ([x01(start_method="fork"), x01(**TREE)], environments.UNMEASURED),
        ([x01(estimate=0.9), x01(**TREE)], environments.UNMEASURED),
        ([], environments.UNMEASURED),
    ],
)  # fmt: skip
def test_what_changes_with_python_3_14_is_said_from_the_data(
    cells: list[dict[str, Any]], words: str
) -> None:
    told = environments.updating(cells, {"lab": REFERENCE, "two": LATER, "odd": ""})
    assert words in told and told.startswith("workers start by forkserver")
    assert "`persistent_workers=True`" in told


def test_the_committed_results_tell_it_in_numbers() -> None:
    report = json.loads((RESULTS / "report" / "claims.json").read_text())
    (claim,) = (claim for claim in report["claims"] if claim["id"] == "X01")
    assert environments.UNMEASURED not in environments.updating(claim["evidence"], {})
