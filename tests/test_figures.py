"""What a claim's figure shows: its rows and panels, their scales and ticks; how sure it is."""

from __future__ import annotations

import itertools
import math
import re
from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import matplotlib
import matplotlib.pyplot as plt
import pytest

from datasets_impl.contest.ceilings import CEILINGS
from scripts.judging.model import Bar, Cell, Effect
from scripts.report import certainty, figures, wording
from scripts.report.ceilings import WORDS, passing
from scripts.report.figures.forest import rows_of
from scripts.report.figures.overview import item_stages
from scripts.report.figures.panels import MOST_ROWS, ROWS, panels_of
from scripts.report.figures.style import LAYOUTS, SERIES, WIDE, drawing, to_svg
from scripts.report.figures.values import apart, inks, ratio_ticks
from scripts.report.model import Study
from tests.synthetic_study import build, cell


def test_a_row_holds_every_machine_and_a_panel_few_rows() -> None:
    levels = [(n, px) for n in (1, 2, 3, 4) for px in (16, 32, 48, 64, 80)]
    cells = [
        cell({"structure": f"kind {n}", "impl": f"a-name-of-some-length-{px}"}, 1.2 + px,
             "for", machine=machine)
        for n, px in levels for machine in ("first-machine", "second-machine")
    ]  # fmt: skip
    panels = panels_of(replace(build().claims[0], evidence=cells))
    assert len(panels) == 4 and sum(len(panel.cells) for panel in panels) == 40
    for panel, layout in itertools.product(panels, LAYOUTS):
        rows = rows_of(panel, layout)
        assert len(rows) <= ROWS and all(len(row.cells) == 2 for row in rows)
        assert not [row for row in rows if "machine" in " ".join(row.label)]
        assert all(len(line) <= layout.row_label for row in rows for line in row.label)


def test_tests_of_one_row_stand_in_one_panel_and_panels_of_a_kind_share_a_scale() -> None:
    def one(name: str, value: float, task: str, **more: Any) -> Cell:
        return cell({}, value, "for", test=f"{name} / best, {task}", treatment=name, **more)

    fast = [one(name, 1.2 + 0.1 * at, "decode") for at, name in enumerate(("a", "b", "c d"))]
    slow = [one(name, 20.0 + at, "raw", bar=Bar(">", 1.5)) for at, name in enumerate("ab")]
    near = [one("a", 1.5, "train", bar=Bar(">", 1.3)), one("a", 0.9, "other", counts=False)]
    panels = panels_of(replace(build().claims[0], evidence=[*fast, *slow, *near]))
    assert [panel.test for panel in panels] == [
        "each / best, decode", "each / best, raw", "a / best, train", "a / best, other",
    ]  # fmt: skip
    assert [row.label for row in rows_of(panels[0], WIDE)] == [
        [f"{name} / preloaded"] for name in ("a", "b", "c d")
    ]
    assert panels[0].scale == panels[2].scale != panels[1].scale


@pytest.mark.parametrize(
    "setting", [{"text.usetex": True}, {"savefig.bbox": "tight"}, {"path.sketch": (3.0, 99.0, 1.0)}]
)
def test_a_users_own_settings_change_no_figure(setting: dict[str, Any]) -> None:
    def drawn() -> str:
        with drawing("name"):
            figure, axes = plt.subplots()
            axes.plot([1, 2], label="a")
            axes.set_title("$")
            svg = to_svg(figure)
            plt.close(figure)
        return svg

    usual = drawn()
    with matplotlib.rc_context(setting):
        assert drawn() == usual


def test_context_does_not_make_a_figure_a_wall() -> None:
    cells = [cell({"impl": f"i{at}"}, 2.0, "for", counts=at < 8, test=f"of {at // 8}, {at // 8}")
             for at in range(80)]  # fmt: skip
    panels = panels_of(replace(build().claims[0], evidence=cells))
    shown = sum(len(panel.cells) for panel in panels)
    assert shown + sum(panel.left_out for panel in panels) == 80 and 8 < shown <= MOST_ROWS


@pytest.mark.parametrize(("low", "high"), [(0.85, 1.4), (0.7, 2.2), (0.9, 22), (0.02, 900)])
def test_ticks_leave_room_for_their_labels(low: float, high: float) -> None:
    ticks = apart(ratio_ticks(low, high), 0.45 * math.log(high / low) / 3)
    inches = [3 * math.log(tick / low) / math.log(high / low) for tick in ticks]
    assert len(ticks) >= 2 and 1.0 in ticks
    assert min(b - a for a, b in itertools.pairwise(inches)) >= 0.449


def test_a_slope_is_shown_as_what_twice_the_side_makes_of_the_gap() -> None:
    slope = cell({}, -0.4, "against", quantity="slope", spread=-0.1, bar=Bar(">", 0.0))
    assert wording.with_interval(slope) == "0.57\u00d7 [0.54\u20130.61]"
    (panel,) = panels_of(replace(build().claims[0], evidence=[slope]))
    assert panel.grows and panel.cells[0].estimate == pytest.approx(4**-0.4)


def test_a_card_says_how_sure_its_verdict_is(study: Study) -> None:
    first, second = (f"bench-{name}" for name in "ab")
    cells = [cell({"px": px}, 2.0, "unclear" if px == 64 else "for") for px in (64, 128)]
    claim = replace(study.claims[3], evidence=[*cells, cell({}, None, "skipped")],
                    by_machine={first: "supported", second: "challenged"})  # fmt: skip
    assert certainty.how_sure(claim, replace(study, repeat=None)) == [
        "1 of 2 measured cells are decided.",
        "Each rests on 7 rounds in fresh processes.",
        "The machines bench-a and bench-b come to different verdicts.",
    ]
    again = SimpleNamespace(verdicts=[("C04", "supported", "conditional")])
    told = certainty.how_sure(claim, replace(study, repeat=again))  # type: ignore[arg-type]
    assert told[-1] == "A second run of all rounds gave conditional, where the first had supported."
    assert certainty.differing_verdicts([claim, *study.claims[:2]]) == ["C04"]
    assert certainty.how_sure(replace(claim, evidence=[]), study) == []
    alone = replace(
        claim, verdict="supported", by_machine=dict.fromkeys((first, second), "inconclusive")
    )
    assert certainty.how_sure(alone, replace(study, repeat=None))[-1].endswith(
        "come to inconclusive, each alone."
    )


def test_the_headline_that_differs_most_between_machines_is_named(study: Study) -> None:
    assert certainty.furthest_apart(replace(study, claims=study.claims[:0])) == ""
    claims = []
    for claim, other in zip(study.claims[3:6], (2.2, 8.0, 1.9), strict=True):
        cells = [
            cell({"px": 64}, 2.0, "for", machine="a"),
            cell({"px": 64}, other, "for", machine="b"),
        ]
        effect = Effect(
            metric="epoch", test=cells[0].test, arms=["naive", "preloaded"], quantity="ratio",
            unit="", factors={"px": 64}, estimate=2.0, low=cells[0].low, high=cells[0].high,
            reading="",
        )  # fmt: skip
        claims.append(replace(claim, evidence=cells, effect=effect))
    told = certainty.furthest_apart(replace(study, claims=claims))
    assert told == f"{claims[1].id}: naive / preloaded is 8.0\u00d7 on b and 2.0\u00d7 on a"


def test_a_loader_above_its_ceiling_is_explained() -> None:
    def one(arm: str, estimate: float, low: float) -> Any:
        share = SimpleNamespace(estimate=estimate, low=low, high=estimate * 1.2)
        return SimpleNamespace(arm=arm, share_of_ceiling=share)

    rows = [one("below", 0.9, 0.8), one("noise", 1.06, 0.9), one("far", 1.5, 1.2)]
    noise, far = passing(SimpleNamespace(rows=rows))  # type: ignore[arg-type]
    assert noise.startswith("noise comes out above its ceiling, 1.06\u00d7 [0.90")
    assert "holds 1" in noise and "too low" in far


def test_every_ceiling_has_words() -> None:
    assert {f"ceiling-{name}" for name in WORDS} == {*CEILINGS}


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


def test_a_machine_has_not_the_colour_of_an_outcome() -> None:
    cells = [cell({}, 1.2, "for", machine=f"m{i}") for i in range(9)]
    assert not {SERIES[0], SERIES[1], SERIES[7]} & set(inks(cells).values())


def test_ids_of_inlined_figures_differ(drawn: figures.Figures) -> None:
    shown = "".join(chart.svg + chart.narrow for chart in drawn.all())
    ids = re.findall(r' id="([^"]+)"', shown)
    assert len(ids) == len(set(ids))


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
