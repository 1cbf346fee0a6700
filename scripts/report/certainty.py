"""How sure a verdict is, and where machines differ, in sentences of one number each."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

from scripts.judging.model import Cell, Verdict
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
        told += _of_machines(claim, tested)
    told += _again(claim.id, study)
    found = zip(claim.evidence, elsewhere(claim.evidence), strict=True)
    if twice := len({_setting(cell) for cell, others in found if others}):
        told.append(
            f"{twice} cell{'s were' if twice > 1 else ' was'} measured in two sweeps, and each "
            "sweep has its own number."
        )
    if claim.unmeasured:
        told.append(f"Not measured yet: {', '.join(f'“{one}”' for one in claim.unmeasured)}.")
    return told


def elsewhere(cells: Sequence[Cell]) -> list[list[Cell]]:
    """For each cell those of other sweeps that measured the same arms in the same setting."""
    alike: dict[tuple[object, ...], list[Cell]] = {}
    for cell in cells:
        alike.setdefault(_setting(cell), []).append(cell)
    return [
        [
            other for other in alike[_setting(cell)]
            if other.benchmark != cell.benchmark and None not in (cell.estimate, other.estimate)
        ]
        for cell in cells
    ]  # fmt: skip


def _setting(cell: Cell) -> tuple[object, ...]:
    """Where a timed number is of: machine, arms, metric and levels; an exact one has no noise."""
    if cell.quantity == "value":
        return (id(cell),)
    metric = cell.benchmark.rpartition(".")[2]
    arms = cell.treatment, cell.baseline
    return cell.machine, arms, metric, cell.quantity, tuple(sorted(cell.factors.items()))


def _of_machines(claim: ClaimResult, tested: Mapping[str, Verdict]) -> list[str]:
    """What those that decided it come to; whoever could not decide it contradicts nobody."""
    open_ = sorted(name for name, verdict in tested.items() if verdict == "inconclusive")
    known = {name: verdict for name, verdict in tested.items() if name not in open_} or tested
    found = sorted(set(known.values()))
    same = "this verdict" if found == [claim.verdict] else f"{found[0]}, each alone"
    came = "different verdicts" if len(found) > 1 else same
    few = len(known) <= wording.FEW
    who = f"machines {join(sorted(known))}" if few else f"{len(known)} machines that tested it"
    told = [f"The {who} come to {came}."]
    if len(known) == 1:
        told = [f"It is decided on one machine, {next(iter(known))}."]
    if open_ and known != tested:
        names = join(open_) if len(open_) <= wording.FEW else f"{len(open_)} machines"
        told.append(f"It is undecided on {names}.")
    return told


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
    """Ids of the claims on which two machines that decided it came to different verdicts."""
    return [claim.id for claim in claims if wording.disagree(claim)]
