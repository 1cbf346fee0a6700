"""Where a study and the committed results come to different verdicts, and why that may be."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from datasets_impl.files.records import json_of
from scripts.report.model import Study

DECIDED = ("supported", "challenged", "conditional")


def differences(study: Study, reference: Path) -> list[str]:
    """A sentence for each claim that both decide, and not alike, then which only one decides.

    `reference`: a `claims.json`. One that cannot be read is none: the study does not need it. A
    study of one machine that the reference has too is compared with that machine's part.
    """
    try:
        record = json_of(reference)
        own = [machine.name for machine in study.machines]
        machines = [str(machine["name"]) for machine in record["machines"]]
        same = own[0] if len(own) == 1 and own[0] in machines else ""
        known = {claim["id"]: claim for claim in record["claims"]}
        told = []
        only: dict[bool, list[str]] = {True: [], False: []}  # decided by the study, or there
        for claim in study.claims:
            if (there := known.get(claim.id)) is None:
                continue
            verdict = str(there["by_machine"].get(same, there["verdict"]))
            decided = claim.verdict in DECIDED
            if decided is not (verdict in DECIDED):
                only[decided].append(claim.id)
            elif decided and verdict != claim.verdict:
                cells = (
                    _measured(vars(cell) for cell in claim.evidence),
                    _measured(cell for cell in there["evidence"] if same in ("", cell["machine"])),
                )
                why = _why(study, cells, [name for name in own if name not in machines], machines)
                told.append(
                    f"{claim.id}: {claim.verdict} here, {verdict} in the committed results; {why}."
                )
    except (AttributeError, OSError, ValueError, LookupError, TypeError):
        return []
    for decided, words in ((True, "here alone"), (False, "in the committed results alone")):
        told += [f"Decided {words}: {', '.join(only[decided])}."] if only[decided] else []
    return told


def _measured(cells: Iterable[Any]) -> int:
    """Counted cells with a number, of the machine that has most."""
    counted = (cell for cell in cells if cell["counts"] and cell["outcome"] != "skipped")
    return max(Counter(cell["machine"] for cell in counted).values(), default=0)


def _why(study: Study, cells: tuple[int, int], others: list[str], machines: list[str]) -> str:
    here, there = cells
    if here < there:
        return f"the {study.profile} profile measured {here} of the {there} cells of a machine"
    if others:
        return f"{', '.join(others)} is another machine than {', '.join(machines)}"
    return "the rounds differ"
