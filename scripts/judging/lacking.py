"""What would decide a claim that is undecided."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace

from scripts.judging import inference
from scripts.judging.claims import Claim, Rules
from scripts.judging.evidence import Evidence
from scripts.judging.model import Cell, Lacking, Verdict


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
        names = {name for test in claim.test.values() for name in test.benchmarks}
        return Lacking("evidence", reasons=told, benchmarks=tuple(sorted(names)))
    if verdict != "inconclusive":
        return None
    loud = alarmed(counted, noisy)
    if loud and inference.verdict([cell.outcome for cell in counted], rules) != "inconclusive":
        return Lacking("quiet", machines=loud)
    return _undecided(counted, rules, evidence)


def alarmed(counted: Sequence[Cell], noisy: set[str]) -> tuple[str, ...]:
    """Machines that are too noisy for what was timed on them."""
    return tuple(sorted({cell.machine for cell in counted if cell.quantity != "value"} & noisy))


def _undecided(counted: Sequence[Cell], rules: Rules, evidence: Evidence) -> Lacking:
    """Why too few cells are decided, and how many rounds would change that."""
    unclear = [cell for cell in counted if cell.outcome == "unclear"]
    found = Lacking(
        "effect",
        unclear=len(unclear),
        counted=len(counted),
        reasons=frozenset(cell.reasons for cell in unclear if cell.reasons),
        profile=str(evidence.newest.provenance.get("profile", "")),
    )
    if not all(cell.paired for cell in unclear):
        return replace(found, kind="samples")
    judged = sum(cell.outcome != "skipped" for cell in counted)
    wanted = math.ceil(rules.decided_share * judged - 1e-9) - (judged - len(unclear))
    rounds = evidence.rounds()
    known = [
        (cell.more_rounds, rounds[cell.machine]) for cell in unclear if cell.more_rounds is not None
    ]
    if len(known) >= wanted:
        nearest = sorted(known)[:wanted]
        total = max(sum(pair) for pair in nearest)
        return replace(found, kind="rounds", more=nearest[-1][0], total=total)
    any_rounds = any(cell.blocks == 1 for cell in unclear)
    return replace(found, kind="any rounds") if any_rounds else found
