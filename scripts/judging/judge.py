"""Evidence and claims -> the study that the page shows."""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path

from datasets_impl.errors import StudyError
from scripts.judging import inference
from scripts.judging.bandwidth import prediction
from scripts.judging.cache_state import States, cold_states, stated
from scripts.judging.cells import UNPAIRED, judge_test
from scripts.judging.claims import Claim, Claims, Paired, Rules, Slope, load_claims
from scripts.judging.correction import corrected, in_rounds
from scripts.judging.evidence import FACTORS, Evidence, load_evidence
from scripts.judging.field import field_rows
from scripts.judging.load import Flags, flagged, marked
from scripts.judging.loaders import loaders, scale
from scripts.judging.model import Cell, CellCounts, ClaimResult, Noise, Study, Verdict
from scripts.judging.noise import noise_floor, noisy_machines
from scripts.report import wording
from scripts.report.answer import answer
from scripts.report.boundary import boundary
from scripts.report.sentences import finding, headline
from scripts.report.surroundings import (
    corpora_of,
    corpus_hash,
    describe_machine,
    limits,
    measurements,
    skips_of,
)

# Where the star of benchmarks/grids.py has its centre; image counts differ between profiles.
CENTRE: dict[str, object] = {"px": 256, "workers": 0, "start_method": "fork", "medium": "disk-warm"}


def load_both(first: Sequence[Path], second: Sequence[Path], claims: Path) -> tuple[Study, Study]:
    """Two sets of results to be compared, each judged over the machines that both have.

    Sets of one machine each are taken as they are, whatever their names.

    Raises:
        StudyError: see `load_study`.
    """
    names = [
        {machine.name for machine in load_evidence(list(one)).machines} for one in (first, second)
    ]
    shared = names[0] & names[1]
    if not shared or names[0] == names[1]:
        return load_study(first, claims), load_study(second, claims)
    return load_study(first, claims, shared), load_study(second, claims, shared)


def load_study(
    results: Sequence[Path],
    claims: Path,
    machines: Collection[str] | None = None,
    more: Sequence[Path] = (),
) -> Study:
    """Read, judge and describe everything below `results`, or the `machines` of these names.

    `more` has results of another profile on the same machines, which measured other cells.

    Raises:
        StudyError: claims or results are missing, damaged, or of another suite.
    """
    known = load_claims(claims)
    _refuse_unknown_factors(known, claims)
    evidence = load_evidence(list(results))
    if more:
        evidence = evidence.joined(load_evidence(list(more)))
    if machines is not None:
        evidence = evidence.of(machines)
    try:
        return _study(known, evidence)
    except (ArithmeticError, AttributeError, LookupError, TypeError, ValueError) as error:
        # A log or provenance of other types than ours: whatever trips over it, these hold it.
        raise StudyError(
            f"The results in {', '.join(map(str, [*results, *more]))} do not fit this version of "
            f"the study ({type(error).__name__}: {wording.readable(str(error))[:120]!r}); restore "
            "them, or run the study again."
        ) from error


def _study(known: Claims, evidence: Evidence) -> Study:
    noise = noise_floor(evidence.cells, known.rules)
    flags = {machine.name: flagged(machine.observations) for machine in evidence.machines}
    states = {machine.name: cold_states(machine.observations) for machine in evidence.machines}
    several = len(evidence.machines) > 1
    bandwidths = " ".join(
        f"{each.finding[:-1]} ({each.machine})." if several else each.finding
        for each in prediction(evidence)
    )
    judged = [
        _judge(claim, evidence, known, noise, (flags, states), bandwidths) for claim in known.claim
    ]
    newest = max(evidence.machines, key=lambda machine: machine.measured)
    facts = newest.provenance
    corpora = corpora_of(evidence.machines)
    return Study(
        commit=newest.commit,
        dirty=bool(facts.get("dirty", False)),
        claims_hash=known.rules_hash,
        corpus_hash=corpus_hash(corpora),
        profile=facts.get("profile", "plain asv run"),
        rounds=max((len(cell) for cell in evidence.cells["samples"] if cell), default=1),
        versions=facts.get("versions", {}),
        machines=[describe_machine(machine) for machine in evidence.machines],
        corpora=corpora,
        noise=noise,
        claims=judged,
        measurements=measurements(evidence.cells),
        answer=answer(judged),
        notes=limits(evidence, noise, known),
        skips=skips_of(evidence.cells),
        field_rows=field_rows(
            evidence.cells, [entry for each in evidence.machines for entry in each.observations]
        ),
        loaders=loaders(evidence, known.rules.confidence),
        scale=scale(evidence, known.rules.confidence),
    )


def _refuse_unknown_factors(known: Claims, path: Path) -> None:
    for claim in known.claim:
        for test in claim.test.values():
            arms = {*test.treatment, *test.baseline} if isinstance(test, Paired) else set()
            over = {test.over} if isinstance(test, Slope) else set()
            for factor in sorted({*test.where} | arms | over):
                if factor not in FACTORS:
                    raise StudyError(
                        f"{path} is wrong at {claim.id}, test {test.label!r}: there is no factor "
                        f"{factor!r}; the factors are {', '.join(FACTORS)}."
                    )


def _judge(
    claim: Claim,
    evidence: Evidence,
    claims: Claims,
    noise: Noise,
    observed: tuple[Flags, States],
    bandwidths: str,
) -> ClaimResult:
    rules, (flags, states) = claims.rules, observed
    alone = [
        cell
        for test in claim.test.values()
        for cell in stated(
            marked(judge_test(test, evidence.cells, rules), test, flags), test, states
        )
    ]
    rounds = _rounds(evidence)
    cells = in_rounds(corrected(alone, rules), rounds)
    counted = [cell for cell in cells if cell.counts]
    noisy = noisy_machines(noise, rules)
    verdict, missing = _verdict(claim, counted, rules, noisy, _command(evidence), rounds)
    effect = headline(claim, cells, CENTRE)
    by_machine = {}
    for machine in evidence.machines:  # each is a family of its own
        own = corrected([cell for cell in alone if cell.machine == machine.name], rules)
        judged = [cell for cell in own if cell.counts]
        by_machine[machine.name] = _verdict(claim, judged, rules, noisy, "", rounds)[0]
    return ClaimResult(
        id=claim.id,
        title=claim.title,
        section=claim.section,
        origin=claim.origin,
        restated=claim.restated,
        method=claim.method,
        advice=claim.advice,
        verdict=verdict,
        finding=finding(claim, cells, effect, bandwidths) if verdict != "not tested" else "",
        boundary=boundary(counted) if verdict == "conditional" else "",
        missing=missing,
        effect=effect,
        cells=_count(counted),
        evidence=cells,
        by_machine=by_machine,
    )


def _verdict(
    claim: Claim,
    counted: Sequence[Cell],
    rules: Rules,
    noisy: set[str],
    command: str,
    rounds: Mapping[str, int],
) -> tuple[Verdict, str]:
    """The verdict, and for an undecided one what is lacking."""
    if claim.needs:
        return "not tested", f"Needs {claim.needs}."
    verdict = inference.verdict([cell.outcome for cell in counted], rules)
    if verdict == "not tested":
        reasons = sorted({cell.reason for cell in counted if cell.reason})
        lacking = "; ".join(reasons) or "no results of " + ", ".join(
            sorted({name for test in claim.test.values() for name in test.benchmarks})
        )
        return verdict, f"Evidence is missing: {lacking}."
    alarmed = sorted({cell.machine for cell in counted if cell.quantity != "value"} & noisy)
    if alarmed and verdict != "inconclusive":
        return "inconclusive", (
            f"The A/A arms on {', '.join(alarmed)} raised more false alarms than the rules allow; "
            "measure again on a quieter machine."
        )
    return verdict, (_lacking(counted, rules, command, rounds) if verdict == "inconclusive" else "")


def _rounds(evidence: Evidence) -> dict[str, int]:
    """Rounds of each machine: the blocks of its benchmarks that run in every one."""
    cells = evidence.cells
    return {
        str(machine): max((len(cell) for cell in group["samples"] if cell), default=1)
        for machine, group in cells.groupby("machine")
    }


def _command(evidence: Evidence) -> str:
    """What measures the newest results again: the quick profile, unless they are of another."""
    newest = max(evidence.machines, key=lambda machine: machine.measured)
    profile = newest.provenance.get("profile")
    return f"make {profile}" if profile in ("standard", "full") else "make study"


def _lacking(counted: Sequence[Cell], rules: Rules, command: str, rounds: Mapping[str, int]) -> str:
    """Why too few cells are decided, and how many rounds would change that."""
    unclear = [cell for cell in counted if cell.outcome == "unclear"]
    reasons = sorted({cell.reason for cell in unclear} - {""})
    why = f" ({'; '.join(reasons)})" if reasons else ""
    told = f"{len(unclear)} of {len(counted)} cells are unclear{why}; "
    if any(UNPAIRED in cell.reason for cell in unclear):
        return f"{told}measure with samples: `{command}`."
    judged = sum(cell.outcome != "skipped" for cell in counted)
    wanted = math.ceil(rules.decided_share * judged - 1e-9) - (judged - len(unclear))
    known = [
        (cell.more_rounds, rounds[cell.machine]) for cell in unclear if cell.more_rounds is not None
    ]
    if len(known) >= wanted:
        nearest = sorted(known)[:wanted]
        more, total = nearest[-1][0], max(sum(pair) for pair in nearest)
        return f"{told}measure {more} more round{'s'[: more != 1]}: `{command} ROUNDS={total}`."
    if any(cell.blocks == 1 for cell in unclear):
        return told + "measure more rounds."
    return told + "more rounds alone would not decide enough of them."


def _count(cells: Sequence[Cell]) -> CellCounts:
    names = [cell.outcome for cell in cells]
    return CellCounts(
        len(names), *(names.count(name) for name in ("for", "against", "unclear", "skipped"))
    )
