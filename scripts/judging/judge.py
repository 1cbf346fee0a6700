"""Evidence and claims -> verdicts, with the numbers that they rest on."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import numpy as np

from datasets_impl.errors import StudyError
from datasets_impl.factors import NAMES
from scripts.judging import bandwidth, inference
from scripts.judging.across import across
from scripts.judging.at_scale import at_scale
from scripts.judging.cells import judge_test
from scripts.judging.claims import Claim, Claims, Paired, Rules, Slope, load_claims
from scripts.judging.correction import corrected, in_rounds
from scripts.judging.evidence import (
    Evidence,
    MachineResults,
    evidence_of,
)
from scripts.judging.grid import grid
from scripts.judging.headline import headline
from scripts.judging.judgement import Judgement
from scripts.judging.lacking import alarmed, lacking
from scripts.judging.loaders import loaders, scale
from scripts.judging.model import (
    Cell,
    CellCounts,
    JudgedClaim,
    Measured,
    Noise,
    Reason,
    Verdict,
)
from scripts.judging.noise import noise_floor, noisy_machines
from scripts.judging.observed import Flags, States, cold_states, flagged, marked, stated
from scripts.judging.profiles import require_same
from scripts.judging.readable import readable
from scripts.judging.remote import remote
from scripts.judging.runs import Runs, find_runs


def judge_both(
    first: Sequence[Path], second: Sequence[Path], claims: Path
) -> tuple[Judgement, Judgement]:
    """Two sets of results to be compared, each judged over the machines that both have.

    Sets of one machine each are taken as they are, whatever their names. A profile that stands
    apart counts where both sets have it.

    Raises:
        StudyError: see `judge`.
    """
    known = _rules(claims)
    runs = [find_runs(one) for one in (first, second)]
    both = set.intersection(*({each.profile for each in one.apart} for one in runs))
    runs = [
        replace(one, apart=[each for each in one.apart if each.profile in both]) for one in runs
    ]
    names = [{run.machine for run in one.first} for one in runs]
    shared = names[0] & names[1]
    require_same(  # at once: judging takes its time
        *([run.profile for run in one.first if not shared or run.machine in shared] for one in runs)
    )
    found = [evidence_of(one, other.versions) for one, other in (runs, runs[::-1])]
    if shared and names[0] != names[1]:
        found = [one.of(shared) for one in found]
    return _judged(first, known, found[0]), _judged(second, known, found[1])


def judge_repeat(results: Sequence[Path], claims: Path) -> tuple[Judgement, Judgement] | None:
    """The judged run and the second one below `results`, over the machines that measured twice.

    None where no machine did.

    Raises:
        StudyError: see `judge`.
    """
    known, runs = _rules(claims), find_runs(results)
    if not runs.second:
        return None
    second = evidence_of(replace(runs, first=runs.second, apart=[]))
    names = {machine.name for machine in second.machines}
    first = evidence_of(replace(runs, apart=[])).of(names)
    return _judged(results, known, first), _judged(results, known, second)


def judge(results: Sequence[Path], claims: Path) -> Judgement:
    """Read and judge everything below `results`.

    Raises:
        StudyError: claims or results are missing, damaged, or of another suite.
    """
    known, runs = _rules(claims), find_runs(results)
    found, *others = (_judged(results, known, evidence_of(one)) for one in (runs, *runs.others))
    every = (found, *others)
    told = [
        replace(same[0], by_environment=_beside(same, every), starts=_starts(same, every))
        for same in zip(*(one.claims for one in every), strict=True)
    ]
    with fitting(results):
        quick = evidence_of(Runs(first=runs.quick)) if runs.quick else None
        compared = [one for other in others for one in across(found, other, quick)]
    return replace(found, claims=told, others=others, across=compared)


def _beside(
    claims: Sequence[JudgedClaim], judgements: Sequence[Judgement]
) -> dict[str, dict[str, Verdict]]:
    """Verdicts of one claim by environment and machine, from the judgements it has in each."""
    found: dict[str, dict[str, Verdict]] = {}
    for claim, judgement in zip(claims, judgements, strict=True):
        for machine in judgement.machines:
            own = found.setdefault(machine.environment, {})
            own[machine.name] = claim.by_machine[machine.name]
    return found


def _starts(claims: Sequence[JudgedClaim], judgements: Sequence[Judgement]) -> dict[str, set[str]]:
    """How workers were started where a cell of one claim has a number, by environment."""
    found: dict[str, set[str]] = {}
    for claim, judgement in zip(claims, judgements, strict=True):
        where = {machine.name: machine.environment for machine in judgement.machines}
        for environment in where.values():
            found.setdefault(environment, set())
        for cell in claim.evidence:
            if cell.estimate is not None and "start_method" in cell.factors:
                found[where[cell.machine]].add(cell.factors["start_method"])
    return found


def _judged(results: Sequence[Path], known: Claims, evidence: Evidence) -> Judgement:
    with fitting(results):
        return _judgement(known, evidence)


@contextmanager
def fitting(results: Sequence[Path]) -> Iterator[None]:
    """A log or provenance of other types than ours: whatever trips over it, these hold it.

    So does a number that overflows or has no logarithm, where NumPy would go on with a warning and
    LAPACK print lines of its own.

    Raises:
        StudyError: in place of what was tripped over.
    """
    try:
        with np.errstate(over="raise", divide="raise", invalid="raise"):
            yield
    except (ArithmeticError, AttributeError, LookupError, TypeError, ValueError) as error:
        raise StudyError(
            f"The results in {', '.join(map(str, results))} do not fit this version of "
            f"the study ({type(error).__name__}: {readable(str(error))[:120]!r}); restore "
            "them, or run the study again."
        ) from error


def _judgement(known: Claims, evidence: Evidence) -> Judgement:
    noise = noise_floor(evidence.cells, known.rules)
    flags = {machine.name: flagged(machine.observations) for machine in evidence.machines}
    states = {machine.name: cold_states(machine.observations) for machine in evidence.machines}
    newest = evidence.newest
    return Judgement(
        commit=newest.commit,
        dirty=bool(newest.provenance.get("dirty", False)),
        profile=newest.provenance.get("profile", "plain asv run"),
        rounds=max((machine.rounds for machine in evidence.machines), default=1),
        machines=[measured(machine) for machine in evidence.machines],
        noise=noise,
        claims=[_judge(claim, evidence, known, noise, (flags, states)) for claim in known.claim],
        loaders=loaders(evidence, known.rules.confidence),
        scale=scale(evidence, known.rules.confidence),
        remote=remote(evidence, known.rules.confidence),
        at_scale=at_scale(evidence, known.rules.confidence),
        known=known,
        evidence=evidence,
        bandwidths=bandwidth.prediction(evidence),
    )


def measured(machine: MachineResults) -> Measured:
    rounds = machine.provenance.get("rounds", [])
    return Measured(
        name=machine.name,
        profile=machine.profile,
        rules=str(machine.provenance.get("claims_hash", "")),
        day=str(rounds[0]["started"])[:10] if rounds else "",
        commit=machine.commit,
        apart={profile: run.commit for profile, run in machine.apart.items()},
        environment=machine.environment,
    )


def _rules(path: Path) -> Claims:
    known = load_claims(path)
    for claim in known.claim:
        for test in claim.test.values():
            arms = {*test.treatment, *test.baseline} if isinstance(test, Paired) else set()
            over = {test.over} if isinstance(test, Slope) else set()
            for factor in sorted({*test.where} | arms | over):
                if factor not in NAMES:
                    raise StudyError(
                        f"{path} is wrong at {claim.id}, test {test.label!r}: there is no factor "
                        f"{factor!r}; the factors are {', '.join(NAMES)}."
                    )
    return known


def in_place(claim: Claim, cells: Sequence[Cell]) -> list[Cell]:
    """`cells`, of which a test's with `unless` count only on machines without the test it names."""
    measured = {(cell.test, cell.machine) for cell in cells}
    rivals = {
        test.label: claim.test[test.unless].label for test in claim.test.values() if test.unless
    }
    return [
        replace(cell, counts=False, reasons=(*cell.reasons, Reason("counts instead", (rival,))))
        if (rival := rivals.get(cell.test)) and (rival, cell.machine) in measured
        else cell
        for cell in cells
    ]


def _judge(
    claim: Claim, evidence: Evidence, claims: Claims, noise: Noise, observed: tuple[Flags, States]
) -> JudgedClaim:
    rules, (flags, states) = claims.rules, observed
    judged = in_place(claim, [
        cell
        for test in claim.test.values()
        for cell in stated(
            marked(judge_test(test, evidence.cells, rules), test, flags), test, states
        )
    ])  # fmt: skip
    cells = in_rounds(corrected(judged, rules), evidence.of_runs("rounds"))
    counted = [cell for cell in cells if cell.counts]
    instead = {one.label: claim.test[one.unless].label for one in claim.test.values() if one.unless}
    noisy = noisy_machines(noise, rules)
    verdict = _verdict(claim, counted, rules, noisy)
    by_machine = {}
    for machine in evidence.machines:
        own = [cell for cell in counted if cell.machine == machine.name]
        by_machine[machine.name] = _verdict(claim, own, rules, noisy)
    return JudgedClaim(
        id=claim.id,
        verdict=verdict,
        lacking=lacking(claim, verdict, counted, evidence, rules, noisy),
        effect=headline(claim, cells),
        cells=_count(counted),
        evidence=cells,
        by_machine=by_machine,
        grid=grid(counted, instead) if verdict == "conditional" else [],
    )


def _verdict(claim: Claim, counted: Sequence[Cell], rules: Rules, noisy: set[str]) -> Verdict:
    if claim.needs:
        return "not tested"
    verdict = inference.verdict([cell.outcome for cell in counted], rules)
    return "inconclusive" if verdict != "not tested" and alarmed(counted, noisy) else verdict


def _count(cells: Sequence[Cell]) -> CellCounts:
    names = [cell.outcome for cell in cells]
    return CellCounts(
        len(names), *(names.count(name) for name in ("for", "against", "unclear", "skipped"))
    )
