"""Whether a run's results may stand: decided from its files alone, by numbers anyone can recompute.

A check holds, limits what the run can say, or voids it. Each names the number, the bound and the
file and field that they come from.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from datasets_impl.errors import StudyError
from datasets_impl.factors import ALSO, second_name
from datasets_impl.files.records import text_of
from datasets_impl.observe.page_cache import LEAST_READ
from scripts.judging.claims import Claims
from scripts.judging.evidence import Evidence, MachineResults, evidence_of
from scripts.judging.noise import noise_floor
from scripts.judging.observed import Place, cold_states, kept, place_of, place_of_row
from scripts.judging.pairing import records
from scripts.judging.runs import ResultFile, Runs, newest_versions, versions_of

Level = Literal["holds", "limits", "voids"]
VALID, LIMITED, VOID = "VALID", "VALID WITH LIMITS", "VOID"
WORD: dict[Level, str] = {"holds": VALID, "limits": LIMITED, "voids": VOID}
LEAST_ROUNDS = 2  # an interval over blocks needs two
GOOD_ROUNDS = 5  # as MLPerf Storage asks for; fewer leave intervals that decide little
MOST_LOST = 0.2  # share of measurements disturbed to the last, or of cells failed
PROVENANCE, LOG, RESULT = "*.provenance.jsonl", "*.observations.jsonl", "*.json"


@dataclass(frozen=True)
class Check:
    """`source`: the file and field that `found` was computed from."""

    name: str
    level: Level
    found: str
    source: str


@dataclass(frozen=True)
class Validity:
    """Of one run."""

    machine: str
    file: str
    checks: list[Check]

    @property
    def verdict(self) -> str:
        levels = {check.level for check in self.checks}
        return WORD["voids" if "voids" in levels else "limits" if "limits" in levels else "holds"]


@dataclass(frozen=True)
class Reference:
    """What a run is held against: rules, and the versions and pictures of the committed results.

    `corpora`: content hashes by resolution, count and quality.
    """

    claims: Claims
    pins: Mapping[str, str]
    corpora: Mapping[tuple[Any, ...], set[str]]


def validity(run: ResultFile, known: Reference) -> Validity:
    """Every check of one result file.

    Raises:
        StudyError: a file is damaged, or of another suite.
    """
    versions = newest_versions([versions_of(run.suite)])
    evidence = evidence_of(Runs(first=[run], versions=versions))
    (machine,) = evidence.machines
    checks = list(_checks(run, machine, evidence, known))
    return Validity(run.machine, run.path.name, checks)


def reference(claims: Claims, requirements: Path, committed: Iterable[ResultFile]) -> Reference:
    """
    Raises:
        StudyError: the file of requirements cannot be read.
    """
    try:
        pinned = text_of(requirements)
    except (OSError, ValueError) as error:
        raise StudyError(f"{requirements} cannot be read ({error}); restore it.") from error
    pins = dict(re.findall(r"^([\w.-]+)(?:\[\w+\])?==(\S+)", pinned, re.M))
    corpora: dict[tuple[Any, ...], set[str]] = {}
    for run in committed:
        for corpus in _bundled(run.beside.provenance):
            corpora.setdefault(_corpus(corpus), set()).add(corpus["content_hash"])
    return Reference(claims, {name.lower(): version for name, version in pins.items()}, corpora)


def _checks(
    run: ResultFile, machine: MachineResults, evidence: Evidence, known: Reference
) -> Iterator[Check]:
    provenance = machine.provenance
    if not provenance:
        yield Check("provenance", "voids", "no file says what was measured where", PROVENANCE)
    else:
        yield _code(run, provenance)
        yield _rules(provenance, known)
        yield _pictures(provenance, known)
        yield _versions(provenance, known)
        yield from _lock(provenance.get("machine", {}))
    if not machine.observations:
        yield Check("log", "voids", "no log says under which load, and from which cache", LOG)
    else:
        yield _told(machine, evidence)
        yield _load(machine)
        yield _cold(machine)
    yield _noise(evidence, known)
    yield _rounds(machine)
    yield _cells(evidence)


def _code(run: ResultFile, provenance: Mapping[str, Any]) -> Check:
    name, told = "code", str(provenance.get("commit", ""))
    if told != run.results.commit_hash:
        found = f"provenance says commit {told[:10] or 'none'}, the results {_short(run)}"
        return Check(name, "voids", found, f"{PROVENANCE}: commit")
    if provenance.get("dirty"):
        found = f"the measured code had changes that are not in commit {_short(run)}"
        return Check(name, "voids", found, f"{PROVENANCE}: dirty")
    if provenance.get("partial"):
        found = f"commit {_short(run)}, and only a part of the benchmarks was run"
        return Check(name, "limits", found, f"{PROVENANCE}: partial")
    return Check(name, "holds", f"commit {_short(run)} as it stands", f"{PROVENANCE}: commit")


def _short(run: ResultFile) -> str:
    return str(run.results.commit_hash)[:10]


def _rules(provenance: Mapping[str, Any], known: Reference) -> Check:
    told, now = str(provenance.get("claims_hash", "")), known.claims.rules_hash
    source = f"{PROVENANCE}: claims_hash; python -m scripts.check_claims"
    if told == now:
        return Check("rules", "holds", f"measured and judged by {now[:12]}", source)
    found = f"measured under {told[:12] or 'unknown ones'}, judged by {now[:12]}"
    return Check("rules", "limits", found, source)


def _bundled(provenance: Mapping[str, Any]) -> list[dict[str, Any]]:
    return [corpus for corpus in provenance.get("corpora", []) if not corpus.get("folder")]


def _corpus(corpus: Mapping[str, Any]) -> tuple[Any, ...]:
    return tuple(corpus.get(name) for name in ("content", "resolution", "count", "quality"))


def _pictures(provenance: Mapping[str, Any], known: Reference) -> Check:
    name, source = "pictures", f"{PROVENANCE}: corpora"
    every, bundled = provenance.get("corpora", []), _bundled(provenance)
    if not every:
        return Check(name, "limits", "which ones is not told", source)
    if len(bundled) < len(every):
        return Check(name, "limits", "the measurer's own, which nobody else has", source)
    same = [known.corpora.get(_corpus(corpus), {corpus["content_hash"]}) for corpus in bundled]
    other = sum(c["content_hash"] not in hashes for c, hashes in zip(bundled, same, strict=True))
    if other:
        found = f"{other} of {len(every)} corpora differ from the committed results'"
        return Check(name, "limits", found, f"{source}: content_hash")
    found = f"{len(every)} corpora, none differs from the committed results'"
    return Check(name, "holds", found, f"{source}: content_hash")


def _versions(provenance: Mapping[str, Any], known: Reference) -> Check:
    name, source = "versions", f"{PROVENANCE}: versions; requirements.txt"
    told = provenance.get("versions", {})
    if not told:
        return Check(name, "limits", "which ones is not told", source)
    other = [
        f"{package} {version} (pinned {pin})"
        for package, version in sorted(told.items())
        if (pin := known.pins.get(package.lower())) and pin != version
    ]
    if other:
        return Check(name, "limits", ", ".join(other), source)
    return Check(name, "holds", f"{len(told)} packages, as pinned", source)


def _lock(machine: Mapping[str, Any]) -> Iterator[Check]:
    """Of a Python that can do without the global lock: results name it by its build."""
    if not str(machine.get("python", "")).endswith("t"):
        return
    name, source, on = "GIL", f"{PROVENANCE}: machine.python, machine.gil", machine.get("gil")
    if on is None:
        yield Check(name, "limits", "whether this Python ran without it is not told", source)
    elif on:
        found = "an extension turned it on in a Python that was built without it"
        yield Check(name, "limits", found, source)
    else:
        yield Check(name, "holds", "off once all was imported", source)


def _told(machine: MachineResults, evidence: Evidence) -> Check:
    """Every number of asv's is also in the log, which is written where it is measured, or is the
    median of such numbers."""
    logged: dict[Place, list[float]] = {}
    for entry in machine.observations:
        if "factors" in entry and "value" in entry and not entry.get("voided"):
            logged.setdefault(place_of(entry), []).append(float(entry["value"]))
    measured = [row for row in records(evidence.cells) if row["samples"]]
    measured = [row for row in measured if row["metric"] not in ALSO]
    other = sum(
        row["other"] or not _holds(logged.get(place_of_row(row), []), row["samples"])
        for row in measured
    )
    found = f"{other} of {len(measured)} cells have a number that the log does not"
    source = f"{RESULT}: result, samples; {LOG}: value"
    return Check("log", "voids" if other else "holds", found, source)


def _holds(logged: Sequence[float], samples: Iterable[float]) -> bool:
    return all(
        math.isnan(one) or any(math.isclose(one, value) for value in logged) for one in samples
    )


def _load(machine: MachineResults) -> Check:
    rounds = [one for place in kept(machine.observations).values() for one in place.values()]
    lost, source = sum(rounds), f"{LOG}: loaded, voided"
    found = f"{lost} of {len(rounds)} measurements stayed disturbed and are left out"
    if lost > MOST_LOST * len(rounds):
        return Check("load", "voids", f"{found}; at most {MOST_LOST:.0%} may be", source)
    return Check("load", "limits" if lost else "holds", found, source)


def _cold(machine: MachineResults) -> Check:
    states = cold_states(machine.observations)
    source = f"{LOG}: resident_before, bytes_read, bytes_of_files"
    warm = [s for s in states.values() if s.resident_before > 0 or s.read_share < LEAST_READ]
    if warm:
        found = f"{len(warm)} of {len(states)} cold cells are not proven cold"
        return Check("cold cache", "voids", found, source)
    if not states:
        return Check("cold cache", "holds", "nothing was measured cold", source)
    least = min(1.0, *(state.read_share for state in states.values()))
    found = f"{len(states)} cold cells, none resident before, at least {least:.0%} read"
    return Check("cold cache", "holds", found, source)


def _noise(evidence: Evidence, known: Reference) -> Check:
    rules = known.claims.rules
    noise, source = (
        noise_floor(evidence.cells, rules),
        f"{RESULT}: controls, arms ({second_name('')})",
    )
    if noise.rate is None:
        return Check("A/A arms", "limits", "none was measured: the noise is unknown", source)
    found = f"{noise.false_alarms} of {noise.cells} pairs of identical arms raise a false alarm"
    if noise.rate > rules.false_alarm_gate:
        return Check("A/A arms", "voids", f"{found}; at most {rules.false_alarm_gate:.0%}", source)
    return Check("A/A arms", "holds", found, source)


def _rounds(machine: MachineResults) -> Check:
    name, source = "rounds", f"{RESULT}: samples"
    if not machine.sampled:
        return Check(name, "limits", "only medians, no samples: nothing can be paired", source)
    level: Level = "holds" if machine.rounds >= GOOD_ROUNDS else "limits"
    level = "voids" if machine.rounds < LEAST_ROUNDS else level
    return Check(name, level, f"{machine.rounds} of at least {GOOD_ROUNDS}", source)


def _cells(evidence: Evidence) -> Check:
    """What this machine cannot do (no root, no GPU) and says so is no fault of the run; nor is it
    one that a benchmark has changed since: what it measured is left out, and the rest stands."""
    cells = evidence.cells
    missing = cells[cells["status"] != "ok"]
    told = [
        kind == "skipped" and reason is not None and reason.kind == "logged"
        for kind, reason in zip(missing["status"], missing["reason"], strict=True)
    ]
    old = sum(reason is not None and reason.kind == "outdated" for reason in missing["reason"])
    lost = len(missing) - sum(told) - old
    found = f"{lost} of {len(cells)} have no number and no reason; {sum(told)} are skipped with one"
    if old:
        found += f"; {old} are of an earlier version of their benchmark and left out"
    source = f"{RESULT}, {LOG}: skipped"
    if lost > MOST_LOST * len(cells):
        return Check("cells", "voids", f"{found}; at most {MOST_LOST:.0%} may lack both", source)
    return Check("cells", "limits" if lost or old else "holds", found, source)
