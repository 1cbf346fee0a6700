"""Where a conditional verdict flips: the sentence names the factor and both sides of the flip."""

from __future__ import annotations

import itertools
import random
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from scripts.judging.model import Cell, Outcome
from scripts.report import level_words
from scripts.report.boundary import boundary, threshold
from scripts.report.figures.boundary import row_flips
from scripts.report.figures.claims import claim_chart
from scripts.report.figures.panels import by_outcome, line_factor
from scripts.report.regions import regions
from tests.synthetic_study import build

# The same examples in every run, and no verdict on how long one takes.
settings.register_profile("fixed", derandomize=True, deadline=None)
settings.load_profile("fixed")

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


def cell(outcome: Outcome, test: str = "t", machine: str = "lab", **factors: Any) -> Cell:
    return Cell(test, "ratio", factors, 1.0, 0.9, 1.1, outcome, 5, "item.A.track_item", machine)


def test_a_numeric_threshold_in_both_directions() -> None:
    cells = [
        cell("against", px=64), cell("for", px=512), cell("for", px=256), cell("against", px=128)
    ]  # fmt: skip
    assert boundary(cells) == "Against up to 128 px, for from 256 px on."
    mirrored = [cell(OTHER[c.outcome], **c.factors) for c in cells]
    assert boundary(mirrored) == "For up to 128 px, against from 256 px on."


def test_single_levels_are_not_stretched_into_ranges() -> None:
    assert boundary([cell("against", px=64), cell("for", px=128), cell("for", px=256)]) == (
        "Against at 64 px, for from 128 px on."
    )
    assert boundary([cell("for", px=64), cell("against", px=128)]) == (
        "For at 64 px, against at 128 px."
    )


def test_workers_are_counted_in_words_a_reader_uses() -> None:
    cells = [cell("against", workers=0), cell("for", workers=1), cell("for", workers=2)]
    assert boundary(cells) == "Against without workers, for with 1 worker and more."
    cells = [cell("against", workers=1), cell("for", workers=2), cell("for", workers=4)]
    assert boundary(cells) == "Against with 1 worker, for with 2 workers and more."


def test_an_undecided_level_between_leaves_the_flip_open() -> None:
    cells = [cell("against", px=64), cell("unclear", px=128), cell("for", px=256)]
    assert boundary(cells) == "Against at 64 px, for at 256 px, undecided between."
    outside = [cell("against", px=64), cell("for", px=128), cell("unclear", px=256)]
    assert "undecided" not in boundary(outside)


def test_storage_without_a_limit_is_faster_than_any_limit() -> None:
    cells = [cell("for", bandwidth=b) for b in (25, 100)]
    cells += [cell("against", bandwidth=b) for b in (800, 0)]
    assert boundary(cells) == "For up to 100 MB/s, against from 800 MB/s on."
    assert boundary([cells[0], cells[3]]) == "For at 25 MB/s, against with unlimited bandwidth."


def test_levels_without_a_threshold_are_listed() -> None:
    cells = [cell("for", px=64), cell("against", px=128), cell("for", px=256)]
    assert boundary(cells) == "For at 64 and 256 px, against at 128 px."


def test_a_category() -> None:
    cells = [cell("for", medium="disk-cold"), cell("against", medium="ramdisk")]
    assert boundary(cells) == "For on disk-cold, against on ramdisk."


def test_a_number_explains_rather_than_a_category_that_goes_along() -> None:
    cells = [cell("for", px=64, impl="naive"), cell("against", px=128, impl="mapped")]
    assert boundary(cells) == "For at 64 px, against at 128 px."


def test_numbers_that_change_together_are_both_named() -> None:
    cells = [cell("for", px=64, n=256), cell("against", px=128, n=1024)]
    text = boundary(cells)
    assert "64 px" in text and "1,024 images" in text and "change together" in text


def test_two_factors_become_regions() -> None:
    cells = [
        cell("against", px=64, workers=1),
        cell("for", px=64, workers=2),
        cell("for", px=256, workers=1),
        cell("for", px=256, workers=2),
    ]
    assert boundary(cells) == "Against at 64 px, with 1 worker; otherwise for."


def test_corrupted_storage_reads_as_two_regions() -> None:
    """The case that once listed twelve combinations one by one."""
    cells = []
    for impl, access, where in itertools.product(
        ("naive", "preloaded", "mapped"), ("item", "unbatched", "batch"), ("memory", "disk")
    ):
        hit = access != "batch" and (impl == "mapped" or (impl, where) == ("preloaded", "memory"))
        cells.append(cell("for" if hit else "against", impl=impl, access=access, where=where))
    assert boundary(cells) == (
        "For with mapped or preloaded, by item or unbatched, in memory; with mapped, by item or "
        "unbatched; otherwise against."
    )


def test_no_pattern_is_said_not_listed() -> None:
    cells = [
        cell("for" if (i + j + k) % 2 else "against", px=64 * 2**i, workers=j, n=256 * 2**k)
        for i, j, k in itertools.product(range(4), repeat=3)
    ]
    text = boundary(cells)
    assert "32 cells" in text and "resolution" in text and len(text) < 200


def test_tests_that_flip_come_first_and_lose_what_they_share() -> None:
    cells = [cell("against", test="mapped / preloaded, item", px=px, n=256) for px in (64, 128)]
    cells += [
        cell(outcome, test="mapped / preloaded, epoch", px=px, n=1024)
        for px, outcome in ((64, "against"), (128, "for"), (256, "for"))
    ]
    assert boundary(cells) == "Epoch: against at 64 px, for from 128 px on. Only against: item."


def test_a_factor_that_only_changes_between_tests_explains_nothing() -> None:
    cells = [cell("against", test="item", n=256), cell("for", test="epoch", n=1024)]
    assert boundary(cells) == "Only for: epoch. Only against: item."


def test_one_factor_across_tests_needs_no_test_names() -> None:
    cells = [cell("against", test="a", workers=1), cell("for", test="a", workers=2)]
    cells += [cell("for", test="b", workers=2)]
    assert boundary(cells) == "Against with 1 worker, for with 2 workers."


def test_machines_that_disagree() -> None:
    text = boundary([cell("for", machine="one", px=64), cell("against", machine="two", px=64)])
    assert text == "For on one, against on two."


def test_undecided_cells_alone_make_no_boundary() -> None:
    assert boundary([cell("for", px=64), cell("unclear", px=128), cell("skipped", px=256)]) == ""
    assert boundary([]) == ""


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
    cells = [
        cell(low if levels.index(at) < flip else OTHER[low],
             **{over: at, **dict(zip(others, rest, strict=True))})
        for at in levels for rest in itertools.product(*grids)
    ]  # fmt: skip
    random.Random(data.draw(st.integers(0, 99))).shuffle(cells)
    below, above = levels[flip - 1], levels[flip]
    assert threshold(cells, over) == (below, above, low)
    text = boundary(cells)
    first = level_words.upto(over, below, alone=flip == 1)
    second = level_words.onward(over, above, alone=flip == len(levels) - 1)
    assert text == f"{low.capitalize()} {first}, {OTHER[low]} {second}."
    assert (str(below) if below else "without") in text.replace(",", "")
    assert (str(above) if above else "unlimited") in text.replace(",", "")


@settings(max_examples=200)
@given(st.dictionaries(
    st.tuples(st.sampled_from([64, 128, 256]), st.sampled_from(["a", "b"]), st.integers(0, 2)),
    st.sampled_from(["for", "against"]), min_size=1,
))  # fmt: skip
def test_regions_hold_every_cell_of_their_outcome_and_no_other(
    grid: dict[tuple[int, str, int], str],
) -> None:
    rows = [(dict(zip(("px", "impl", "workers"), at, strict=True)), o) for at, o in grid.items()]
    found = regions(rows, "for")
    for row, outcome in rows:
        inside = [all(row[k] in v for k, v in region.levels.items()) for region in found]
        assert any(inside) == (outcome == "for")


def test_contradicting_rows_have_no_regions() -> None:
    assert regions([({"px": 64}, "for"), ({"px": 64}, "against")], "for") == []


@pytest.mark.parametrize("factor", [*NUMERIC, *WORDS, "medium", "carrier", "something_new"])
def test_every_factor_has_words(factor: str) -> None:
    levels = NUMERIC.get(factor) or WORDS.get(factor) or ["a", "b"]
    for text in (level_words.at(factor, levels[0]), level_words.among(factor, levels)):
        assert text and "{" not in text and "_" not in text.replace("something_new", "")


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


@settings(max_examples=400)
@given(
    st.lists(
        some_cells,
        max_size=20,
        unique_by=lambda c: (c.test, c.machine, c.benchmark, str(sorted(c.factors.items()))),
    )
)
def test_a_boundary_names_both_sides_whatever_the_cells(cells: list[Cell]) -> None:
    text = boundary(cells)
    both = {"for", "against"} <= {cell.outcome for cell in cells}
    assert bool(text) == both
    if both:
        assert "for" in text.lower() and "against" in text.lower()
        assert text.endswith(".") and "None" not in text
        assert len(text) < 800 and text == boundary(cells)
        for empty in ("for ;", "against ;", "for ,", ": ."):
            assert empty not in text.lower()


# ---------------------------------------------------------------------------- in the figures


def grid(flip: dict[int, int]) -> list[Cell]:
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
    svg, caption = drawn(grid({64: 2, 128: 2}))
    assert "flips here" in svg and "tinted column" in caption


def test_lines_that_flip_at_different_steps_are_marked_one_by_one() -> None:
    svg, caption = drawn(grid({64: 2, 128: 4}))
    assert "flips here" not in svg and "dark stretch" in caption


def test_lines_that_do_not_flip_carry_no_mark() -> None:
    svg, caption = drawn(grid({64: 1, 128: 1}))
    assert "flips here" not in svg and "flips" not in caption


def test_lines_run_along_the_factor_that_flips() -> None:
    """Resolution has more levels, but the outcome turns with the workers."""
    cells = [
        cell("for" if w >= 2 else "against", workers=w, px=px)
        for px, w in itertools.product((64, 128, 256, 512), (1, 2, 4))
    ]
    assert line_factor(cells) == "workers"
    assert line_factor([replace(c, outcome="for") for c in cells]) == "px"


def test_rows_of_a_forest_are_grouped_only_where_they_are_mixed() -> None:
    sorted_already = [cell("against", px=64), cell("unclear", px=128), cell("for", px=256)]
    assert by_outcome(sorted_already) == sorted_already
    assert row_flips(sorted_already) == [(0, 2)]
    mixed = [cell("for", px=64), cell("against", px=128), cell("for", px=256)]
    grouped = by_outcome(mixed)
    assert [c.factors["px"] for c in grouped] == [64, 256, 128]
    assert row_flips(grouped) == [(1, 2)]
    assert "Dotted lines part" in drawn(mixed)[1]
