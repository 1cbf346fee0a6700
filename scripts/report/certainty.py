"""How sure a verdict is, and where machines differ, in sentences of one number each."""

from __future__ import annotations

import math
from collections.abc import Sequence

from scripts.judging.model import Cell
from scripts.report import wording
from scripts.report.answer import headline_cell
from scripts.report.level_words import join
from scripts.report.model import ClaimResult, Study


def how_sure(claim: ClaimResult, study: Study) -> list[str]:
    """Decided cells, rounds, machines and the second run, as far as each is known."""
    counted = [cell for cell in claim.evidence if cell.counts and cell.outcome != "skipped"]
    if not counted:
        return []
    decided = sum(cell.outcome in ("for", "against") for cell in counted)
    told = [f"{decided} of {len(counted)} measured cells are decided."]
    if blocks := sorted({cell.blocks for cell in counted if cell.low is not None}):
        span = " to ".join(map(str, dict.fromkeys((blocks[0], blocks[-1]))))
        told.append(f"Each rests on {span} rounds in fresh processes.")
    old = sum((cell.machine, cell.benchmark) in study.earlier for cell in counted)
    if old:
        some = "All" if old == len(counted) else f"{old} of them"
        told.append(f"{some} were measured by an earlier version of the benchmark.")
    tested = {name: v for name, v in claim.by_machine.items() if v != "not tested"}
    if len(tested) == 1:
        told.append(f"Only one machine tested it, {next(iter(tested))}.")
    elif tested:
        found = sorted(set(tested.values()))
        same = "this verdict" if found == [claim.verdict] else f"{found[0]}, each alone"
        came = "different verdicts" if len(found) > 1 else same
        few = len(tested) <= wording.FEW
        many = f"{len(tested)} machines that tested it"
        who = f"machines {join(sorted(tested))}" if few else many
        told.append(f"The {who} come to {came}.")
    return told + _again(claim.id, study)


def _again(claim: str, study: Study) -> list[str]:
    verdicts = study.repeat.verdicts if study.repeat else []
    for name, first, second in verdicts:
        if name == claim:
            same = (
                "the same verdict" if first == second else f"{second}, where the first had {first}"
            )
            return [f"A second run of all rounds gave {same}."]
    return []


def furthest_apart(study: Study) -> str:
    """The headline that differs most between two machines, of ratios; "" for one machine."""
    most, told = 1.0, ""
    for claim in study.claims:
        headline = headline_cell(claim)
        if headline is None or headline.quantity != "ratio":
            continue
        alike = [cell for cell in claim.evidence if _same_place(cell, headline)]
        low, *_, high = sorted(alike, key=lambda cell: cell.estimate or 0.0) * 2
        factor = (high.estimate or 0.0) / (low.estimate or math.inf)
        if factor > most:
            ends = [f"{wording.estimate(c.estimate, 'ratio')} on {c.machine}" for c in (high, low)]
            arms = " / ".join(claim.effect.arms) if claim.effect else ""
            most, told = factor, f"{claim.id}: {arms} is {' and '.join(ends)}"
    return told


def _same_place(cell: Cell, other: Cell) -> bool:
    """Are both the same cell, on whatever machine, with a number?"""
    names = ("test", "treatment", "baseline", "benchmark", "factors", "quantity")
    alike = all(getattr(cell, name) == getattr(other, name) for name in names)
    return alike and cell.estimate is not None and cell.estimate > 0


def tested_twice(claims: Sequence[ClaimResult]) -> int:
    """Claims that two machines or more tested."""
    untested = [list(claim.by_machine.values()).count("not tested") for claim in claims]
    return sum(
        len(claim.by_machine) - count > 1 for claim, count in zip(claims, untested, strict=True)
    )


def differing_verdicts(claims: Sequence[ClaimResult]) -> list[str]:
    """Ids of the claims on which two machines that tested it came to different verdicts."""
    return [claim.id for claim in claims if wording.disagree(claim)]
