"""Where a study and the committed results come to different verdicts, and why that may be."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from datasets_impl.files.records import json_of
from scripts.report.model import ClaimResult, Study

DECIDED = ("supported", "challenged", "conditional")


def differences(study: Study, reference: Path) -> list[str]:
    """A sentence for each claim that both decide, and not alike; [] without a reference.

    `reference`: a `claims.json`. One that cannot be read is none: the study does not need it.
    """
    try:
        record = json_of(reference)
        known = {claim["id"]: claim for claim in record["claims"]}
        machines = ", ".join(machine["name"] for machine in record["machines"])
        return [
            f"{claim.id}: {claim.verdict} here, {known[claim.id]['verdict']} in the committed "
            f"results; {_why(study, claim, known[claim.id], machines)}."
            for claim in study.claims
            if claim.id in known
            and {claim.verdict, known[claim.id]["verdict"]} <= set(DECIDED)
            and claim.verdict != known[claim.id]["verdict"]
        ]
    except (OSError, ValueError, LookupError, TypeError):
        return []


def _why(study: Study, claim: ClaimResult, known: dict[str, Any], machines: str) -> str:
    here, there = claim.cells.total, known["cells"]["total"]
    if here < there:
        return f"the {study.profile} profile has {here} of its {there} cells"
    if own := [machine.name for machine in study.machines if machine.name not in machines]:
        return f"{', '.join(own)} is another machine than {machines}"
    return "the rounds differ"
