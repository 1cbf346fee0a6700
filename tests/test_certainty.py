"""How sure a verdict is: machines, sweeps and what is not measured yet."""

from __future__ import annotations

from dataclasses import replace

from scripts.judging.model import Cell
from scripts.report import certainty, environments, remarks, wording
from scripts.report.model import ClaimResult, Study
from tests.synthetic_environments import with_environments
from tests.synthetic_study import MACHINES, build, cell

FIRST, SECOND = MACHINES


def sure(claim: ClaimResult, study: Study) -> list[str]:
    return certainty.how_sure(claim, replace(study, repeat=None))


def test_a_machine_that_is_undecided_contradicts_nobody() -> None:
    study = build(machines=2)
    claim = replace(study.claims[0], by_machine={FIRST: "conditional", SECOND: "inconclusive"})
    assert not wording.disagree(claim) and certainty.differing_verdicts([claim]) == []
    assert f"It is decided on one machine, {FIRST}." in sure(claim, study)
    assert f"It is undecided on {SECOND}." in sure(claim, study)
    apart = replace(claim, by_machine={FIRST: "conditional", SECOND: "challenged"})
    assert wording.disagree(apart) and certainty.differing_verdicts([apart]) == [claim.id]
    assert not any("undecided on" in one for one in sure(apart, study))


def twice() -> list[Cell]:
    where = {"n": 1024, "px": 256}
    cells = [
        cell(where, value, "for", test=test, benchmark=f"epoch.{test}.track_epoch")
        for test, value in (("ByCount", 1.17), ("ByResolution", 1.13))
    ]
    return [*cells, cell({"n": 1024, "px": 64}, 2.0, "for")]


def test_a_cell_that_two_sweeps_measured_says_so() -> None:
    study = build()
    claim = replace(study.claims[0], evidence=twice())
    assert (
        "1 cell was measured in two sweeps, and each sweep has its own number."
        in sure(claim, study)
    )  # fmt: skip
    told = [remarks.remark(one, "> 1.05", claim.evidence) for one in claim.evidence]
    assert told[0].startswith("1.13\u00d7 [") and told[0].endswith(" in epoch.ByResolution")
    assert told[1].endswith(" in epoch.ByCount") and told[2] == ""
    first, second, other = twice()
    for alone in (
        [first, replace(second, machine=SECOND)],
        [first, replace(second, baseline="mapped")],
        [first, replace(second, benchmark="item.ByCount.track_item")],
        [replace(one, quantity="value") for one in (first, second)],
        [first, replace(second, estimate=None)],
        [first, other],
    ):
        assert certainty.elsewhere(alone) == [[], []]


def test_what_is_not_measured_yet_stands_beside_what_is() -> None:
    study = build()
    claim = study.claims[0]
    assert not any("Not measured yet" in one for one in sure(claim, study))
    some = replace(claim, unmeasured=["threads, raw", "threads, train"])
    assert sure(some, study)[-1] == "Not measured yet: “threads, raw”, “threads, train”."


def test_another_environments_verdict_has_its_reason_where_no_cell_differs() -> None:
    study = with_environments(build())
    other = study.across[0]
    own = study.claims[0]
    differs = {other.environment: {other.machine: "inconclusive"}}
    claim = replace(own, by_environment=differs, by_machine={other.machine: "conditional"})
    alike = replace(study, across=[replace(other, cells=9, agreeing=9)])
    told = environments.why_differs(claim, alike)
    assert told == (
        f"The {other.profile} profile measures fewer cells; no cell decided in both differs."
    )
    one_differs = replace(study, across=[replace(other, cells=9, agreeing=8)])
    assert environments.why_differs(claim, one_differs) == ""
    same = replace(claim, by_machine={other.machine: "inconclusive"})
    assert environments.why_differs(same, alike) == ""
    untested = {other.environment: {other.machine: "not tested"}}
    assert environments.why_differs(replace(claim, by_environment=untested), alike) == ""
