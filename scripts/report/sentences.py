"""The one-sentence finding of a claim: the template in `claims.toml`, filled from its cells.

Fields a template may use: `{headline}` the headline effect with its interval; `{range:test}` the
estimates of the test of that name from smallest to largest, `{range:one,two}` those of several,
`{range:one@workers=2@medium=!ramdisk}` those at a level of a factor, or at any other than that;
`{readings:test}` counts of its outcomes in words; `{trend:test}` what its slopes over pixels say;
`{total}`, `{for_}`, `{against}` counts of cells; `{bandwidths}` what `bandwidth.py` predicts,
beside what was measured. `claims.py` checks the names when the file is read.
"""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import replace

from datasets_impl.errors import StudyError
from scripts.judging.claims import Claim, Exact
from scripts.judging.model import Cell, Effect, Lacking
from scripts.report import reasons, wording

UNMEASURED = "not measured"
SENTENCES = re.compile(r"(?<=\.)\s+")
METRIC_WORDS = {
    "epoch": "microseconds per image, one epoch",
    "jpeg_targets": "time with targets, of that without, JPEG files",
    "pixels_targets": "time with targets, of that without, stored pixels",
    "epochs": "epochs until the construction has paid for itself",
    "item": "microseconds per item",
    "item_share": "share of a single-process epoch",
    "stage_share": "share of the item",
    "opened": "image files opened per image",
    "disk_ratio": "bytes on disk per byte of JPEG",
    "mixed_shapes": "outcome of mixed shapes",
    "distinct": "distinct versions in 20 epochs",
    "changed": "stored data changed",
    "construction": "milliseconds to construct the dataset",
    "first_batch": "time to the first batch",
    "worker_copy": "copied by each worker",
    "tree": "memory of the process tree",
    "access": "nanoseconds per record",
    "transport": "microseconds per sample handed over",
    "stall": "share of the time the trainer waits",
    "slowdown": "a training step beside the loader over one alone",
    "cpu": "microseconds of CPU per image, all processes",
    "accuracy": "share of unseen crops whose photograph is found",
    "p99": "milliseconds between batches that one in a hundred exceeds",
    "failed": "out of memory",
    "starts_failed": "loaders that cannot start",
    "pickle_ratio": "bytes of pickle per byte of pixels",
}


def finding(
    claim: Claim, cells: Sequence[Cell], effect: Effect | None, bandwidths: str = ""
) -> str:
    """The filled template, less the sentences of what was not measured."""
    measured = [cell for cell in cells if cell.estimate is not None]
    if not measured:
        return "Nothing was measured for this claim."
    measured = _counted_once(measured)
    counted = [cell for cell in measured if cell.counts]
    fields = dict(
        headline=wording.with_interval(effect) if effect else "an unmeasured share",
        range=_OfTests(claim, measured, span),
        readings=_OfTests(claim, measured, _readings),
        trend=_OfTests(claim, measured, trend),
        total=len(counted),
        for_=sum(cell.outcome == "for" for cell in counted),
        against=sum(cell.outcome == "against" for cell in counted),
        bandwidths=bandwidths,
    )
    try:
        told = [sentence.format(**fields) for sentence in SENTENCES.split(claim.finding.strip())]
        return " ".join([one for one in told if UNMEASURED not in one] or told)
    except (AttributeError, LookupError, TypeError, ValueError) as error:
        raise StudyError(
            f"The finding of {claim.id} in the claims file has a field that cannot be filled "
            f"({error}); mend it."
        ) from error


def worded(effect: Effect, claim: Claim) -> Effect:
    """`effect` with its metric and an exact value in words."""
    test = next(test for test in claim.test.values() if test.label == effect.test)
    metric = "epochs" if test.kind == "break-even" else test.metric
    reading = effect.reading
    if isinstance(test, Exact) and test.unit and not reading:
        reading = f"{wording.number(effect.estimate)} {test.unit}"
    return replace(effect, metric=METRIC_WORDS.get(metric, metric), reading=reading)


def missing(lacking: Lacking, claim: Claim) -> str:
    """What an undecided claim lacks, and what to do about it."""
    told = sorted({reasons.in_words(each) for each in lacking.reasons})
    if lacking.kind == "needs":
        return f"Needs {claim.needs}."
    if lacking.kind == "evidence":
        why = "; ".join(told) or f"no results of {', '.join(lacking.benchmarks)}"
        return f"Evidence is missing: {why}. What measures it: {commands(lacking, False)}."
    if lacking.kind == "quiet":
        return (
            f"The A/A arms on {', '.join(lacking.machines)} raised more false alarms than the "
            f"rules allow; measure again on a quieter machine: {commands(lacking, False)}."
        )
    more = lacking.more
    barred = any(reason.kind == "at the bar" for each in lacking.reasons for reason in each)
    enough = " to decide enough of the others" if barred else ""
    remedy = {
        "samples": f"measure with samples: {commands(lacking, False)}.",
        "rounds": f"measure {more} more round{'s'[: more != 1]}{enough}: {commands(lacking)}.",
        "any rounds": f"measure more rounds: {commands(lacking, False)}.",
        "effect": "more rounds alone would not decide enough of them.",
    }[lacking.kind]
    why = f" Reasons: {'; '.join(told)}." if told else ""
    remedy = f"{remedy[0].upper()}{remedy[1:]}"
    return f"{lacking.unclear} of {lacking.counted} measured cells are unclear.{why} {remedy}"


def commands(lacking: Lacking, rounds: bool = True) -> str:
    """What to run, one after the other, with the `rounds` that it is to reach."""
    return ", then ".join(
        f"`make {name}{f' ROUNDS={total}' * (rounds and total > 0)}`"
        for name, total in lacking.targets
    )


class _OfTests:
    """A template's field that names tests after a colon: `told` of the cells of those tests."""

    def __init__(
        self, claim: Claim, cells: Sequence[Cell], told: Callable[[Sequence[Cell]], str]
    ) -> None:
        self.claim, self.cells, self.told = claim, cells, told

    def __format__(self, names: str) -> str:
        found: list[Cell] = []
        for name in names.split(","):
            labels = [test.label for test in self.claim.tests(name)]
            wanted = [level.split("=", 1) for level in name.split("@")[1:]]
            found += [
                cell for label in labels for cell in self.cells
                if cell.test == label and all(_stands_at(cell, *each) for each in wanted)
            ]  # fmt: skip
        return self.told(found)


def _stands_at(cell: Cell, factor: str, level: str) -> bool:
    """Is `factor` at `level`, or with "!" before it at another?"""
    found = str(cell.factors.get(factor, ""))
    return found != level[1:] if level.startswith("!") else found == level


def span(cells: Sequence[Cell]) -> str:
    """The smallest and the largest estimate; a break-even that never comes is named after them."""
    finite = [cell for cell in cells if math.isfinite(cell.estimate or 0.0)]
    if not finite:
        return "never" if cells else UNMEASURED
    ordered = sorted(finite, key=lambda cell: cell.estimate or 0.0)
    ends = (ordered[0], ordered[-1])
    low, high = (wording.estimate(cell.estimate, cell.quantity) for cell in ends)
    unit = f"{wording.NBSP}{ends[0].unit}" if ends[0].unit else ""
    never = " or never" if len(finite) < len(cells) else ""
    return f"{low if low == high else f'{low} to {high}'}{unit}{never}"


def _counted_once(cells: Sequence[Cell]) -> list[Cell]:
    """`cells` without the exact ones that another machine answered just the same."""
    first: dict[object, Cell] = {}
    for cell in cells:
        alike = (cell.test, cell.treatment, tuple(cell.factors.items()), cell.estimate)
        first.setdefault(alike if cell.quantity == "value" else id(cell), cell)
    return list(first.values())


def _readings(cells: Sequence[Cell]) -> str:
    if len(cells) == 1:
        return cells[0].reading
    counts = Counter(cell.reading for cell in cells)
    return ", ".join(f"{count} {reading}" for reading, count in sorted(counts.items()))


def trend(cells: Sequence[Cell]) -> str:
    """What slopes over the number of pixels say, where all of them say the same."""
    slopes = [cell.estimate or 0.0 for cell in cells]
    if slopes and max(slopes) < 0:
        return "least for large images"
    return "most for large images" if slopes and min(slopes) > 0 else "with no trend over size"
