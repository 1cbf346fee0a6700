"""Where a conditional claim holds: a grid of the factors that tell, a sentence where one does."""

from __future__ import annotations

import itertools
import random
from collections import Counter
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from scripts.judging.grid import grid, outcome, threshold
from scripts.judging.model import Cell, Outcome
from scripts.report import level_words
from scripts.report.figures.boundary import row_flips
from scripts.report.figures.claims import claim_chart
from scripts.report.figures.panels import by_outcome, line_factor
from scripts.report.grid import boundary, in_words, square
from tests.synthetic_study import build

NUMERIC = {
    "n": [256, 1024, 4096],
    "px": [64, 128, 256, 512],
    "workers": [0, 1, 2, 4],
    "quality": [50, 75, 90, 98],
    "kib": [1, 12, 192, 3072],
    "step_ms": [1, 5, 20, 100],
    "bandwidth": [25, 100, 400, 0],  # 0 stands for no throttling: above all others
    "latency_ms": [1, 10, 50],
}
WORDS = {
    "start_method": ["fork", "forkserver", "spawn"],
    "record": ["str", "tuple"],
    "access": ["item", "unbatched"],
    "structure": ["list", "numpy"],
    "loop": ["hand-written", "tuned"],
    "where": ["memory", "disk"],
    "impl": ["naive", "mapped"],
}
OTHER: dict[str, Outcome] = {"for": "against", "against": "for"}
Levels = dict[str, Any]


def cell(outcome: Outcome, test: str = "t", machine: str = "lab", **factors: Any) -> Cell:
    return Cell(test, "ratio", factors, 1.0, 0.9, 1.1, outcome, 5, "item.A.track_item", machine)


def cells(factor: str, *outcomes: tuple[Any, Outcome], **more: Any) -> list[Cell]:
    """A cell for each (level of `factor`, outcome)."""
    return [cell(outcome, **{factor: level}, **more) for level, outcome in outcomes]


def told(found: list[Cell]) -> list[tuple[str, str, dict[str, str]]]:
    """The grid in words: test, place, and what stands on each machine."""
    return [
        (row.test, in_words(row), {name: square(own).outcome for name, own in row.cells.items()})
        for row in grid(found)
    ]


# ------------------------------------------------------------------------------ the sentence

ONE_FACTOR: list[tuple[list[Cell], str]] = [
    (cells("px", (64, "against"), (512, "for"), (256, "for"), (128, "against")),
     "It holds from 256 px on, not up to 128 px."),
    (cells("px", (64, "for"), (512, "against"), (256, "against"), (128, "for")),
     "It holds up to 128 px, not from 256 px on."),
    # Single levels are not stretched into ranges.
    (cells("px", (64, "against"), (128, "for"), (256, "for")),
     "It holds from 128 px on, not at 64 px."),
    (cells("px", (64, "for"), (128, "against")), "It holds at 64 px, not at 128 px."),
    (cells("workers", (0, "against"), (1, "for"), (2, "for")),
     "It holds with 1 worker and more, not without workers."),
    (cells("workers", (1, "against"), (2, "for"), (4, "for")),
     "It holds with 2 workers and more, not with 1 worker."),
    # An undecided level between leaves the flip open, one outside does not.
    (cells("px", (64, "against"), (128, "unclear"), (256, "for")),
     "It holds at 256 px, not at 64 px; undecided between."),
    (cells("px", (64, "against"), (128, "for"), (256, "unclear")),
     "It holds at 128 px, not at 64 px."),
    # Storage without a limit is faster than any limit.
    (cells("bandwidth", (25, "for"), (100, "for"), (800, "against"), (0, "against")),
     "It holds up to 100 MB/s, not from 800 MB/s on."),
    (cells("bandwidth", (25, "for"), (0, "against")),
     "It holds at 25 MB/s, not with unlimited bandwidth."),
    # Without a threshold the levels are listed.
    (cells("px", (64, "for"), (128, "against"), (256, "for")),
     "It holds at 64 and 256 px, not at 128 px."),
    (cells("medium", ("disk-cold", "for"), ("ramdisk", "against")),
     "It holds on disk-cold, not on ramdisk."),
    (cells("access", ("item", "against"), ("batch", "for")),
     "It holds for batches, not for single items."),
    # One factor in all tests needs no test names.
    ([*cells("workers", (1, "against"), (2, "for"), test="a"), cell("for", test="b", workers=2)],
     "It holds with 2 workers, not with 1 worker."),
]  # fmt: skip
SEE_THE_GRID: dict[str, list[Cell]] = {
    "nothing is measured": [],
    "one side only": cells("px", (64, "for"), (128, "unclear"), (256, "skipped")),
    "a factor that only changes between tests": [
        cell("against", test="item", n=256), cell("for", test="epoch", n=1024)
    ],
    "factors that change together": [cell("for", px=64, n=256), cell("against", px=128, n=1024)],
    "two factors": [
        *cells("px", (64, "against"), (256, "for"), workers=1),
        *cells("px", (64, "for"), (256, "for"), workers=2),
    ],
    "machines that disagree": [cell("for", machine="one"), cell("against", machine="two")],
    "a test without the factor": [
        *cells("px", (64, "against"), (128, "for"), test="a"), cell("against", test="b")
    ],
}  # fmt: skip


@pytest.mark.parametrize(("found", "sentence"), ONE_FACTOR, ids=[s for _, s in ONE_FACTOR])
def test_one_factor_that_tells_all_is_said(found: list[Cell], sentence: str) -> None:
    assert boundary(found) == sentence
    again = [replace(one, machine="another") for one in found]
    assert boundary([*found, *again]) == sentence


@pytest.mark.parametrize("found", SEE_THE_GRID.values(), ids=SEE_THE_GRID)
def test_anything_else_is_left_to_the_grid(found: list[Cell]) -> None:
    assert boundary(found) == ""


@settings(max_examples=300)
@given(st.data())
def test_a_threshold_of_one_factor_is_named_with_its_adjacent_levels(data: st.DataObject) -> None:
    """Any grid, any direction, any place of the flip, in any order of cells."""
    over = data.draw(st.sampled_from(sorted(NUMERIC)))
    most = len(NUMERIC[over])
    levels = NUMERIC[over][: data.draw(st.integers(2, most))]
    flip = data.draw(st.integers(1, len(levels) - 1))
    low = data.draw(st.sampled_from(["for", "against"]))
    others = data.draw(st.lists(st.sampled_from(sorted({*NUMERIC, *WORDS} - {over})),
                                max_size=2, unique=True))  # fmt: skip
    grids = [{**NUMERIC, **WORDS}[name] for name in others]
    found = [
        cell(low if levels.index(at) < flip else OTHER[low],
             **{over: at, **dict(zip(others, rest, strict=True))})
        for at in levels for rest in itertools.product(*grids)
    ]  # fmt: skip
    random.Random(data.draw(st.integers(0, 99))).shuffle(found)
    below, above = levels[flip - 1], levels[flip]
    assert threshold(found, over) == (below, above, low)
    first = level_words.upto(over, below, alone=flip == 1)
    second = level_words.onward(over, above, alone=flip == len(levels) - 1)
    holds, fails = (first, second) if low == "for" else (second, first)
    assert boundary(found) == f"It holds {holds}, not {fails}."
    assert [list(row.levels) for row in grid(found)] == [[over]] * len(levels)


# ---------------------------------------------------------------------------------- the grid


def test_a_row_for_each_level_of_the_factor_that_tells_and_a_square_for_each_machine() -> None:
    found = [
        replace(one, machine=machine)
        for machine in ("one", "two")
        for px in (64, 256)
        for one in cells("workers", (4, "for"), (1, "against"), (2, "for"), px=px)
    ]
    found[4] = replace(found[4], outcome="unclear")
    found[-1] = replace(found[-1], outcome="skipped")
    assert told(found) == [
        ("t", "with 1 worker", {"one": "against in 1, unclear in 1", "two": "against"}),
        ("t", "with 2 workers", {"one": "for", "two": "for in 1, not measured in 1"}),
        ("t", "with 4 workers", {"one": "for", "two": "for"}),
    ]


def test_a_test_of_one_outcome_is_one_row_and_context_is_left_out() -> None:
    found = [
        *cells("px", (64, "against"), (128, "against"), (256, "unclear"), test="item"),
        *cells("px", (64, "against"), (128, "for"), test="epoch"),
        replace(cell("for", test="context", px=64), counts=False),
    ]
    assert told(found) == [
        ("item", "", {"lab": "against in 2, unclear in 1"}),
        ("epoch", "at 64 px", {"lab": "against"}),
        ("epoch", "at 128 px", {"lab": "for"}),
    ]


def test_of_three_factors_two_make_the_rows_and_the_third_is_said_in_the_square() -> None:
    """What a training step changes: implementation, access and place tell together."""
    found = []
    for impl, access, where in itertools.product(
        ("naive", "preloaded", "mapped"), ("item", "batch"), ("memory", "disk")
    ):
        hit = access == "item" and (impl == "mapped" or (impl, where) == ("preloaded", "memory"))
        found.append(cell("for" if hit else "against", impl=impl, access=access, where=where))
    rows = {place: square["lab"] for _, place, square in told(found)}
    assert len(rows) == 6 and list(rows.values()).count("against") == 4
    assert rows["with mapped, for single items"] == "for"
    assert rows["with preloaded, for single items"] == "for in memory, against on disk"


def test_what_was_not_measured_and_what_no_factor_tells_is_said() -> None:
    assert told([cell("skipped", px=64)]) == [("t", "", {"lab": "not measured"})]
    twice = [cell("for", px=64), replace(cell("against", px=64), benchmark="item.B")]
    assert told([*twice, cell("for", px=64)]) == [("t", "", {"lab": "for in 2, against in 1"})]
    assert told([cell("for", machine="one"), cell("against", machine="two")]) == [
        ("t", "", {"one": "for", "two": "against"})
    ]


def test_a_square_has_its_effect_with_its_interval_or_the_range_of_several() -> None:
    one = cell("for", px=64)
    assert square([one]).effect == "1.00\u00d7 [0.90\u20131.10]"
    assert square([one, replace(one, estimate=1.5)]).effect == "1.00\u00d7 to 1.50\u00d7"
    assert square([replace(one, estimate=None)]).effect == ""
    read = replace(one, quantity="value", reading="changed")
    assert square([read, read]).effect == "changed"
    assert square([read, replace(read, reading="unchanged")]).effect == "changed, unchanged"


levels = st.fixed_dictionaries(
    {},
    optional={
        "px": st.sampled_from([64, 256, 1024, "64 to 256"]),
        "workers": st.sampled_from([0, 1, 4]),
        "impl": st.sampled_from(["naive", "mapped"]),
        "medium": st.sampled_from(["ramdisk", "disk-cold"]),
    },
)
some_cells = st.builds(
    lambda outcome, test, machine, benchmark, factors: Cell(
        test, "ratio", factors, 1.0, 0.9, 1.1, outcome, 5, benchmark, machine
    ),
    st.sampled_from(["for", "against", "unclear", "skipped"]),
    st.sampled_from(["first", "second"]),
    st.sampled_from(["lab", "other"]),
    st.sampled_from(["item.A.track_item", "item.B.track_item"]),
    levels,
)


def test_a_test_and_the_one_before_it_share_their_rows() -> None:
    """Else each machine is "not measured" in the rows of the other's."""

    cells = [cell("for", "reading", "a", px=64), cell("against", "read / item", "b", px=64),
             cell("for", "other", "b", px=64)]  # fmt: skip
    assert [row.test for row in grid(cells)] == ["reading", "read / item", "other"]
    first, other = grid(cells, {"read / item": "reading"})
    assert {name: [one.outcome for one in own] for name, own in first.cells.items()} == {
        "a": ["for"], "b": ["against"]
    }  # fmt: skip
    assert (first.test, other.test) == ("reading", "other")


@settings(max_examples=400)
@given(
    st.lists(
        some_cells,
        max_size=20,
        unique_by=lambda c: (c.test, c.machine, c.benchmark, str(sorted(c.factors.items()))),
    )
)
def test_every_cell_stands_once_in_the_grid_whatever_the_cells(found: list[Cell]) -> None:
    rows = grid(found)
    shown = [one for row in rows for own in row.cells.values() for one in own]
    assert Counter(map(id, shown)) == Counter(map(id, found))
    for row in rows:
        assert len(row.levels) <= 2
        for machine, own in row.cells.items():
            outcomes = {one.outcome for one in own}
            assert {(one.test, one.machine) for one in own} == {(row.test, machine)}
            assert (outcome(own) == "mixed") == ({"for", "against"} <= outcomes)
            assert outcome(own) in {*outcomes, "mixed"}
            assert square(own).outcome and "None" not in in_words(row) + square(own).outcome
    if boundary(found):
        assert {"for", "against"} <= {one.outcome for one in found}
        assert not any(outcome(own) == "mixed" for row in rows for own in row.cells.values())


@pytest.mark.parametrize("factor", [*NUMERIC, *WORDS, "medium", "carrier", "something_new"])
def test_every_factor_has_words(factor: str) -> None:
    levels = NUMERIC.get(factor) or WORDS.get(factor) or ["a", "b"]
    for text in (level_words.at(factor, levels[0]), level_words.among(factor, levels)):
        assert text and "{" not in text and "_" not in text.replace("something_new", "")


# ---------------------------------------------------------------------------- in the figures


def lines(flip: dict[int, int]) -> list[Cell]:
    """Lines by resolution over workers; each line turns for at its own number of workers."""
    return [
        replace(cell("for" if w >= at else "against", workers=w, px=px), estimate=2.0 - 0.3 * w)
        for px, at in flip.items()
        for w in (1, 2, 4, 8)
    ]


def drawn(cells: list[Cell]) -> tuple[str, str]:
    study = build()
    first = replace(study.claims[0], verdict="conditional", evidence=cells)
    chart = claim_chart(study, first)
    assert chart is not None
    return chart.svg, chart.caption


def test_lines_that_flip_at_one_step_share_a_column() -> None:
    svg, caption = drawn(lines({64: 2, 128: 2}))
    assert "flips here" in svg and "tinted column" in caption


def test_lines_that_flip_at_different_steps_are_marked_one_by_one() -> None:
    svg, caption = drawn(lines({64: 2, 128: 4}))
    assert "flips here" not in svg and "dark stretch" in caption


def test_lines_that_do_not_flip_carry_no_mark() -> None:
    svg, caption = drawn(lines({64: 1, 128: 1}))
    assert "flips here" not in svg and "flips" not in caption


def test_lines_run_along_the_factor_that_flips() -> None:
    """Resolution has more levels, but the outcome turns with the workers."""
    found = [
        cell("for" if w >= 2 else "against", workers=w, px=px)
        for px, w in itertools.product((64, 128, 256, 512), (1, 2, 4))
    ]
    assert line_factor(found) == "workers"
    assert line_factor([replace(c, outcome="for") for c in found]) == "px"


def test_rows_of_a_forest_are_grouped_only_where_they_are_mixed() -> None:
    sorted_already = [cell("against", px=64), cell("unclear", px=128), cell("for", px=256)]
    assert by_outcome(sorted_already) == sorted_already
    assert row_flips(sorted_already) == [(0, 2)]
    mixed = [cell("for", px=64), cell("against", px=128), cell("for", px=256)]
    grouped = by_outcome(mixed)
    assert [c.factors["px"] for c in grouped] == [64, 256, 128]
    assert row_flips(grouped) == [(1, 2)]
    assert "Dotted lines part" in drawn(mixed)[1]
