"""Whether the arms that claims name are measured: what the suite says of its own benchmarks.

The suite is asked in a process of its own; nothing here imports it.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path

from datasets_impl.errors import StudyError
from scripts.judging.claims import Claims, Level, Paired, Slope, Test
from scripts.root import ROOT

PROFILES = ("standard", "loaders")  # which claims are written for
Levels = Mapping[str, list[Level]]  # of each factor of a benchmark


def suite() -> dict[str, Levels]:
    """Factors and levels of each benchmark, by its name in asv, such as "epoch.ByResolution".

    Raises:
        StudyError: the suite does not say them.
    """
    found: dict[str, Levels] = {}
    command = [sys.executable, "-m", "benchmarks.plan", "--levels"]
    for profile in PROFILES:
        variables = {**os.environ, "DATASET_STUDY_PROFILE": profile, "PYTHONPATH": str(ROOT)}
        done = subprocess.run(command, cwd=ROOT, env=variables, capture_output=True, text=True)
        if done.returncode:
            why = done.stderr.strip().splitlines() or ["no word"]
            raise StudyError(f"`python -m benchmarks.plan --levels` failed: {why[-1]}")
        found |= json.loads(done.stdout)
    return found


def check_known(claims: Claims, path: Path, known: Mapping[str, Levels]) -> None:
    """That the suite has each benchmark, factor and level that the tests of `claims` name.

    A test that judges former results alone (`unless`) may name former benchmarks.

    Raises:
        StudyError: one is unknown; the sentence names test and word.
    """
    for claim in claims.claim:
        for key, test in claim.test.items():
            for name in test.benchmarks if not test.unless else ():
                for what in _missing(test, known.get(name)):
                    raise StudyError(
                        f"{path} is wrong at {claim.id}.test.{key}: {name} {what}; mend that name."
                    )


def _missing(test: Test, levels: Levels | None) -> Iterator[str]:
    if levels is None:
        yield "is no benchmark of the suite"
        return
    arms = [test.treatment, test.baseline] if isinstance(test, Paired) else []
    named = [(factor, [level]) for arm in arms for factor, level in arm.items()]
    for factor, chosen in [*named, *test.where.items()]:
        if factor not in levels:
            yield f"has no factor {factor!r}"
            continue
        known = {"*", *map(str, levels[factor])}
        plain = [str(level).removeprefix("!") for level in chosen]
        yield from (f"has no {factor} = {level!r}" for level in plain if level not in known)
    if isinstance(test, Slope) and test.over not in levels:
        yield f"has no factor {test.over!r}"
