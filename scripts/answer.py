"""The answer at the top of the page, from the judged claims and the measurements."""

from __future__ import annotations

from collections.abc import Sequence

import pandas as pd

from scripts import wording
from scripts.boundary import threshold
from scripts.model import ClaimResult, Effect

CENTRE_PX = 256
DOING = {"decode": "decoding", "convert": "converting", "read": "reading files"}
HOLDS = ("supported", "conditional")


def answer(claims: Sequence[ClaimResult], cells: pd.DataFrame) -> str:
    """What was measured in at most seven points, a line each, in the order a reader should act.

    Each says what to do and the effect that says so; one whose effect points the other way states
    the effect alone.
    """
    by_id = {claim.id: claim for claim in claims}
    stored = [
        _cached(by_id.get("C04")),
        _break_even(by_id.get("X04")),
        _frozen(by_id.get("C15")),
    ]
    points = [
        _item_parts(cells),
        " ".join(sentence for sentence in stored if sentence),
        _expensive(by_id.get("C08")),
        _cheap(by_id.get("C07")),
        _start_method(by_id.get("X01"), by_id.get("C17")),
        _records(by_id.get("C09")),
        _slow_storage(by_id.get("X05")),
    ]
    text = "\n".join(point for point in points if point)
    return text or "Nothing was measured that answers the question; run `make study`."


def _item_parts(cells: pd.DataFrame) -> str:
    """What an item of the naive dataset is made of, at the centre resolution."""
    chosen = cells[
        (cells["benchmark"] == "item.ByStage")
        & (cells["px"] == CENTRE_PX)
        & (cells["status"] == "ok")
    ]
    medians = chosen.groupby("stage")["median"].mean()
    if not {"item", *DOING} <= set(medians.index):
        return ""
    shares = {stage: float(medians[stage] / medians["item"]) for stage in DOING}
    first, *rest = sorted(shares, key=lambda stage: -shares[stage])
    words = {stage: wording.estimate(shares[stage], "share") for stage in DOING}
    others = " and ".join(f"{words[stage]} {DOING[stage]}" for stage in rest)
    return (
        f"A dataset that opens JPEG files spends its time {DOING[first]}: "
        f"{words[first]} of a {CENTRE_PX} px item, against {others}."
    )


def _effect(claim: ClaimResult | None) -> Effect | None:
    return claim.effect if claim else None


def _cached(claim: ClaimResult | None) -> str:
    effect = _effect(claim)
    if effect is None:
        return ""
    times = wording.with_interval(effect)
    advice = "Decode once if the pixels fit in memory: a" if effect.estimate > 1 else "A"
    return f"{advice}n epoch that decodes takes {times} as long."


def _break_even(claim: ClaimResult | None) -> str:
    effect = _effect(claim)
    if effect is None or effect.quantity != "amount":
        return ""
    return f"{effect.arms[0].capitalize()} pays after {wording.with_interval(effect)}."


def _frozen(claim: ClaimResult | None) -> str:
    if claim is None or claim.verdict != "challenged":
        return ""
    return "Preloading as documented freezes random transforms: apply them on access."


def _expensive(claim: ClaimResult | None) -> str:
    effect = _effect(claim)
    if effect is None:
        return ""
    advice = "While you decode, use a worker per core: t" if effect.estimate < 1 else "T"
    return f"{advice}wo bring an epoch to {wording.with_interval(effect)} of its time."


def _cheap(claim: ClaimResult | None) -> str:
    effect = _effect(claim)
    if effect is None:
        return ""
    times = wording.with_interval(effect)
    advice = "Use none for pixels in memory: t" if effect.estimate > 1 else "For pixels in memory t"
    return f"{advice}wo make an epoch take {times} its time."


def _start_method(start: ClaimResult | None, mapping: ClaimResult | None) -> str:
    """What start methods do to preloading, or how mapping compares while that is not known."""
    effect = _effect(start)
    if start and effect and start.verdict in HOLDS:
        times = wording.with_interval(effect)
        return (
            "Under forkserver (Python 3.14) or spawn arrays are copied: share one tensor, or open "
            f"a mapping in each worker ({effect.metric}: {times})."
        )
    effect = _effect(mapping)
    if effect is None:
        return ""
    times = wording.with_interval(effect)
    return f"A warm memory-mapped file takes {times} the time of pixels in memory."


def _records(claim: ClaimResult | None) -> str:
    effect = _effect(claim)
    if claim is None or effect is None or claim.verdict not in HOLDS:
        return ""
    return (
        "Keep records in one array, not in Python objects "
        f"({effect.metric}: {wording.with_interval(effect)})."
    )


def _slow_storage(claim: ClaimResult | None) -> str:
    """Where JPEG files and raw pixels change places, at the centre resolution."""
    if claim is None or claim.verdict not in HOLDS:
        return ""
    centre = [c for c in claim.evidence if c.counts and c.factors.get("px") == CENTRE_PX]
    flip = threshold(centre, "bandwidth")
    if flip is None or flip[2] != "for":
        return ""
    low, high = (f"{flip[0]:,} MB/s", f"{flip[1]:,} MB/s" if flip[1] else "unlimited storage")
    return f"Keep JPEG files on storage up to {low}; raw pixels win from {high} on."
