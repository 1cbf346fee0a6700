"""The answer at the top of the page, from the judged claims: five sentences, one number each."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from datasets_impl.factors import CENTRE, LOCAL_MEDIA
from scripts.judging.grid import threshold
from scripts.judging.model import Cell, Effect
from scripts.report import environments, wording
from scripts.report.model import ClaimResult, Point
from scripts.report.record import cell_record
from scripts.report.sentences import span

MOST = 5
HOLDS = ("supported", "conditional")
UNDECIDED = " (undecided: measure more rounds)"


def answer(
    claims: Sequence[ClaimResult], measured_under: Mapping[str, str] | None = None
) -> list[Point]:
    """At most five points in the order in which a reader should act; [] where nothing tells.

    Each says what to do and the number that says so, names the claim that holds the evidence, and
    tells interval, size and machine apart from the sentence. One whose effect points the other way
    states the effect alone. `measured_under` has the environment of each machine.
    """
    by_id = {claim.id: claim for claim in claims}
    told = [
        ("C03", _longest_part(by_id.get("C03"), by_id.get("C13"))),
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
    under = measured_under or {}
    return [Point(text, claim, _measured(by_id[claim], under)) for claim, text in told if text][
        :MOST
    ]


def _measured(claim: ClaimResult, under: Mapping[str, str]) -> str:
    """What the number of a point rests on: its interval, size and machine."""
    if claim.id == "X01" and (array := _array(claim)) is not None:
        ends = wording.interval(array["estimate"], array["low"], array["high"], "ratio")
        size = wording.factors({"n": array["n"], "px": array["px"]})
        python = f"{environments.python_of([array], under)} with {array['start_method']}"
        return ", ".join(filter(None, (ends, size, array["machine"], python)))
    if claim.id == "C03":
        return _where(_local(claim))
    if claim.id == "X05":
        return _where(_centre(claim))
    effect, cell = claim.effect, headline_cell(claim)
    if effect is None:
        return ""
    ends = wording.interval(effect.estimate, effect.low, effect.high, effect.quantity)
    size = wording.factors(effect.factors, ["px"])
    return ", ".join(filter(None, (ends, size, cell.machine if cell else "")))


def headline_cell(claim: ClaimResult) -> Cell | None:
    """The cell that the headline effect is of."""
    effect = claim.effect
    alike = (
        cell
        for cell in claim.evidence
        if effect
        and (cell.estimate, cell.low, cell.factors) == (effect.estimate, effect.low, effect.factors)
    )
    return next(alike, None)


def _where(cells: Sequence[Cell]) -> str:
    """Range, sizes and machines of several cells."""
    cells = [cell for cell in cells if cell.estimate is not None]
    sizes = sorted({cell.factors["px"] for cell in cells if "px" in cell.factors})
    names = list(dict.fromkeys(cell.machine for cell in cells))
    names = names if len(names) <= wording.FEW else [f"{len(names)} machines"]
    ends = f"{sizes[0]}{wording.DASH}{sizes[-1]} px" if len(sizes) > 1 else f"{sizes[0]} px"
    return ", ".join([*([span(cells)] if cells[0].quantity == "share" else []), ends, *names])


def _local(claim: ClaimResult) -> list[Cell]:
    """Judged shares of reading, from media of the machine itself."""
    return [
        cell
        for cell in claim.evidence
        if cell.counts and cell.estimate is not None and cell.factors.get("medium") in LOCAL_MEDIA
    ]


def _centre(claim: ClaimResult) -> list[Cell]:
    return [c for c in claim.evidence if c.counts and c.factors.get("px") == CENTRE["px"]]


def _longest_part(reading: ClaimResult | None, converting: ClaimResult | None) -> str:
    """Is it reading or decoding that makes an item slow? From the judged cells of all sizes.

    Decoding has no judged cells of its own; that it takes most is seen where it was timed.
    """
    shares = [cell.estimate or 0.0 for cell in (_local(reading) if reading else [])]
    decoding = [
        cell.estimate or 0.0
        for cell in (converting.evidence if converting else [])
        if cell.factors.get("stage") == "decode" and cell.quantity == "share"
    ]
    if shares and min(shares) > 0.5:
        least = wording.estimate(min(shares), "share")
        return f"Reading the file is what costs: it takes at least {least} of an item."
    if shares and decoding and max(shares) < 0.5 < min(decoding):
        most = wording.estimate(max(shares), "share")
        return (
            "Decoding makes a JPEG dataset slow, not the local disk: reading takes at most "
            f"{most} of an item."
        )
    return ""


def _effect(claim: ClaimResult | None) -> Effect | None:
    return claim.effect if claim else None


def _times(effect: Effect) -> str:
    return wording.estimate(effect.estimate, "ratio").removesuffix(wording.TIMES) + " times"


def _end(claim: ClaimResult | None) -> str:
    return (UNDECIDED if claim and claim.verdict == "inconclusive" else "") + "."


def _cached(claim: ClaimResult | None) -> str:
    return _either(
        claim,
        "Decode once if the pixels fit in memory: an epoch that decodes takes {times} as long",
        "An epoch that decodes takes {times} as long as one in memory",
    )


def _cheap(claim: ClaimResult | None) -> str:
    return _either(
        claim,
        "For pixels in memory use no workers: two make an epoch take {times} as long",
        "For pixels in memory, two workers take {times} as long as none",
    )


def _either(claim: ClaimResult | None, slower: str, otherwise: str) -> str:
    """One of two sentences, by whether the effect is above 1; "" where there is none."""
    effect = _effect(claim)
    if effect is None:
        return ""
    said = slower if effect.estimate > 1 else otherwise
    return said.format(times=_times(effect)) + _end(claim)


def _expensive(claim: ClaimResult | None) -> str:
    effect = _effect(claim)
    if effect is None:
        return ""
    length = wording.estimate(effect.estimate, "ratio").removesuffix(wording.TIMES)
    if effect.estimate < 1:
        return (
            "If items decode, use a worker per core: two cut an epoch to "
            f"{length} of its time{_end(claim)}"
        )
    return f"If items decode, two workers take {_times(effect)} as long as none{_end(claim)}"


def _slow_storage(claim: ClaimResult | None) -> str:
    """Where JPEG files and raw pixels change places, at the centre resolution."""
    if claim is None or claim.verdict not in HOLDS:
        return ""
    flip = threshold(_centre(claim), "bandwidth")
    if flip is None or flip[2] != "for":
        return ""
    return (
        f"Keep JPEG files where storage delivers {flip[0]:,} MB/s or less: raw pixels load more "
        "slowly there."
    )


def _start_method(claim: ClaimResult | None) -> str:
    """Of a preloaded array: the headline of X01 is of another dataset."""
    array = _array(claim) if claim and claim.verdict in HOLDS else None
    if array is None:
        return ""
    return (
        "Python 3.14 copies arrays to workers: share one tensor, else first batches take "
        f"{environments.times(array)} times as long as from files."
    )


def _array(claim: ClaimResult) -> Mapping[str, Any] | None:
    return environments.first_batch(cell_record(cell) for cell in claim.evidence)


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
