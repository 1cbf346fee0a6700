"""Verdicts -> the study that the page shows: each claim in words, and what surrounds it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from scripts.judging import field
from scripts.judging.claims import Claim
from scripts.judging.declared import earlier
from scripts.judging.judge import fitting, judge, judge_repeat
from scripts.judging.judgement import Judgement
from scripts.judging.measurements import measurements
from scripts.judging.model import JudgedClaim, Run
from scripts.judging.repeat import repeat_of
from scripts.report import bandwidths, surroundings
from scripts.report.answer import answer
from scripts.report.field import field_rows
from scripts.report.grid import boundary
from scripts.report.model import ClaimResult, Study
from scripts.report.sentences import finding, missing, worded


def load_study(results: Sequence[Path], claims: Path) -> Study:
    """Read, judge and describe everything below `results`, and compare it with a second run there.

    Raises:
        StudyError: claims or results are missing, damaged, or of another suite.
    """
    judgement, both = judge(results, claims), judge_repeat(results, claims)
    with fitting(results):
        return replace(described(judgement), repeat=repeat_of(*both) if both else None)


def described(judgement: Judgement) -> Study:
    """`judgement` in words."""
    known, evidence = judgement.known, judgement.evidence
    told = bandwidths.sentence(
        judgement.bandwidths,
        len(evidence.machines) > 1,
        (cell for claim in judgement.claims for cell in claim.evidence),
    )
    claims = [
        _in_words(claim, judged, told)
        for claim, judged in zip(known.claim, judgement.claims, strict=True)
    ]
    log = [entry for each in evidence.machines for entry in each.observations]
    corpora = surroundings.corpora_of(evidence.machines)
    numbers = {name: getattr(judgement, name) for name in Run.__dataclass_fields__}
    apart = surroundings.apart(evidence, judgement.claims)
    return Study(
        **numbers
        | {
            "claims": claims,
            "machines": [surroundings.describe_machine(each) for each in evidence.machines],
        },
        claims_hash=known.rules_hash,
        corpus_hash=surroundings.corpus_hash(corpora),
        versions=evidence.newest.provenance.get("versions", {}),
        corpora=corpora,
        at_scale=judgement.at_scale,
        measurements=measurements(evidence.cells, known.rules.confidence),
        points=answer(claims, {each.name: each.environment for each in evidence.machines}),
        notes=[
            *surroundings.limits(evidence, judgement.noise, known),
            *apart,
            *surroundings.untested(known, judgement.claims),
        ],
        apart=apart,
        earlier=set(earlier(evidence.cells)),
        skips=surroundings.skips_of(evidence.cells),
        field_rows=field_rows(field.compared(evidence.cells, log, known.rules.confidence)),
    )


def _in_words(claim: Claim, judged: JudgedClaim, bandwidths: str) -> ClaimResult:
    effect = worded(judged.effect, claim) if judged.effect else None
    counted = [cell for cell in judged.evidence if cell.counts]
    tested = judged.verdict != "not tested"
    texts = ("section", "origin", "restated", "method", "advice", "instead")
    return ClaimResult(
        **vars(judged) | {name: getattr(claim, name) for name in texts} | {"effect": effect},
        title=claim.title if judged.verdict == "supported" else claim.question or claim.title,
        finding=finding(claim, judged.evidence, effect, bandwidths) if tested else "",
        boundary=boundary(counted, claim.holds) if judged.verdict == "conditional" else "",
        missing=missing(judged.lacking, claim) if judged.lacking else "",
        unmeasured=surroundings.unmeasured(claim, judged),
    )
