"""The answer: what a reader who stops after the first screen leaves with."""

from __future__ import annotations

from typing import Any

import pandas as pd
import pytest

from scripts.answer import answer
from scripts.model import Cell, CellCounts, ClaimResult, Effect, Outcome, Verdict


def effect(estimate: float, quantity: str = "ratio", **more: Any) -> Effect:
    low, high = 0.9 * estimate, 1.1 * estimate
    return Effect(more.pop("metric", "time"), more.pop("arms", ["a", "b"]), estimate, low, high,
                  quantity, {}, **more)  # fmt: skip


def claim(name: str, found: Effect | None, verdict: Verdict = "supported",
          evidence: list[Cell] | None = None) -> ClaimResult:  # fmt: skip
    return ClaimResult(
        name, name, "s", "post", "", "", "", verdict, "", "", "", found,
        CellCounts(0, 0, 0, 0, 0), evidence or [], {},
    )  # fmt: skip


def stages(**values: float) -> pd.DataFrame:
    return pd.DataFrame(
        [
            {"benchmark": "item.ByStage", "px": 256, "status": "ok", "stage": s, "median": v}
            for s, v in values.items()
        ],
        columns=["benchmark", "px", "status", "stage", "median"],
    )


def storage(outcomes: dict[int, Outcome]) -> list[Cell]:
    return [
        Cell("t", "ratio", {"px": 256, "bandwidth": b}, 1.0, 0.9, 1.1, o, 6, "storage.B", "lab")
        for b, o in outcomes.items()
    ]


PARTS = stages(item=100, decode=77, convert=9, read=2)
ALL = [
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
    text = answer(ALL, PARTS)
    assert len(text.splitlines()) == 7
    assert len(text.split()) <= 150
    order = ["decoding: 77", "Decode once", "Preloaded pays after 0.8", "freezes"]
    order += ["worker per core", "none for pixels in memory", "forkserver", "one array"]
    order += ["up to 100 MB/s"]
    places = [text.find(part) for part in order]
    assert -1 not in places and places == sorted(places), dict(zip(order, places, strict=True))


def test_nothing_measured_says_what_to_run() -> None:
    assert "make study" in answer([], stages())


def test_the_stage_that_takes_longest_leads() -> None:
    text = answer([], stages(item=100, decode=20, convert=5, read=70))
    assert text.startswith("A dataset that opens JPEG files spends its time reading")


@pytest.mark.parametrize(
    ("name", "estimate", "advice"),
    [("C04", 0.9, "Decode once"), ("C07", 0.9, "Use none"), ("C08", 1.2, "worker per core")],
)
def test_an_effect_that_points_the_other_way_gives_no_advice(
    name: str, estimate: float, advice: str
) -> None:
    text = answer([claim(name, effect(estimate), "challenged")], stages())
    assert advice not in text and f"{estimate:.2f}" in text


def test_advice_needs_a_claim_that_holds_somewhere() -> None:
    refuted = [
        claim("C09", effect(0.01, "share"), "challenged"),
        claim("X01", effect(1.0), "inconclusive"),
        claim("X05", effect(1.0), "challenged", storage({25: "against", 800: "against"})),
        claim("C15", effect(20, "value", reading="20 of 20"), "supported"),
    ]
    assert "make study" in answer(refuted, stages())


def test_storage_that_never_flips_or_flips_the_wrong_way_is_left_out() -> None:
    wrong = storage({25: "against", 800: "for"})
    assert "make study" in answer([claim("X05", effect(1), "conditional", wrong)], stages())


def test_unlimited_storage_is_above_every_bandwidth() -> None:
    cells = storage({0: "against", 25: "for", 100: "for"})
    text = answer([claim("X05", effect(1), "conditional", cells)], stages())
    assert text.endswith("up to 100 MB/s; raw pixels win from unlimited storage on.")


def test_mapping_is_compared_while_start_methods_are_unknown() -> None:
    assert "memory-mapped" in answer([claim("C17", effect(1.06))], stages())
