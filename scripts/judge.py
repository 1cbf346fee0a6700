"""Evidence and claims -> the study that the page shows."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from scripts import inference
from scripts.answer import answer
from scripts.boundary import boundary
from scripts.cells import UNPAIRED, factors_of, judge_test, widen
from scripts.claims import Claim, Claims, Rules, Test, load_claims
from scripts.evidence import FACTORS, Evidence, MachineResults, load_evidence
from scripts.findings import finding, headline
from scripts.model import (
    Cell,
    CellCounts,
    ClaimResult,
    Corpus,
    Machine,
    Noise,
    Study,
    Verdict,
)

# Where the star of benchmarks/grids.py has its centre; image counts differ between profiles.
CENTRE: dict[str, object] = {"px": 256, "workers": 0, "start_method": "fork", "medium": "disk-warm"}
CONTROLS = {
    "controls.Epoch": "epoch",
    "controls.ColdEpoch": "epoch",
    "controls.Item": "item",
    "controls.FirstBatch": "first_batch",
    "controls.Construction": "construction",
}
AGAIN = "-again"


def load_study(results: list[Path], claims: Path) -> Study:
    """Read, judge and describe everything below `results`.

    Raises:
        StudyError: claims or results are missing, damaged, or of another suite.
    """
    known = load_claims(claims)
    evidence = load_evidence(results)
    noise = _noise(evidence.cells, known.rules)
    judged = [_judge(claim, evidence, known, noise) for claim in known.claim]
    newest = evidence.machines[-1]
    facts = newest.provenance
    corpora = _corpora(evidence.machines)
    return Study(
        commit=newest.commit,
        dirty=bool(facts.get("dirty", False)),
        claims_hash=_blob_hash(claims),
        corpus_hash=_corpus_hash(corpora),
        profile=facts.get("profile", "plain asv run"),
        rounds=max((len(cell) for cell in evidence.cells["samples"] if cell), default=1),
        versions=facts.get("versions", {}),
        machines=[_machine(machine) for machine in evidence.machines],
        corpora=corpora,
        noise=noise,
        claims=judged,
        measurements=_measurements(evidence.cells),
        answer=answer(judged, evidence.cells),
        notes=_notes(evidence, noise, known.rules, _blob_hash(claims)),
    )


def _blob_hash(path: Path) -> str:
    """The hash git gives the file's content, so that a reader can find it in the history."""
    content = path.read_bytes()
    return hashlib.sha1(b"blob %d\0" % len(content) + content, usedforsecurity=False).hexdigest()


def _judge(claim: Claim, evidence: Evidence, claims: Claims, noise: Noise) -> ClaimResult:
    rules = claims.rules
    cells = [cell for test in claim.test for cell in judge_test(test, evidence.cells, rules)]
    counted = [cell for cell in cells if cell.counts]
    noisy = _noisy(noise, rules)
    verdict, missing = _verdict(claim, counted, rules, noisy)
    effect = headline(claim, cells, CENTRE)
    by_machine = {
        machine.name: _verdict(
            claim, [cell for cell in counted if cell.machine == machine.name], rules, noisy
        )[0]
        for machine in evidence.machines
    }
    return ClaimResult(
        id=claim.id,
        title=claim.title,
        section=claim.section,
        origin=claim.origin,
        restated=claim.restated,
        method=claim.method,
        advice=claim.advice,
        verdict=verdict,
        finding=finding(claim, cells, effect) if verdict != "not tested" else "",
        boundary=boundary(counted) if verdict == "conditional" else "",
        missing=missing,
        effect=effect,
        cells=_count(counted),
        evidence=cells,
        by_machine=by_machine,
    )


def _verdict(
    claim: Claim, counted: Sequence[Cell], rules: Rules, noisy: set[str]
) -> tuple[Verdict, str]:
    """The verdict, and for an undecided one what is lacking."""
    if claim.needs:
        return "not tested", f"Needs {claim.needs}."
    verdict = inference.verdict([cell.outcome for cell in counted], rules)
    if verdict == "not tested":
        reasons = sorted({cell.reason for cell in counted if cell.reason})
        lacking = "; ".join(reasons) or "no results of " + ", ".join(
            sorted({name for test in claim.test for name in test.benchmarks})
        )
        return verdict, f"Evidence is missing: {lacking}."
    alarmed = sorted({cell.machine for cell in counted if cell.quantity != "value"} & noisy)
    if alarmed and verdict != "inconclusive":
        return "inconclusive", (
            f"The A/A arms on {', '.join(alarmed)} raised more false alarms than the rules allow; "
            "measure again on a quieter machine."
        )
    if verdict == "inconclusive":
        unclear = sum(cell.outcome == "unclear" for cell in counted)
        reasons = sorted({cell.reason for cell in counted if cell.outcome == "unclear"} - {""})
        why = f" ({'; '.join(reasons)})" if reasons else ""
        return verdict, f"{unclear} of {len(counted)} cells are unclear{why}; measure more rounds."
    return verdict, ""


def _count(cells: Sequence[Cell]) -> CellCounts:
    names = [cell.outcome for cell in cells]
    return CellCounts(
        len(names), *(names.count(name) for name in ("for", "against", "unclear", "skipped"))
    )


def _noise(cells: pd.DataFrame, rules: Rules) -> Noise:
    """Judge every A/A pair by the margin in both directions."""
    judged: list[Cell] = []
    arms = sorted({str(name) for name in cells["impl"] if str(name).endswith(AGAIN)})
    for benchmark, metric in CONTROLS.items():
        for arm in arms:
            test = Test(
                label="A/A",
                kind="ratio",
                metric=metric,
                benchmarks=[benchmark],
                treatment={"impl": arm},
                baseline={"impl": arm.removesuffix(AGAIN)},
            )
            judged += judge_test(test, cells, rules)
    measured = [cell for cell in judged if cell.low is not None]
    shown = [_two_sided(cell, rules) for cell in measured]
    alarms = sum(cell.outcome == "against" for cell in shown)
    return Noise(
        cells=len(shown),
        false_alarms=alarms,
        rate=alarms / len(shown) if shown else None,
        widest=max((abs((cell.estimate or 1.0) - 1) for cell in shown), default=None),
        evidence=shown,
    )


def _noisy(noise: Noise, rules: Rules) -> set[str]:
    """Machines whose own session raised more false alarms than the rules allow."""
    alarms: dict[str, list[bool]] = {}
    for cell in noise.evidence:
        alarms.setdefault(cell.machine, []).append(cell.outcome == "against")
    return {
        machine
        for machine, raised in alarms.items()
        if sum(raised) > rules.false_alarm_gate * len(raised)
    }


def _two_sided(cell: Cell, rules: Rules) -> Cell:
    assert cell.low is not None and cell.high is not None
    low, high = cell.low, cell.high
    if cell.reason == UNPAIRED:
        low, high = widen(low, high, rules)
    inside = low > 1 - rules.margin and high < 1 + rules.margin
    alarm = low > 1 + rules.margin or high < 1 - rules.margin
    bar = f"within {rules.margin:.0%} of 1"
    return replace(cell, bar=bar, outcome="against" if alarm else "for" if inside else "unclear")


def _machine(machine: MachineResults) -> Machine:
    facts = machine.provenance.get("machine", {})
    params = machine.params
    cpu = facts.get("cpu") or params.get("cpu") or machine.name
    cores = facts.get("threads") or params.get("num_cpu") or "?"
    ram = facts.get("ram_gb")
    parts = [str(cpu), f"{cores} cores"] + ([f"{ram:.0f} GB RAM"] if ram else [])
    if facts.get("disk_filesystem"):
        parts.append(f"{facts['disk_filesystem']} disk")
    rounds = machine.provenance.get("rounds", [])
    details = {
        "cpu": str(cpu),
        "cores": str(cores),
        "caches": str(facts.get("caches", "")),
        "memory": f"{ram} GB" if ram else str(params.get("ram", "")),
        "kernel": str(facts.get("kernel") or params.get("os", "")),
        "disk": f"{facts.get('disk_filesystem', '')} {facts.get('disk_device', '')}".strip(),
        "GPU": str(facts.get("gpu", "")),
        "Python": str(facts.get("python", params.get("python", ""))),
        "profile": str(machine.provenance.get("profile", "plain asv run")),
        "measured": f"{rounds[0]['started']} to {rounds[-1]['started']}" if rounds else "",
        "load at the start of each round": ", ".join(str(r["load"][0]) for r in rounds),
        "settings": _settings(machine),
        "commit": machine.commit,
        "verified states": _verified(machine.observations),
        **{
            f"version of {name}": version
            for name, version in machine.provenance.get("versions", {}).items()
        },
    }
    warnings = []
    if not machine.sampled:
        warnings.append(
            "No samples were recorded, only medians: arms cannot be paired, intervals are wider "
            "and the margin is doubled. Run `make study`, or asv with --record-samples."
        )
    if machine.provenance.get("dirty"):
        warnings.append("The measured code had changes that are in no commit.")
    if machine.provenance.get("partial"):
        warnings.append("Only a part of the benchmarks was run.")
    return Machine(
        name=machine.name,
        summary=", ".join(parts),
        details={name: value for name, value in details.items() if value},
        warnings=warnings,
    )


def _settings(machine: MachineResults) -> str:
    words = [f"{name}={value}" for name, value in machine.provenance.get("settings", {}).items()]
    kept = [e["freed_memory_kept"] for e in machine.observations if "freed_memory_kept" in e]
    if kept:
        words.append("the allocator keeps freed memory" if all(kept) else "default allocator")
    return ", ".join(words)


def _verified(observations: list[dict[str, Any]]) -> str:
    """How many cold measurements were proven cold, before and after."""
    cold = [entry for entry in observations if entry.get("bytes_read") is not None]
    void = sum("VoidMeasurement" in str(entry.get("failed", "")) for entry in observations)
    if not cold and not void:
        return ""
    resident = max((entry["resident_before"] for entry in cold), default=0.0)
    shares = [e["bytes_read"] / e["bytes_of_files"] for e in cold if e.get("bytes_of_files")]
    least = f", at least {min(shares):.0%} of the bytes read from the device" if shares else ""
    return (
        f"{len(cold)} cold measurements, at most {resident:.0%} resident before{least}; {void} void"
    )


def _corpora(machines: list[MachineResults]) -> list[Corpus]:
    found: dict[tuple[str, int, int, str], Corpus] = {}
    for machine in machines:
        for entry in machine.provenance.get("corpora", []):
            corpus = Corpus(
                label=entry["label"],
                resolution=entry["resolution"],
                count=entry["count"],
                quality=str(entry["quality"]),
                bytes_per_pixel=entry["bytes_per_pixel"],
                content_hash=entry["content_hash"],
                skipped=list(entry["skipped"]),
            )
            found[corpus.label, corpus.resolution, corpus.count, corpus.quality] = corpus
    return [found[key] for key in sorted(found)]


def _corpus_hash(corpora: Sequence[Corpus]) -> str:
    """One hash over the content hashes of all corpora of the run."""
    text = json.dumps([corpus.content_hash for corpus in corpora])
    return hashlib.sha256(text.encode()).hexdigest() if corpora else ""


def _measurements(cells: pd.DataFrame) -> pd.DataFrame:
    """One row for each measured cell: its median over blocks with the 95 % interval of the mean."""
    rows = []
    for record in cells.to_dict("records"):
        row = {str(key): value for key, value in record.items()}
        if row["status"] != "ok" or str(row.get("impl") or "").endswith(AGAIN):
            continue
        samples = row["samples"]
        low = high = None
        if samples and len(samples) > 1 and min(samples) > 0:
            _, low, high = np.exp(
                inference.mean_interval(np.log(np.asarray(samples)).tolist(), 0.95)
            )
        rows.append(
            {
                "machine": row["machine"],
                "benchmark": row["benchmark"],
                "metric": row["metric"],
                "unit": row["unit"],
                **dict.fromkeys(FACTORS),
                **factors_of(row),
                "median": float(np.median(samples)) if samples else row["median"],
                "low": low,
                "high": high,
                "blocks": len(samples) if samples else 1,
            }
        )
    table = pd.DataFrame(rows, dtype=object)
    return table.astype({name: float for name in ("median", "low", "high") if name in table})


def _notes(evidence: Evidence, noise: Noise, rules: Rules, claims_hash: str) -> list[str]:
    notes = [
        "Figures hold for the machines, images and versions named here; run the study on yours.",
        "Cold means that the guest's page cache was proven empty of the file; caches below it, of "
        "a virtual disk's host or of a drive, cannot be emptied without more rights.",
        "Everything ran on the CPU; no training step and no transfer to a device is included.",
    ]
    for machine in evidence.machines:
        notes += machine_notes(machine, rules, claims_hash)
    skipped = evidence.cells[evidence.cells["status"] != "ok"]
    reasons = sorted(set(skipped["reason"]))
    if len(skipped):
        notes.append(f"{len(skipped)} cells have no result: {'; '.join(reasons)}.")
    if noise.rate is None:
        notes.append("No A/A arm was measured, so the noise floor is unknown.")
    return notes


def machine_notes(machine: MachineResults, rules: Rules, claims_hash: str) -> list[str]:
    """What a reader must know about one machine's results."""
    notes = []
    measured_under = machine.provenance.get("claims_hash")
    if measured_under and measured_under != claims_hash:
        notes.append(
            f"The results of {machine.name} were measured under version {measured_under[:12]} of "
            f"claims.toml and are judged by version {claims_hash[:12]}."
        )
    if not machine.sampled:
        notes.append(
            f"The results of {machine.name} have no samples: verdicts rest on medians and a "
            f"margin of {rules.margin * inference.UNPAIRED_MARGIN_FACTOR:.0%}, and claim less."
        )
    return notes
