"""Check that what `claims.toml` names is measured at all: benchmarks, metrics, factors and arms.

    python -m scripts.check_claims [FILE] [--rules]

What is mistyped has no cells, and would leave its claim "not tested" without a word. The suite is
asked in a process of its own; nothing here imports it. Prints the hash of the rules, as the report
shows it; with --rules, the text that it is the SHA-256 of: rules, ids, headlines and tests, without
the wording.
"""

from __future__ import annotations

from datasets_impl.streams import told_while_imported

if __name__ == "__main__":
    told_while_imported("scripts.check_claims", "make report")

import argparse
import json
import os
import re
import subprocess
import sys
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from datasets_impl.errors import StudyError, exit_on_study_error
from datasets_impl.factors import ALSO, APART
from datasets_impl.files.paths import user_path
from datasets_impl.files.records import json_of
from scripts.judging.claims import Claims, Level, Paired, Slope, Test, load_claims
from scripts.judging.runs import every_run
from scripts.judging.suites import level_of
from scripts.root import CLAIMS, RESULTS, ROOT

PROFILES = ("standard", *APART)  # which claims are written for
TRACK = re.compile(r"\btrack_(\w+)")
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


def metrics() -> set[str]:
    """What the benchmarks track, as far as their text says, and what stands in the log beside."""
    files = sorted((ROOT / "benchmarks").rglob("*.py"))
    return set(TRACK.findall("\n".join(file.read_text("utf-8") for file in files))) | set(ALSO)


def check_named(path: Path, results: Sequence[Path]) -> None:
    """That all that the claims in `path` name is measured: in `results`, or else by the suite.

    The suite takes seconds to answer. It is not asked of rules that the committed report was
    written by, which a test looks at.

    Raises:
        StudyError: see `check_known`; or claims or results cannot be read.
    """
    claims = load_claims(path)
    if claims.rules_hash == _reported():
        return
    found, tracked = measured(run.suite for run in every_run(results)) if results else ({}, set())
    try:
        check_known(claims, path, found, tracked)
    except StudyError:
        check_known(claims, path, {**found, **suite()}, tracked | metrics())


def _reported() -> str:
    """The hash of the rules that the committed report was written by."""
    try:
        return str(json_of(RESULTS / "report" / "claims.json")["study"]["claims_hash"])
    except (LookupError, OSError, TypeError, ValueError):
        return ""


def measured(suites: Iterable[Mapping[str, Any]]) -> tuple[dict[str, Levels], set[str]]:
    """Levels and metrics that asv says results are of, in `benchmarks.json`."""
    found: dict[str, Levels] = {}
    tracked = set(ALSO)
    for suite in suites:
        for name, entry in suite.items():
            benchmark, _, track = name.rpartition(".track_")
            try:
                levels = [[level_of(level, name) for level in each] for each in entry["params"]]
                found[benchmark] = dict(zip(entry["param_names"], levels, strict=True))
            except (LookupError, TypeError, ValueError):
                continue  # judging says what is wrong with it, if it matters
            tracked.add(track)
    return found, tracked


def check_known(
    claims: Claims, path: Path, known: Mapping[str, Levels], tracked: Collection[str] | None = None
) -> None:
    """That the suite has each benchmark, factor and level that the tests of `claims` name, and that
    some benchmark tracks their metric, where it is said what they track.

    A test that judges former results alone (`unless`) may name former benchmarks.

    Raises:
        StudyError: one is unknown; the sentence names test and word.
    """
    for claim in claims.claim:
        for key, test in claim.test.items():
            for name in test.benchmarks if not test.unless else ():
                for what in _missing(test, known.get(name), tracked):
                    raise StudyError(
                        f"{path} is wrong at {claim.id}.test.{key}: {name} {what}; mend that name."
                    )


def _missing(test: Test, levels: Levels | None, tracked: Collection[str] | None) -> Iterator[str]:
    if levels is None:
        yield "is no benchmark of the suite"
        return
    if tracked is not None and test.metric not in tracked:
        yield f"has no metric {test.metric!r}"
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


@exit_on_study_error
def main(argv: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(
        prog="python -m scripts.check_claims",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("file", type=user_path, nargs="?", default=CLAIMS, metavar="FILE")
    parser.add_argument("--rules", action="store_true", help="the hashed text, not its hash")
    options = parser.parse_args(argv)
    claims = load_claims(options.file)
    check_known(claims, options.file, suite(), metrics())
    print(claims.canonical() if options.rules else f"{claims.rules_hash}\n", end="")
    return 0


if __name__ == "__main__":
    sys.exit(main())
