"""The one-paragraph answer at the top of the page, from the judged claims and the measurements."""

from __future__ import annotations

from collections.abc import Sequence

import pandas as pd

from scripts import wording
from scripts.model import ClaimResult

CENTRE_PX = 256


def answer(claims: Sequence[ClaimResult], cells: pd.DataFrame) -> str:
    """Sentences for what was measured, in the order in which a reader should act on them."""
    by_id = {claim.id: claim for claim in claims}
    sentences = [
        _item_parts(cells),
        _cached(by_id.get("C04")),
        _workers(by_id.get("C08"), by_id.get("C07")),
        _mapping(by_id.get("C17")),
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
    if not {"item", "read", "decode", "convert"} <= set(medians.index):
        return ""
    shares = {name: medians[name] / medians["item"] for name in ("decode", "convert", "read")}
    parts = [
        f"{name} {wording.estimate(shares[part], 'share')}"
        for part, name in (
            ("decode", "decoding the JPEG takes"),
            ("convert", "the conversion to a tensor"),
            ("read", "reading the file from a warm disk"),
        )
    ]
    return f"Of one item of the naive dataset at {CENTRE_PX} px, {', '.join(parts)}."


def _cached(claim: ClaimResult | None) -> str:
    if claim is None or claim.effect is None:
        return ""
    times = wording.with_interval(claim.effect)
    return f"Decoding in every epoch takes {times} the time of an epoch over preloaded pixels."


def _workers(expensive: ClaimResult | None, cheap: ClaimResult | None) -> str:
    parts = []
    if expensive and expensive.effect:
        parts.append(
            f"two workers bring an epoch that decodes to {wording.with_interval(expensive.effect)} of "
            "its time"
        )
    if cheap and cheap.effect:
        parts.append(
            f"an epoch over preloaded pixels to {wording.with_interval(cheap.effect)} of its time"
        )
    return f"In the steady state {', and '.join(parts)}." if parts else ""


def _mapping(claim: ClaimResult | None) -> str:
    if claim is None or claim.effect is None:
        return ""
    return (
        f"A warm memory-mapped file takes {wording.with_interval(claim.effect)} the time of pixels in "
        "memory, epoch for epoch."
    )
