"""The figures of loaders, the page's first among them, and the table of decisions."""

from __future__ import annotations

from dataclasses import replace

import pytest

from datasets_impl.contest.registry import ARMS
from scripts.judging.loaders import loaders
from scripts.judging.model import LoaderRow, Loaders, ScaleRow
from scripts.report.ceilings import ARMS as RENAMED
from scripts.report.ceilings import called
from scripts.report.figures.chart import source_line
from scripts.report.figures.front import IMPLS, front_chart, lead
from scripts.report.figures.loaders import loader_charts, parts
from scripts.report.figures.panels import ROWS
from scripts.report.instead import QUESTIONS, decisions
from tests.measured_loaders import evidence
from tests.synthetic_study import build


@pytest.fixture(scope="module")
def found() -> list[Loaders]:
    return loaders(evidence(), 0.95)


def row(found: list[Loaders], arm: str) -> LoaderRow:
    return next(row for row in found[0].rows if row.arm == arm)


def test_the_front_figure_has_the_datasets_and_the_best_exact_loader(found: list[Loaders]) -> None:
    study = build()
    machine = study.machines[0].name
    drawn = front_chart(replace(study, loaders=[replace(found[0], machine=machine)]))
    assert drawn is not None
    assert set(drawn.data["machine"]) == {machine}
    assert set(drawn.data["impl"]) - {*IMPLS} == {"threaded-pack, JPEG", "limit, JPEG"}
    best = drawn.data[drawn.data["impl"] == "threaded-pack, JPEG"]
    assert best["value"].item() == row(found, "threaded-pack").images_per_second
    empty = study.measurements.iloc[:0]
    assert front_chart(replace(study, measurements=empty)) is None


def test_the_front_figure_speaks_of_what_it_draws(found: list[Loaders]) -> None:
    study = build()
    machine = study.machines[0]
    here = replace(found[0], machine=machine.name)
    peers = replace(here, rows=[one for one in here.rows if one.origin != "variant"])
    for loaders_, words in (
        ([], {"fastest loader": False, "limit": False}),
        ([replace(here, ceilings={})], {"fastest loader": True, "limit": False}),
        ([peers], {"fastest loader": False, "limit": True}),
        ([here], {"fastest loader": True, "limit": True}),
    ):
        drawn = front_chart(replace(study, loaders=loaders_))
        assert drawn is not None
        assert {word: word in drawn.caption for word in words} == words
        told = lead(machine, drawn.data["impl"])
        assert f"on {machine.name}, with {machine.details['cores']} cores" in told
        assert ("fastest loader, threaded-pack, uses" in told) == words["fastest loader"]
        assert drawn.caption.startswith(told)
        of_another = lead(replace(machine, apart={"loaders": "c0ffee" * 7}), drawn.data["impl"])
        assert ("another run, of commit c0ffeec0ff" in of_another) == words["fastest loader"]


def test_the_front_figure_leaves_out_what_cannot_be_compared_or_tells_nothing(
    found: list[Loaders],
) -> None:
    """A limit of another run, which may lie below the datasets, and an interval over twofold."""
    study = build()
    machine = study.machines[0]
    here = replace(found[0], machine=machine.name)
    sweep = ScaleRow(machine.name, "arms.ByResolution", 64, "threaded-pack", 2e4, 15e3, 25e3)
    wide = replace(sweep, level=128, low=3511.0, high=174_700.0)
    apart = replace(machine, apart={"loaders": "c0ffee" * 7})
    for one, limits in ((machine, {"limit, JPEG"}), (apart, set())):
        drawn = front_chart(
            replace(study, machines=[one], loaders=[here], scale=[sweep, wide])
        )  # fmt: skip
        assert drawn is not None
        assert set(drawn.data["impl"]) - {*IMPLS} == {"threaded-pack, JPEG"} | limits
        ours = drawn.data[drawn.data["impl"] == "threaded-pack, JPEG"]
        assert sorted(ours["px"]) == [64, 256]


def test_a_figure_of_many_loaders_has_panels_of_a_dozen_rows(found: list[Loaders]) -> None:
    few = found[0].rows
    assert parts(few) == [few], "a few stay ranked together"
    many = [replace(row, arm=f"{row.arm}-{at}") for at in range(5) for row in few]
    panels = parts(many)
    assert max(map(len, panels)) <= ROWS and len(panels) > 1
    assert sorted(row.arm for own in panels for row in own) == sorted(row.arm for row in many)
    assert all(len({row.origin for row in own}) == 1 for own in panels)
    (chart,) = loader_charts(replace(build(), loaders=[replace(found[0], rows=many)]))
    assert len(chart.data) == len(many)


def test_no_decision_leads_to_what_is_no_faster_than_the_usual_way(found: list[Loaders]) -> None:
    """And for pixels in memory that is a DataLoader over one tensor, not one file an image."""
    pixels = [one for one in QUESTIONS if (one.fits, one.task) == ("yes", "raw")]
    assert pixels and {one.usual for one in pixels} == {"preloaded"}
    slower = replace(row(found, "dataloader-pil"), images_per_second=1e6)
    rows = [slower if one.arm == slower.arm else one for one in found[0].rows]
    assert not [one for one in decisions([replace(found[0], rows=rows)]) if one.gain]


def test_an_arm_that_means_something_else_elsewhere_has_another_name() -> None:
    """ "preloaded" is the post's list of tensors, item by item, in all other figures."""
    assert called("raw", "preloaded") == "one tensor, DataLoader"
    assert called("raw", "gathered") == "gathered"
    assert all(place in ARMS for place in RENAMED)


def test_a_figure_names_the_commit_that_measured_it(found: list[Loaders]) -> None:
    """The loaders may be of another run than the rest."""
    study = build()
    machine = replace(study.machines[0], apart={"loaders": "c0ffee" * 7})
    study = replace(study, machines=[machine])
    commits = {
        name: source_line(study, [name], 1, [machine.name]).partition("commit ")[2]
        for name in ("arms.Decode", "trainers.Decode", "epoch.ByWorkers")
    }
    rest = f"{machine.commit[:10]}."
    assert commits == {"arms.Decode": "c0ffeec0ff.", "trainers.Decode": rest,
                       "epoch.ByWorkers": rest}  # fmt: skip
    both = source_line(study, ["arms.Raw", "epoch.ByWorkers"], 1, [machine.name])
    assert both.endswith(f"commits c0ffeec0ff and {rest}")
