"""The answer at the top of the page, from the judged claims: five sentences, one number each."""

from __future__ import annotations

from collections.abc import Sequence

from scripts.judging.grid import threshold
from scripts.judging.model import Cell, Effect
from scripts.report import wording
from scripts.report.model import ClaimResult, Point

CENTRE_PX = 256
MOST = 5
DOING = {"decode": "Decoding", "convert": "Converting", "read": "Reading the file"}
HOLDS = ("supported", "conditional")
UNDECIDED = " (undecided: measure more rounds)"


def answer(claims: Sequence[ClaimResult]) -> list[Point]:
    """At most five points in the order in which a reader should act; [] where nothing tells.

    Each says what to do and the number that says so, and names the claim that holds the evidence,
    with the interval. One whose effect points the other way states the effect alone.
    """
    by_id = {claim.id: claim for claim in claims}
    told = [
        ("C13", _longest_part(by_id.get("C13"), by_id.get("C03"))),
        ("C04", _cached(by_id.get("C04"))),
        ("C07", _cheap(by_id.get("C07"))),
        ("C08", _expensive(by_id.get("C08"))),
        ("X05", _slow_storage(by_id.get("X05"))),
        ("X01", _start_method(by_id.get("X01"))),
        ("C17", _mapped(by_id.get("C17"))),
        ("X04", _break_even(by_id.get("X04"))),
        ("C09", _records(by_id.get("C09"))),
        ("C15", _frozen(by_id.get("C15"))),
    ]
    return [Point(text, claim) for claim, text in told if text][:MOST]


def _longest_part(converting: ClaimResult | None, reading: ClaimResult | None) -> str:
    """Which part of an item of the naive dataset takes longest, at the centre resolution."""
    found: list[Cell | Effect] = []
    for claim in (converting, reading):
        if claim and claim.effect and claim.effect.factors.get("px") == CENTRE_PX:
            found.append(claim.effect)
    decoding = [
        cell for cell in (converting.evidence if converting else [])
        if cell.factors.get("px") == CENTRE_PX and cell.factors.get("stage") == "decode"
    ]  # fmt: skip
    parts = {str(one.factors.get("stage")): one.estimate or 0.0 for one in [*found, *decoding[:1]]}
    if parts.keys() != DOING.keys():
        return ""
    first = max(parts, key=lambda stage: parts[stage])
    share = wording.estimate(parts[first], "share")
    return f"{DOING[first]} takes {share} of the time to load a JPEG."


def _effect(claim: ClaimResult | None) -> Effect | None:
    return claim.effect if claim else None


def _times(effect: Effect) -> str:
    return wording.estimate(effect.estimate, "ratio").removesuffix(wording.TIMES) + " times"


def _end(claim: ClaimResult | None) -> str:
    return (UNDECIDED if claim and claim.verdict == "inconclusive" else "") + "."


def _cached(claim: ClaimResult | None) -> str:
    effect = _effect(claim)
    if effect is None:
        return ""
    if effect.estimate > 1:
        return (
            "Decode once if the pixels fit in memory: an epoch that decodes is "
            f"{_times(effect)} slower{_end(claim)}"
        )
    return f"An epoch that decodes takes {_times(effect)} as long as one in memory{_end(claim)}"


def _cheap(claim: ClaimResult | None) -> str:
    effect = _effect(claim)
    if effect is None:
        return ""
    if effect.estimate > 1:
        return (
            "For pixels in memory use no workers: two make an epoch "
            f"{_times(effect)} slower{_end(claim)}"
        )
    return f"For pixels in memory, two workers take {_times(effect)} as long as none{_end(claim)}"


def _expensive(claim: ClaimResult | None) -> str:
    effect = _effect(claim)
    if effect is None:
        return ""
    length = wording.estimate(effect.estimate, "ratio").removesuffix(wording.TIMES)
    if effect.estimate < 1:
        return (
            "While you decode, use a worker per core: two shorten an epoch to "
            f"{length} of its time{_end(claim)}"
        )
    return f"While you decode, two workers take {_times(effect)} as long as none{_end(claim)}"


def _slow_storage(claim: ClaimResult | None) -> str:
    """Where JPEG files and raw pixels change places, at the centre resolution."""
    if claim is None or claim.verdict not in HOLDS:
        return ""
    centre = [c for c in claim.evidence if c.counts and c.factors.get("px") == CENTRE_PX]
    flip = threshold(centre, "bandwidth")
    if flip is None or flip[2] != "for":
        return ""
    return f"Keep JPEG files on storage of up to {flip[0]:,} MB/s: there raw pixels are slower."


def _start_method(claim: ClaimResult | None) -> str:
    effect = _effect(claim)
    if claim is None or effect is None or claim.verdict not in HOLDS:
        return ""
    return (
        "Under forkserver, Python 3.14's default, workers copy arrays: share one tensor, or open "
        f"a mapping in each worker ({effect.metric}: {_times(effect)} as much)."
    )


def _mapped(claim: ClaimResult | None) -> str:
    effect = _effect(claim)
    if effect is None:
        return ""
    return f"A warm memory-mapped file takes {_times(effect)} as long as pixels in memory."


def _break_even(claim: ClaimResult | None) -> str:
    effect = _effect(claim)
    if effect is None or effect.quantity != "amount":
        return ""
    after = wording.estimate(effect.estimate, effect.quantity, effect.unit)
    return f"{effect.arms[0].capitalize()} pixels pay off after {after}{_end(claim)}"


def _records(claim: ClaimResult | None) -> str:
    effect = _effect(claim)
    if claim is None or effect is None or claim.verdict not in HOLDS:
        return ""
    size = wording.estimate(effect.estimate, effect.quantity, effect.unit)
    return f"Keep records in one array: of a list of strings each worker copies {size}."


def _frozen(claim: ClaimResult | None) -> str:
    if claim is None or claim.verdict != "challenged":
        return ""
    return "Preloading as documented freezes random transforms: apply them on access."
