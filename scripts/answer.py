"""The one-paragraph answer at the top of the page, from the judged claims and the measurements."""

from __future__ import annotations

from collections.abc import Sequence

import pandas as pd

from scripts import wording
from scripts.model import ClaimResult

CENTRE_PX = 256
DOING = {"decode": "decoding", "convert": "converting", "read": "reading files"}


def answer(claims: Sequence[ClaimResult], cells: pd.DataFrame) -> str:
    """Sentences for what was measured, in the order in which a reader should act on them."""
    by_id = {claim.id: claim for claim in claims}
    sentences = [
        _item_parts(cells),
        _cached(by_id.get("C04")),
        _workers(by_id.get("C08"), by_id.get("C07")),
        _mapping(by_id.get("C17")),
        _frozen(by_id.get("C15")),
    ]
    text = " ".join(sentence for sentence in sentences if sentence)
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
    largest = max(shares, key=lambda stage: shares[stage])
    decode, convert, read = (wording.estimate(shares[stage], "share") for stage in DOING)
    return (
        f"A dataset that opens JPEG files on access spends its time {DOING[largest]}: of one item "
        f"at {CENTRE_PX} px, decoding takes {decode}, the conversion to a tensor {convert}, and "
        f"reading the file from a warm disk {read}."
    )


def _cached(claim: ClaimResult | None) -> str:
    if claim is None or claim.effect is None:
        return ""
    times = wording.with_interval(claim.effect)
    return f"An epoch that decodes takes {times} as long as one over pixels decoded beforehand."


def _workers(expensive: ClaimResult | None, cheap: ClaimResult | None) -> str:
    parts = []
    if expensive and expensive.effect:
        times = wording.with_interval(expensive.effect)
        parts.append(f"two workers bring an epoch that decodes to {times} of its time")
    if cheap and cheap.effect:
        times = wording.with_interval(cheap.effect)
        parts.append(f"an epoch over pixels in memory to {times} of its time")
    joined = ", and ".join(parts)
    return f"{joined[0].upper()}{joined[1:]}, once they are running." if joined else ""


def _mapping(claim: ClaimResult | None) -> str:
    if claim is None or claim.effect is None:
        return ""
    times = wording.with_interval(claim.effect)
    return f"A warm memory-mapped file takes {times} the time of pixels in memory."


def _frozen(claim: ClaimResult | None) -> str:
    if claim is None or claim.verdict != "challenged":
        return ""
    return "Preloading as documented freezes random transforms, so apply them on access instead."
