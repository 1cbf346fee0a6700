"""The predicted break-even bandwidth beside the measured one, in words."""

from __future__ import annotations

from collections.abc import Sequence

from scripts.judging.bandwidth import BreakEven


def sentence(found: Sequence[BreakEven], several: bool) -> str:
    """A sentence for each; with `several` machines it names its own."""
    told = [in_words(each) for each in found]
    if several:
        told = [f"{one[:-1]} ({each.machine})." for one, each in zip(told, found, strict=True)]
    return " ".join(told)


def in_words(found: BreakEven) -> str:
    """Prediction and measurement, a sentence each; predicted is the middle of its two models."""
    if found.in_turns is None or found.overlapped is None:
        predicted = "JPEG files are predicted to win at every bandwidth"
    else:
        low, high = sorted((found.in_turns, found.overlapped))
        predicted = f"raw pixels are predicted to win from about {(low + high) / 2:,.0f} MB/s on"
    return f"At {found.px} px {predicted}. {_measured(found)}."


def _measured(found: BreakEven) -> str:
    if found.flips is not None:
        return f"Measured, they do from {found.flips:,.0f} MB/s on"
    if not found.ratios:
        return "No throttled disk was measured"
    least, most = found.ratios[0][0], found.ratios[-1][0]
    winner = "raw pixels" if found.ratios[0][1] > 1 else "JPEG files"
    where = f"at {least:,} MB/s" if least == most else f"from {least:,} to {most:,} MB/s"
    return f"Measured, {winner} win {where}"
