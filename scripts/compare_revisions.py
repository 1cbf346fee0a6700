"""Measure what a change touches on both of its revisions, and say what became slower.

    python -m scripts.compare_revisions --base REVISION [--rounds N] [--profile NAME] [--bench NAME]

Measures the benchmarks whose code differs between REVISION and the commit that is checked out, and
their A/A arms, on both in turn: each round of one beside a round of the other. A benchmark is
slower where the whole interval of its ratio lies beyond what its A/A arms differ by. Ends with 1
when something is slower, with 0 when nothing is. Interrupted, the same command goes on.
"""

from __future__ import annotations

from datasets_impl.streams import told_while_imported

if __name__ == "__main__":
    told_while_imported("scripts.compare_revisions", "make compare")

import argparse
import json
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table
from rich.text import Text

from datasets_impl.errors import StudyError, exit_on_study_error
from datasets_impl.files.atomic import atomic_write
from datasets_impl.files.records import json_of
from datasets_impl.files.replacing import check_replaceable
from scripts.judging.claims import load_claims
from scripts.judging.evidence import evidence_of
from scripts.judging.revisions import Change, changes
from scripts.judging.runs import find_runs
from scripts.report import wording
from scripts.root import CLAIMS, ROOT
from scripts.session import provenance, publishing, revisions, state
from scripts.session.measuring import measuring
from scripts.session.places import check_bench, check_place, check_profile, parser_of, rounds_asked

COLOURS = {"slower": "dark_orange3", "faster": "blue", "changed": "magenta"}
WIDTH = 80  # columns
FIELDS = {"benchmark", "metric", "levels", "ratio", "low", "high", "noise", "noise_known",
          "outcome"}  # of what is written  # fmt: skip


def parse(argv: list[str] | None) -> argparse.Namespace:
    parser = parser_of(
        "compare_revisions",
        __doc__,
        "number of rounds of each (default: the profile's)",
        "where to work (default: out/compare-<base>)",
    )
    parser.add_argument("--base", default="", help="the revision to compare with")
    return parser.parse_args(argv)


@exit_on_study_error
def main(argv: list[str] | None = None) -> int:
    options = parse(argv)
    check_profile(options.profile)
    check_bench(options.bench)
    rounds = rounds_asked(options.rounds)
    base, head = _revisions(options.base)
    files = revisions.changed_files(base, head)
    here = state.environment(options.profile, None)
    plan = revisions.touched(files, options.bench, here)
    if not plan["controls"]:
        what = f"that matches {options.bench!r} " if options.bench else ""
        print(f"No benchmark {what}imports code that differs between {base[:8]} and {head[:8]}.")
        return 0
    out = (options.out or ROOT / "out" / f"compare-{base[:8]}").resolve()
    check_place("--out", out)
    console = Console(emoji=False, stderr=True, highlight=False)
    console.print(f"{len(files)} changed files touch {len(plan['controls'])} benchmarks: "
                  f"{', '.join(plan['controls'])}.")  # fmt: skip
    with measuring(out, lambda: _check(out)) as temporary:
        found = _measured(out, (base, head), plan, options.profile, rounds, temporary, console)
    return show(found, Console(emoji=False, highlight=False))


def _revisions(name: str) -> tuple[str, str]:
    """The commits to compare, the one that is checked out last.

    Raises:
        StudyError: the first is none, or the second is not what would be measured.
    """
    if not name:
        raise StudyError("BASE is not given; name the revision to compare with, as in BASE=main.")
    base, code = revisions.commit_of(name), provenance.code_state()
    if code["dirty"]:
        raise StudyError(
            "What is measured differs from the commit that is checked out; commit or undo the "
            "changes to datasets_impl/ and benchmarks/ first."
        )
    return base, str(code["commit"])


def _measured(
    out: Path,
    commits: Sequence[str],
    plan: dict[str, Any],
    profile: str,
    rounds: int | None,
    temporary: Path,
    console: Console,
) -> list[Change]:
    """Measure both below `out`, in `base/` and `head/`, and judge."""
    roots = [temporary / "base", temporary / "head"]
    variables = [
        revisions.exported(commit, root, profile)
        for commit, root in zip(commits, roots, strict=True)
    ]
    known = revisions.planned(variables[0])["benchmarks"]
    entries = {name: entry for name, entry in plan["benchmarks"].items() if name in known}
    if not entries:
        raise StudyError(f"{commits[0][:8]} has none of these benchmarks, so nothing to compare.")
    folders = [out / root.name for root in roots]
    sessions = [
        revisions.open_session(
            folder / "session", commit, plan | {"benchmarks": entries}, root, env, profile, rounds
        )
        for folder, commit, root, env in zip(folders, commits, roots, variables, strict=True)
    ]
    revisions.measure_in_turn(sessions, console)
    for folder, session in zip(folders, sessions, strict=True):
        publishing.publish(session, folder / "results")
    found = judged(folders[0] / "results", folders[1] / "results", plan["controls"])
    _check(out)
    atomic_write(_written(out), json.dumps([_plain(one) for one in found], indent=1))
    for session in sessions:
        session.finish()
    return found


def _written(out: Path) -> Path:
    return out / "comparison.json"


def _check(out: Path) -> None:
    """Before anything is measured, and before it is written.

    Raises:
        StudyError: something else stands where the comparison goes.
    """
    check_replaceable(_written(out), _is_ours, what="a comparison of revisions")


def _is_ours(path: Path) -> bool:
    found = json_of(path)
    return isinstance(found, list) and all(set(one) == FIELDS for one in found)


def judged(earlier: Path, later: Path, controls: Mapping[str, Sequence[str]]) -> list[Change]:
    """What changed between two results folders of one machine; see `judging.revisions`."""
    runs = [find_runs([folder]) for folder in (earlier, later)]
    before = evidence_of(runs[0], runs[1].versions).cells
    after = evidence_of(runs[1], runs[0].versions).cells
    return changes(before, after, controls, load_claims(CLAIMS).rules)


def show(found: Sequence[Change], console: Console) -> int:
    """Print a table of 80 columns; returns 1 when something is slower."""
    table = Table(box=None, pad_edge=False, padding=(0, 1, 0, 0), header_style="bold")
    table.add_column("benchmark", overflow="fold", width=36)
    table.add_column("after ÷ before", no_wrap=True, width=21)
    table.add_column("verdict", overflow="fold", width=21)
    for change in sorted(found, key=lambda one: (one.benchmark, one.metric, bool(one.levels))):
        place = f"  {wording.plain(wording.factors(change.levels))}" if change.levels else ""
        table.add_row(
            Text(place or f"{change.benchmark} {change.metric}"),
            Text(_ratio(change)),
            Text(_verdict(change), style=COLOURS.get(change.outcome, "")),
        )
    console.print(table, width=WIDTH)
    slower = sum(one.outcome == "slower" for one in found)
    console.print(f"\nSlower: {slower}. Ratios of time, or of memory; 95 % intervals over rounds.")
    return 1 if slower else 0


def _ratio(change: Change) -> str:
    found = change.interval
    if found is None:
        return "-"
    if found.low is None or found.low == found.high:
        return f"{found.estimate:.3g}"
    return f"{found.estimate:.3g} ({found.low:.3g} to {found.high:.3g})"


def _verdict(change: Change) -> str:
    if change.outcome == "not compared":
        return f"not compared: {change.why}"
    if not change.known:
        return f"{change.outcome} (noise unknown, {change.noise:.0%} assumed)"
    beyond = change.outcome == "no change" and change.noise
    return f"no change beyond {change.noise:.0%}" if beyond else change.outcome


def _plain(change: Change) -> dict[str, Any]:
    found = change.interval
    numbers = (found.estimate, found.low, found.high) if found else (None, None, None)
    return {
        "benchmark": change.benchmark,
        "metric": change.metric,
        "levels": change.levels,
        **dict(zip(("ratio", "low", "high"), numbers, strict=True)),
        "noise": change.noise,
        "noise_known": change.known,
        "outcome": change.outcome,
    }


if __name__ == "__main__":
    sys.exit(main())
