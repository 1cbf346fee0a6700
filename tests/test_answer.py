"""The answer: what a reader who stops after the first screen leaves with."""

from __future__ import annotations

from typing import Any

import pytest

from scripts.judging.model import Cell, CellCounts, Effect, Outcome, Verdict
from scripts.report.answer import answer
from scripts.report.model import ClaimResult


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


def parts(decode: float, convert: float, read: float) -> list[ClaimResult]:
    """The claims that tell what an item is made of."""
    where = {"px": 256, "stage": "decode"}
    context = Cell("t", "share", where, decode, 0.9 * decode, 1.1 * decode, "for", 6, "b", "lab")
    return [
        claim("C13", effect(convert, "share", factors={"px": 256, "stage": "convert"}),
              evidence=[context]),
        claim("C03", effect(read, "share", factors={"px": 256, "stage": "read"})),
    ]  # fmt: skip


def storage(outcomes: dict[int, Outcome]) -> list[Cell]:
    return [
        Cell("t", "ratio", {"px": 256, "bandwidth": b}, 1.0, 0.9, 1.1, o, 6, "storage.B", "lab")
        for b, o in outcomes.items()
    ]


ALL = [
    *parts(0.77, 0.09, 0.02),
    claim("C04", effect(45.1)),
    claim("C07", effect(13.8)),
    claim("C08", effect(0.8)),
    claim("C09", effect(0.97, "share", metric="copied by each worker"), "conditional"),
    claim("C15", effect(1, "value", reading="1 of 20"), "challenged"),
    claim("C17", effect(1.06)),
    claim("X01", effect(2.9, metric="memory of the process tree"), "conditional"),
    claim("X04", effect(0.8, "amount", arms=["preloaded", "naive"], unit="epochs")),
    claim("X05", effect(0.4), "conditional", storage({25: "for", 100: "for", 800: "against"})),
]


def test_full_evidence_answers_in_seven_points_that_fit_a_first_screen() -> None:
    text = answer(ALL)
    assert len(text.splitlines()) == 7
    assert len(text.split()) <= 150
    order = ["mostly decoding: 77", "Decode once", "pay off after 0.8", "freezes"]
    order += ["worker per core", "use no workers", "forkserver", "one array"]
    order += ["up to 100 MB/s"]
    places = [text.find(part) for part in order]
    assert -1 not in places and places == sorted(places), dict(zip(order, places, strict=True))


def test_nothing_measured_says_what_to_run() -> None:
    assert "make study" in answer([])


def test_the_stage_that_takes_longest_leads() -> None:
    text = answer(parts(0.2, 0.05, 0.7))
    assert text.startswith("Loading JPEG files is mostly reading")


@pytest.mark.parametrize(
    ("name", "estimate", "advice"),
    [("C04", 0.9, "Decode once"), ("C07", 0.9, "use no workers"), ("C08", 1.2, "worker per core")],
)
def test_an_effect_that_points_the_other_way_gives_no_advice(
    name: str, estimate: float, advice: str
) -> None:
    text = answer([claim(name, effect(estimate), "challenged")])
    assert advice not in text and f"{estimate:.2f}" in text


def test_what_is_undecided_is_said_to_be() -> None:
    """A sentence of its own, with its subject."""
    text = answer([claim("C08", effect(1.3), "inconclusive")])
    assert text.startswith("While you decode, with two workers, an epoch takes 1.30")
    assert "undecided: measure more rounds" in text


def test_advice_needs_a_claim_that_holds_somewhere() -> None:
    refuted = [
        claim("C09", effect(0.01, "share"), "challenged"),
        claim("X01", effect(1.0), "inconclusive"),
        claim("X05", effect(1.0), "challenged", storage({25: "against", 800: "against"})),
        claim("C15", effect(20, "value", reading="20 of 20"), "supported"),
    ]
    assert "make study" in answer(refuted)


def test_storage_that_never_flips_or_flips_the_wrong_way_is_left_out() -> None:
    wrong = storage({25: "against", 800: "for"})
    assert "make study" in answer([claim("X05", effect(1), "conditional", wrong)])


def test_unlimited_storage_is_above_every_bandwidth() -> None:
    cells = storage({0: "against", 25: "for", 100: "for"})
    text = answer([claim("X05", effect(1), "conditional", cells)])
    assert text.endswith("up to 100 MB/s; raw pixels win from unlimited storage on.")


def test_mapping_is_compared_while_start_methods_are_unknown() -> None:
    assert "memory-mapped" in answer([claim("C17", effect(1.06))])
