"""The answer at the top of the page, from the judged claims and the measurements."""

from __future__ import annotations

from collections.abc import Sequence

from scripts.judging.grid import threshold
from scripts.judging.model import Cell, Effect
from scripts.report import wording
from scripts.report.model import ClaimResult

CENTRE_PX = 256
DOING = {"decode": "decoding", "convert": "converting", "read": "reading files"}
HOLDS = ("supported", "conditional")


def answer(claims: Sequence[ClaimResult]) -> str:
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
        _item_parts(by_id.get("C13"), by_id.get("C03")),
        " ".join(sentence for sentence in stored if sentence),
        _expensive(by_id.get("C08")),
        _cheap(by_id.get("C07")),
        _start_method(by_id.get("X01"), by_id.get("C17")),
        _records(by_id.get("C09")),
        _slow_storage(by_id.get("X05")),
    ]
    text = "\n".join(point for point in points if point)
    return text or "Nothing was measured that answers the question; run `make study`."


def _item_parts(converting: ClaimResult | None, reading: ClaimResult | None) -> str:
    """What an item of the naive dataset is made of, at the centre resolution."""
    found: list[Cell | Effect] = []
    for claim in (converting, reading):
        if claim and claim.effect and claim.effect.factors.get("px") == CENTRE_PX:
            found.append(claim.effect)
    decoding = [
        cell for cell in (converting.evidence if converting else [])
        if cell.factors.get("px") == CENTRE_PX and cell.factors.get("stage") == "decode"
    ]  # fmt: skip
    parts = {str(one.factors.get("stage")): one for one in [*found, *decoding[:1]]}
    if parts.keys() != DOING.keys():
        return ""
    first, *rest = sorted(parts, key=lambda stage: -(parts[stage].estimate or 0.0))
    said = {stage: wording.with_interval(one) for stage, one in parts.items()}
    return (
        f"Loading JPEG files is mostly {DOING[first]}: {said[first]} of a {CENTRE_PX} px item. "
        f"{DOING[rest[0]].capitalize()} takes {said[rest[0]]}, {DOING[rest[1]]} {said[rest[1]]}."
    )


def _effect(claim: ClaimResult | None) -> Effect | None:
    return claim.effect if claim else None


def _undecided(claim: ClaimResult | None) -> str:
    return " (undecided: measure more rounds)" if claim and claim.verdict == "inconclusive" else ""


def _cached(claim: ClaimResult | None) -> str:
    effect = _effect(claim)
    if effect is None:
        return ""
    times = wording.with_interval(effect)
    advice = "Decode once if the pixels fit in memory: a" if effect.estimate > 1 else "A"
    return f"{advice}n epoch that decodes takes {times} as long{_undecided(claim)}."


def _break_even(claim: ClaimResult | None) -> str:
    effect = _effect(claim)
    if effect is None or effect.quantity != "amount":
        return ""
    after = wording.with_interval(effect)
    return f"{effect.arms[0].capitalize()} pixels pay off after {after}{_undecided(claim)}."


def _frozen(claim: ClaimResult | None) -> str:
    if claim is None or claim.verdict != "challenged":
        return ""
    return "Preloading as documented freezes random transforms: apply them on access."


def _expensive(claim: ClaimResult | None) -> str:
    effect = _effect(claim)
    if effect is None:
        return ""
    advice = "While you decode, use a worker per core: with two" if effect.estimate < 1 else (
        "While you decode, with two workers")  # fmt: skip
    times = wording.with_interval(effect)
    return f"{advice}, an epoch takes {times} the time{_undecided(claim)}."


def _cheap(claim: ClaimResult | None) -> str:
    effect = _effect(claim)
    if effect is None:
        return ""
    times = wording.with_interval(effect)
    advice = "For pixels in memory use no workers: with two" if effect.estimate > 1 else (
        "For pixels in memory, with two workers")  # fmt: skip
    return f"{advice}, an epoch takes {times} as long{_undecided(claim)}."


def _start_method(start: ClaimResult | None, mapping: ClaimResult | None) -> str:
    """What start methods do to preloading, or how mapping compares while that is not known."""
    effect = _effect(start)
    if start and effect and start.verdict in HOLDS:
        times = wording.with_interval(effect)
        return (
            "Under forkserver (Python 3.14) or spawn workers copy arrays: share one tensor, or "
            f"open a mapping in each worker ({effect.metric}: {times})."
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
        "Keep records in one array, not in Python objects, which each worker copies "
        f"({wording.with_interval(effect)})."
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
