"""The predicted break-even bandwidth beside the measured one, in words."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence

from scripts.judging.bandwidth import JPEG, RAW, THROTTLED, BreakEven
from scripts.judging.model import Cell

Place = tuple[str, int, int]  # machine, pixels a side, MB/s


def sentence(found: Sequence[BreakEven], several: bool, cells: Iterable[Cell] = ()) -> str:
    """A sentence for each; with `several` machines it names its own. `cells` are those of claims:
    where a bandwidth is undecided there, it is said to be."""
    unclear = {
        (cell.machine, cell.factors["px"], cell.factors["bandwidth"])
        for cell in cells
        if cell.benchmark.startswith(f"{THROTTLED}.")
        and (cell.treatment, cell.baseline, cell.outcome) == (JPEG, RAW, "unclear")
    }
    told = [in_words(each, unclear) for each in found]
    if several:
        told = [f"{one[:-1]} ({each.machine})." for one, each in zip(told, found, strict=True)]
    return " ".join(told)


def in_words(found: BreakEven, unclear: Collection[Place] = ()) -> str:
    """Prediction and measurement, a sentence each; predicted is the middle of its two models."""
    if found.in_turns is None or found.overlapped is None:
        predicted = "JPEG files are predicted to win at every bandwidth"
    else:
        low, high = sorted((found.in_turns, found.overlapped))
        predicted = f"raw pixels are predicted to win from about {(low + high) / 2:,.0f} MB/s on"
    return f"At {found.px} px {predicted}. {_measured(found, unclear)}."


def _measured(found: BreakEven, unclear: Collection[Place]) -> str:
    if found.flips is not None:
        below = max(at for at, ratio in found.ratios if at < found.flips)
        above = min(at for at, ratio in found.ratios if at > found.flips)
        low, high = (
            " (unclear)" * ((found.machine, found.px, at) in unclear) for at in (below, above)
        )
        return (
            f"Measured, they do at {above:,} MB/s{high}, not at {below:,}{low}. Interpolated "
            f"between the two, they do from {found.flips:,.0f} MB/s on"
        )
    if not found.ratios:
        return "No throttled disk was measured"
    least, most = found.ratios[0][0], found.ratios[-1][0]
    winner = "raw pixels" if found.ratios[0][1] > 1 else "JPEG files"
    where = f"at {least:,} MB/s" if least == most else f"from {least:,} to {most:,} MB/s"
    return f"Measured, {winner} win {where}"
