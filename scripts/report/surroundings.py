"""What surrounds the verdicts: machines, images, measurements and the limits of the evidence."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Collection, Sequence
from typing import Any

import pandas as pd

from datasets_impl.factors import NAMES
from scripts.judging import inference
from scripts.judging.claims import Claim, Claims
from scripts.judging.declared import earlier
from scripts.judging.evidence import Evidence, MachineResults
from scripts.judging.judge import measured
from scripts.judging.model import JudgedClaim, Noise
from scripts.judging.observed import was_cold
from scripts.report import log_words, reasons
from scripts.report.level_words import among, join
from scripts.report.model import Corpus, Machine

VERSIONS = (
    "The rule for versions: a benchmark is judged in the highest version that was measured "
    "anywhere here, and what another machine measured in a lower one is left out."
)
GIT_HASH = 40  # digits; the hash of the rules has more
WITHOUT_RESULT = (("skipped",), ("failed", "incomplete"))


def describe_machine(machine: MachineResults) -> Machine:
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
        "load during cells": log_words.summary(machine.observations),
        "rounds left out for foreign load": log_words.left_out_by_name(machine.observations),
        "CPU frequency during cells": log_words.frequencies(machine.observations),
        "CPU frequency governor": str(facts.get("governor") or ""),
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
        **vars(measured(machine)),
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
    observations = [entry for entry in observations if not entry.get("voided")]  # and made again
    cold = [entry for entry in observations if was_cold(entry)]
    void = sum("VoidMeasurement" in str(entry.get("failed", "")) for entry in observations)
    if not cold and not void:
        return ""
    resident = max((entry["resident_before"] for entry in cold), default=0.0)
    shares = [e["bytes_read"] / e["bytes_of_files"] for e in cold if e.get("bytes_of_files")]
    least = (
        f", at least {min(1.0, *shares):.0%} of the bytes read from the device" if shares else ""
    )
    return (
        f"{len(cold)} cold measurements, at most {resident:.0%} resident before{least}; {void} void"
    )


def corpora_of(machines: list[MachineResults]) -> list[Corpus]:
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


def corpus_hash(corpora: Sequence[Corpus]) -> str:
    """One hash over the content hashes of all corpora of the run."""
    text = json.dumps([corpus.content_hash for corpus in corpora])
    return hashlib.sha256(text.encode()).hexdigest() if corpora else ""


def limits(evidence: Evidence, noise: Noise, claims: Claims) -> list[str]:
    notes = [
        "Figures hold for the machines, images and versions named here; run the study on yours.",
        "Cold means that the guest's page cache was proven empty of the file; caches below it, of "
        "a virtual disk's host or of a drive, cannot be emptied without more rights.",
        "Everything ran on the CPU; the training step is emulated by waiting, and no transfer to a "
        "device is included.",
    ]
    for machine in evidence.machines:
        notes += _machine_limits(machine, claims)
    notes += [
        f"The second run `{name}` is compared with nothing: its code or its profile differs from "
        "those of the run that is judged."
        for name in evidence.unused
    ]
    skipped, lost = (evidence.cells["status"].isin(names).sum() for names in WITHOUT_RESULT)
    if skipped:
        notes.append(f"{_cells(skipped)} could not be measured here; they are listed above.")
    if lost:
        notes.append(f"{_cells(lost)} failed or lost blocks and count as unclear.")
    if noise.rate is None:
        notes.append("No A/A arm was measured, so the noise floor is unknown.")
    return notes


def untested(claims: Claims, judged: Sequence[JudgedClaim]) -> list[str]:
    """A sentence for each claim with `unmeasured` tests."""
    told = {
        claim.id: ", ".join(f"“{label}”" for label in unmeasured(claim, one))
        for claim, one in zip(claims.claim, judged, strict=True)
    }
    return [
        f"{name} is judged without {labels}: not tested yet."
        for name, labels in told.items() if labels
    ]  # fmt: skip


def unmeasured(claim: Claim, judged: JudgedClaim) -> list[str]:
    """Tests that would count in a tested claim, and that these results have no number for."""
    seen = {cell.test for cell in judged.evidence}
    instead = {test.unless for test in claim.test.values() if test.label in seen}
    return [
        test.label
        for name, test in claim.test.items()
        if judged.verdict != "not tested"
        and not (not test.counts or test.unless or test.label in seen or name in instead)
    ]


def skips_of(cells: pd.DataFrame) -> list[tuple[str, str]]:
    """(what was skipped, why), one entry for each benchmark, implementation and reason.

    `cells`: the evidence table. The levels that all skipped cells of an entry share, but others of
    its benchmark do not have, say what it is about.
    """
    skipped = cells[cells["status"] == "skipped"]
    skipped = skipped.assign(why=[reasons.in_words([each]) for each in skipped["reason"]])
    found = []
    for (machine, benchmark, why), rows in skipped.groupby(
        ["machine", "benchmark", "why"], sort=True
    ):
        every = cells[(cells["machine"] == machine) & (cells["benchmark"] == benchmark)]
        words = []
        for name in NAMES:
            here, there = (list(dict.fromkeys(table[name].dropna())) for table in (rows, every))
            if len(here) < len(there):
                words.append(among(name, here))
        where = f" on {machine}" if cells["machine"].nunique() > 1 else ""
        which = f", {' '.join(words)}" if words else ""
        found.append((f"{benchmark}{which}{where}: {_cells(len(rows))}", str(why)))
    return found


def _cells(count: int) -> str:
    return f"{count:,} cell{'s' if count != 1 else ''}"


def apart(evidence: Evidence, judged: Sequence[JudgedClaim]) -> list[str]:
    """Which claims rest on another run than the rest, or on an earlier version of a benchmark."""
    profiles, told = evidence.of_runs("profile"), []
    for machine in evidence.machines:
        for name, run in machine.apart.items():
            here, there = (
                [one.provenance.get(key) for key in ("code_hash", "claims_hash")]
                for one in (machine, run)
            )
            if here == there:
                continue
            places = {
                place for place, profile in profiles.items()
                if place[0] == machine.name and profile == name
            }  # fmt: skip
            what = [*_resting_on(places, judged), f"every figure of the profile {name}"]
            told.append(
                f"{join(what)} come from another run of {machine.name}: of commit "
                f"{run.commit[:10]}, where the rest is of {machine.commit[:10]}."
            )
    old = earlier(evidence.cells)
    for versions in sorted(set(old.values())):
        places = {place for place, own in old.items() if own == versions}
        topics = sorted({f"`{name.partition('.')[0]}`" for _, name in places})
        ids = _resting_on(places, judged)
        told.append(
            f"Benchmarks of {join(topics)} that are at version {versions[1]} today were measured "
            f"at version {versions[0]}; their cells are judged all the same"
            f"{f', in {join(ids)}' if ids else ''}."
        )
    left_out = any(reason and reason.kind == "outdated" for reason in evidence.cells["reason"])
    return [*told, VERSIONS] if old or left_out else told


def _resting_on(places: Collection[tuple[str, str]], judged: Sequence[JudgedClaim]) -> list[str]:
    """Ids of the claims that count a cell of one of these machines and benchmarks."""
    return [
        one.id for one in judged
        if any(cell.counts and (cell.machine, cell.benchmark) in places for cell in one.evidence)
    ]  # fmt: skip


def _machine_limits(machine: MachineResults, claims: Claims) -> list[str]:
    """What a reader must know about one machine's results."""
    notes = []
    for what, run in (("results", machine), *machine.apart.items()):
        known = run.provenance.get("claims_hash")
        if known and known != claims.rules_hash:
            # Earlier sessions kept the hash that git gives the whole file, with its wording.
            by = "when claims.toml had the git hash" if len(known) == GIT_HASH else "by the rules"
            notes.append(
                f"The {what} of {machine.name} were measured {by} {known[:12]}, and are judged by "
                f"the rules {claims.rules_hash[:12]}."
            )
    if not machine.observations:
        notes.append(
            f"No log came with the results of {machine.name}: whether other programs disturbed a "
            "measurement, and whether cold files were cold, cannot be told."
        )
    if not machine.sampled:
        margin = claims.rules.margin * inference.UNPAIRED_MARGIN_FACTOR
        notes.append(
            f"The results of {machine.name} have no samples: verdicts rest on medians and a "
            f"margin of {margin:.0%}, and claim less."
        )
    return notes
