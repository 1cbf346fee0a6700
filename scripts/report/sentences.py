"""The one-sentence finding of a claim: the template in `claims.toml`, filled from its cells.

Fields a template may use: `{headline}` the headline effect with its interval; `{range:test}` the
estimates of the test of that name from smallest to largest, `{range:one,two}` those of several;
`{readings:test}` counts of its outcomes in words; `{list_for}` the combinations that are for;
`{total}`, `{for_}`, `{against}` counts; `{bandwidths}` what `bandwidth.py` predicts, beside what
was measured. `claims.py` checks the names when the file is read.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Sequence

from datasets_impl.errors import StudyError
from scripts.judging.claims import Claim, Exact
from scripts.judging.model import Cell, Effect
from scripts.report import wording

METRIC_WORDS = {
    "epoch": "microseconds per image, one epoch",
    "epochs": "epochs until the construction has paid for itself",
    "item": "microseconds per item",
    "item_share": "share of a single-process epoch",
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
    "failed": "out of memory",
    "starts_failed": "loaders that cannot start",
    "pickle_ratio": "bytes of pickle per byte of pixels",
}


def finding(
    claim: Claim, cells: Sequence[Cell], effect: Effect | None, bandwidths: str = ""
) -> str:
    """The filled template; without a headline effect, a sentence that says so."""
    measured = [cell for cell in cells if cell.estimate is not None]
    if not measured:
        return "Nothing was measured for this claim."
    measured = _counted_once(measured)
    counted = [cell for cell in measured if cell.counts]
    fields = dict(
        headline=wording.with_interval(effect) if effect else "an unmeasured share",
        range=_OfTests(claim, measured, _range),
        readings=_OfTests(claim, measured, _readings),
        list_for=_for_list(counted),
        total=len(counted),
        for_=sum(cell.outcome == "for" for cell in counted),
        against=sum(cell.outcome == "against" for cell in counted),
        bandwidths=bandwidths,
    )
    try:
        return claim.finding.format(**fields).strip()
    except (AttributeError, LookupError, TypeError, ValueError) as error:
        raise StudyError(
            f"The finding of {claim.id} in the claims file has a field that cannot be filled "
            f"({error}); mend it."
        ) from error


def headline(claim: Claim, cells: Sequence[Cell], centre: dict[str, object]) -> Effect | None:
    """The cell that `claims.toml` names, at the centre for every factor it does not name."""
    wanted = dict(claim.headline)
    benchmark = wanted.pop("benchmark", None)
    candidates = [
        cell
        for cell in cells
        if cell.counts
        and cell.estimate is not None
        and all(cell.factors.get(name) == level for name, level in wanted.items())
        and (benchmark is None or cell.benchmark.startswith(f"{benchmark}."))
    ]
    if not candidates:
        return None

    def distance(cell: Cell) -> int:
        return sum(cell.factors.get(name, level) != level for name, level in centre.items())

    best = min(candidates, key=distance)
    assert best.estimate is not None
    test = next(test for test in claim.test.values() if test.label == best.test)
    reading = best.reading
    if isinstance(test, Exact) and test.unit and not reading:
        reading = f"{wording.number(best.estimate)} {test.unit}"
    return Effect(
        metric=METRIC_WORDS.get(
            "epochs" if test.kind == "break-even" else test.metric, test.metric
        ),
        arms=[arm for arm in (best.treatment, best.baseline) if arm],
        estimate=best.estimate,
        low=best.low,
        high=best.high,
        quantity=best.quantity,
        factors=best.factors,
        reading=reading,
        unit=best.unit,
    )


class _OfTests:
    """A template's field that names tests after a colon: `told` of the cells of those tests."""

    def __init__(
        self, claim: Claim, cells: Sequence[Cell], told: Callable[[Sequence[Cell]], str]
    ) -> None:
        self.claim, self.cells, self.told = claim, cells, told

    def __format__(self, names: str) -> str:
        labels = [test.label for test in self.claim.tests(names)]
        return self.told([cell for label in labels for cell in self.cells if cell.test == label])


def _range(cells: Sequence[Cell]) -> str:
    """The smallest and the largest estimate; a break-even that never comes is named after them."""
    finite = [cell for cell in cells if math.isfinite(cell.estimate or 0.0)]
    if not finite:
        return "never" if cells else "not measured"
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


def _for_list(cells: Sequence[Cell]) -> str:
    named = [
        " ".join(
            wording.factor(name, cell.factors[name])
            for name in ("impl", "access", "where")
            if name in cell.factors
        )
        for cell in cells
        if cell.outcome == "for"
    ]
    return ", ".join(named) if named else "none"
