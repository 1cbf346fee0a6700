"""What would decide a claim that is undecided."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import replace

from scripts.judging import inference
from scripts.judging.claims import Claim, Paired, Rules, Test
from scripts.judging.evidence import Evidence
from scripts.judging.model import Cell, Lacking, Verdict
from scripts.judging.targets import OF_PEERS, TARGETS, measuring


def lacking(
    claim: Claim,
    verdict: Verdict,
    counted: Sequence[Cell],
    evidence: Evidence,
    rules: Rules,
    noisy: set[str],
) -> Lacking | None:
    """What would decide an undecided claim."""
    if claim.needs:
        return Lacking("needs")
    if verdict == "not tested":
        told = frozenset(cell.reasons for cell in counted if cell.reasons)
        tests = [test for test in claim.test.values() if not test.unless]
        names = {name for test in tests for name in test.benchmarks}
        targets = _in_order(
            (measuring(name, _arms(test)), 0)
            for test in tests for name in test.benchmarks if test.counts
        )  # fmt: skip
        return Lacking("evidence", tuple(sorted(names)), targets, reasons=told)
    if verdict != "inconclusive":
        return None
    loud = alarmed(counted, noisy)
    if loud and inference.verdict([cell.outcome for cell in counted], rules) != "inconclusive":
        again = [cell for cell in counted if cell.machine in loud]
        return Lacking("quiet", targets=_targets(again, evidence), machines=loud)
    return _undecided(counted, rules, evidence)


def _arms(test: Test) -> list[str]:
    return [str(test.treatment.get("impl"))] if isinstance(test, Paired) else []


def alarmed(counted: Sequence[Cell], noisy: set[str]) -> tuple[str, ...]:
    """Machines that are too noisy for what was timed on them."""
    return tuple(sorted({cell.machine for cell in counted if cell.quantity != "value"} & noisy))


def _undecided(counted: Sequence[Cell], rules: Rules, evidence: Evidence) -> Lacking:
    """Why too few cells are decided, and how many rounds would change that."""
    unclear = [cell for cell in counted if cell.outcome == "unclear"]
    found = Lacking(
        "effect",
        targets=_targets(unclear, evidence),
        unclear=len(unclear),
        counted=sum(cell.outcome != "skipped" for cell in counted),
        reasons=frozenset(cell.reasons for cell in unclear if cell.reasons),
    )
    if not all(cell.paired for cell in unclear):
        return replace(found, kind="samples")
    wanted = math.ceil(rules.decided_share * found.counted - 1e-9)
    wanted -= found.counted - len(unclear)
    known = [cell for cell in unclear if cell.more_rounds is not None]
    if len(known) >= wanted:
        nearest = sorted(known, key=lambda cell: cell.more_rounds or 0)[:wanted]
        targets = _targets(nearest, evidence)
        return replace(found, kind="rounds", targets=targets, more=nearest[-1].more_rounds or 0)
    any_rounds = any(cell.blocks == 1 for cell in unclear)
    return replace(found, kind="any rounds") if any_rounds else found


def _targets(cells: Sequence[Cell], evidence: Evidence) -> tuple[tuple[str, int], ...]:
    """What measures `cells` again, each up to the rounds that they need."""
    rounds, profiles = evidence.of_runs("rounds"), evidence.of_runs("profile")
    found = []
    for cell in cells:
        place = cell.machine, cell.benchmark
        name = measuring(cell.benchmark, (cell.treatment, cell.baseline), profiles[place])
        found.append((name, rounds[place] + (cell.more_rounds or 0)))
    return _in_order(found)


def _in_order(found: Iterable[tuple[str, int]]) -> tuple[tuple[str, int], ...]:
    """Each target once, with the most rounds; what *peers* measures, no other need."""
    most: dict[str, int] = {}
    for name, rounds in sorted(found, reverse=True):
        most.setdefault(name, rounds)
    if "peers" in most:
        most["peers"] = max(most["peers"], *(most.pop(name, 0) for name in OF_PEERS))
    return tuple((name, most[name]) for name in TARGETS if name in most)
