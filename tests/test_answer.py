"""The answer: what a reader who stops after the first screen leaves with."""

from __future__ import annotations

import re
from dataclasses import replace
from typing import Any

import pytest

from scripts.judging.model import Cell, CellCounts, Effect, Outcome, Verdict
from scripts.report.answer import answer
from scripts.report.environments import updating
from scripts.report.model import ClaimResult
from scripts.report.record import cell_record
from tests.synthetic_study import build


def effect(estimate: float, quantity: str = "ratio", **more: Any) -> Effect:
    low, high = 0.9 * estimate, 1.1 * estimate
    return Effect(more.pop("metric", "time"), more.pop("arms", ["a", "b"]), estimate, low, high,
                  quantity, more.pop("factors", {}), **more)  # fmt: skip


def claim(name: str, found: Effect | None, verdict: Verdict = "supported",
          evidence: list[Cell] | None = None) -> ClaimResult:  # fmt: skip
    return ClaimResult(
        id=name, title=name, section="s", origin="post", restated="", method="", advice="",
        verdict=verdict, finding="", boundary="", missing="", effect=found,
        cells=CellCounts(0, 0, 0, 0, 0), evidence=evidence or [], by_machine={},
    )  # fmt: skip


def parts(decode: float, read: tuple[float, ...]) -> list[ClaimResult]:
    """The claims that tell what an item is made of: at 64 and 256 px, on two machines."""

    def share(stage: str, px: int, value: float, machine: str, **more: Any) -> Cell:
        where = {"px": px, "stage": stage, "medium": "disk-warm"}
        return Cell("t", "share", where, value, 0.9 * value, 1.1 * value, "for", 6, "b", machine,
                    **more)  # fmt: skip

    decoding = [share("decode", 256, decode, "lab", counts=False)]
    reading = [share("read", 64 * 4**i, value, f"lab-{i}") for i, value in enumerate(read)]
    slow = replace(reading[0], estimate=0.99, factors={"px": 256, "bandwidth": 25})
    context = replace(reading[0], estimate=0.6, counts=False)
    return [
        claim("C13", effect(0.09, "share"), evidence=decoding),
        claim("C03", effect(read[0], "share"), evidence=[*reading, slow, context]),
    ]


def storage(outcomes: dict[int, Outcome]) -> list[Cell]:
    return [
        Cell("t", "ratio", {"px": 256, "bandwidth": b}, 1.0, 0.9, 1.1, o, 6, "storage.B", "lab")
        for b, o in outcomes.items()
    ]


ARRAY = Cell(
    "t", "ratio", {"n": 1024, "px": 256, "impl": "preloaded-array", "start_method": "forkserver"},
    2.4, 2.3, 2.5, "for", 6, "startup.BySize.track_first_batch", "lab", counts=False,
    treatment="preloaded-array", baseline="naive",
)  # fmt: skip
ALL = [
    *parts(0.77, (0.02, 0.28)),
    claim("C04", effect(45.1)),
    claim("C07", effect(13.8)),
    claim("C08", effect(0.8)),
    claim("C09", effect(0.97, "share", metric="copied by each worker"), "conditional"),
    claim("C15", effect(1, "value", reading="1 of 20"), "challenged"),
    claim("C17", effect(1.06)),
    claim("X01", effect(2.9, metric="memory of the process tree"), "conditional", [ARRAY]),
    claim("X04", effect(0.8, "amount", arms=["preloaded", "naive"], unit="epochs")),
    claim("X05", effect(0.4), "conditional", storage({25: "for", 100: "for", 800: "against"})),
]


def text(claims: list[ClaimResult]) -> str:
    return "\n".join(point.text for point in answer(claims))


def test_full_evidence_answers_in_five_sentences_with_a_number_and_a_claim_each() -> None:
    points = answer(ALL)
    assert [point.claim for point in points] == ["C03", "C04", "C07", "C08", "X05"]
    order = ["at most 28", "45.1 times as long", "13.8 times", "0.80 of its", "100 MB/s"]
    assert points[0].measured == "2\u00a0% to 28\u00a0%, 64\u2013256 px, lab-0, lab-1"
    assert points[4].measured == "256 px, lab"
    for point, part in zip(points, order, strict=True):
        assert part in point.text
        assert len(re.findall(r"[0-9][0-9.,]*", point.text)) == 1, point.text
        assert len(point.text.split()) <= 20


@pytest.mark.parametrize(
    ("without", "text", "name"),
    [
        ("C03", "Python 3.14 copies arrays to workers", "X01"),
        ("C03 X01", "warm memory-mapped file takes 1.06", "C17"),
        ("C03 X01 C17", "pay off after 0.800", "X04"),
        ("C03 X01 C17 X04", "one array", "C09"),
        ("C03 X01 C17 X04 C09", "freezes", "C15"),
    ],
)
def test_what_is_lacking_leaves_its_place_to_the_next(without: str, text: str, name: str) -> None:
    last = answer([one for one in ALL if one.id not in without.split()])[-1]
    assert text in last.text and last.claim == name


def test_the_start_of_workers_is_told_of_an_array_and_of_the_python_that_measured_it() -> None:
    """And not by the headline, which is of a mapping; README and page quote the same cell."""
    under = {"lab": "Python 3.11, torch 2.14"}
    (point,) = answer([one for one in ALL if one.id == "X01"], under)
    assert "first batches take 2.4 times as long" in point.text and len(point.text.split()) <= 20
    assert point.measured == (
        "[2.3\u20132.5], 1,024 images, 256 px, lab, Python 3.11 with forkserver"
    )
    tree = replace(ARRAY, benchmark="memory.StartMethod.track_tree", baseline="fork")
    assert "first batch takes 2.4 times" in updating(map(cell_record, (ARRAY, tree)), under)
    less = claim("X01", effect(2.9), "conditional", [replace(ARRAY, estimate=0.9)])
    assert answer([less]) == [], "an array that is no slower has no advice"


def test_nothing_measured_says_what_to_run() -> None:
    assert answer([]) == []
    assert "make study" in replace(build(missing=True), points=[]).answer


@pytest.mark.parametrize(
    ("decode", "read", "expected"),
    [
        (0.2, (0.6, 0.7), "Reading the file is what costs: it takes at least 60"),
        (0.2, (0.1, 0.3), ""),
        (0.7, (0.4, 0.6), ""),
    ],
)
def test_what_costs_is_said_only_where_all_sizes_agree(
    decode: float, read: tuple[float, ...], expected: str
) -> None:
    found = text(parts(decode, read))
    assert found.startswith(expected) and bool(found) is bool(expected)


def test_a_number_has_its_interval_size_and_machine_beside_it() -> None:
    found = effect(45.1, factors={"px": 256, "n": 1024})
    cell = Cell("t", "ratio", found.factors, 45.1, found.low, found.high, "for", 6, "b", "lab")
    (point,) = answer([claim("C04", found, evidence=[cell])])
    assert point.measured == "[40.6\u201349.6], 256 px, lab"


@pytest.mark.parametrize(
    ("name", "estimate", "advice"),
    [("C04", 0.9, "Decode once"), ("C07", 0.9, "use no workers"), ("C08", 1.2, "worker per core")],
)
def test_an_effect_that_points_the_other_way_gives_no_advice(
    name: str, estimate: float, advice: str
) -> None:
    found = text([claim(name, effect(estimate), "challenged")])
    assert advice not in found and f"{estimate:.2f}" in found


def test_what_is_undecided_is_said_to_be() -> None:
    """A sentence of its own, with its subject."""
    found = text([claim("C08", effect(1.3), "inconclusive")])
    assert found.startswith("If items decode, two workers take 1.30 times")
    assert found.endswith("(undecided: measure more rounds).")


def test_advice_needs_a_claim_that_holds_somewhere() -> None:
    refuted = [
        claim("C09", effect(0.01, "share"), "challenged"),
        claim("X01", effect(1.0), "inconclusive"),
        claim("X05", effect(1.0), "challenged", storage({25: "against", 800: "against"})),
        claim("C15", effect(20, "value", reading="20 of 20"), "supported"),
    ]
    assert answer(refuted) == []


def test_storage_that_never_flips_or_flips_the_wrong_way_is_left_out() -> None:
    wrong = storage({25: "against", 800: "for"})
    assert answer([claim("X05", effect(1), "conditional", wrong)]) == []


def test_unlimited_storage_is_above_every_bandwidth() -> None:
    cells = storage({0: "against", 25: "for", 100: "for"})
    assert "100 MB/s or less" in text([claim("X05", effect(1), "conditional", cells)])
