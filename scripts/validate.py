"""Say whether results may stand: VALID, VALID WITH LIMITS or VOID, and why.

    python -m scripts.validate RESULTS [--out DIR] [--claims FILE]

RESULTS is a results folder, or that of one machine. Each run is checked from its files alone; each
reason names the number, and the file and field that anyone can compute it from. The exit code is 1
if a run is void. With `--out` the files to send are written, unless one is.
"""

from __future__ import annotations

from datasets_impl.streams import escaped, told_while_imported

if __name__ == "__main__":
    told_while_imported("scripts.validate", "make submit")

import argparse
import json
import sys
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

from rich.console import Console
from rich.table import Table
from rich.text import Text

from datasets_impl.errors import exit_on_study_error
from datasets_impl.files.paths import user_path
from scripts.check_claims import check_named
from scripts.judging.claims import load_claims
from scripts.judging.judge import fitting
from scripts.judging.readable import readable
from scripts.judging.runs import ResultFile, chosen, every_run
from scripts.judging.validity import LIMITED, VALID, VOID, Level, Validity, reference, validity
from scripts.report import written
from scripts.root import CLAIMS, RESULTS, ROOT

COLOURS = {VALID: "green", LIMITED: "yellow", VOID: "red"}
SIGNS: dict[Level, str] = {"holds": "", "limits": "limits", "voids": "VOID"}


def validate(results: Path, claims: Path = CLAIMS) -> list[Validity]:
    """Of every run below `results`, the oldest first.

    Raises:
        StudyError: there is none, or a file is damaged; or see `runs.chosen`.
    """
    runs = every_run([results])
    chosen(runs)  # what the report would refuse, is not to be sent
    with fitting([results]):
        known = reference(load_claims(claims), ROOT / "requirements.txt", every_run([RESULTS]))
        return [validity(run, known) for run in runs]


def submission(runs: Sequence[ResultFile], found: Sequence[Validity]) -> dict[str, str]:
    """Every file to send, by its name in the repository, and what was found of them."""
    contents = {}
    for run in runs:
        home, stem = run.path.parent, run.path.stem
        beside = [home / f"{stem}.{kind}.jsonl" for kind in ("observations", "provenance")]
        files = [home / "machine.json", run.path, *(path for path in beside if path.exists())]
        for path in sorted(files):
            contents[f"results/{home.name}/{path.name}"] = path.read_text(encoding="utf-8")
    contents["validity.json"] = as_json(found)
    return contents


def as_json(found: Sequence[Validity]) -> str:
    rows = [{"verdict": one.verdict, **asdict(one)} for one in found]
    return json.dumps(rows, indent=1) + "\n"


def show(found: Sequence[Validity], console: Console) -> None:
    for one in found:
        console.print(Text(escaped(f"{one.machine}: {one.file}"), style="bold"), soft_wrap=True)
        table = Table(box=None, show_header=False, pad_edge=False, padding=(0, 2, 0, 2))
        for check in one.checks:
            table.add_row(check.name, SIGNS[check.level], Text(readable(check.found)), check.source)
        console.print(table)
        console.print(Text(f"{one.verdict}\n", style=COLOURS[one.verdict]))


def parse(argv: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m scripts.validate", description=(__doc__ or "").partition("\n")[0]
    )
    parser.add_argument("results", type=user_path, metavar="RESULTS", help="a results folder")
    parser.add_argument("--out", type=user_path, metavar="DIR",
                        help="write the files to send there, unless they are void")  # fmt: skip
    parser.add_argument("--claims", type=user_path, default=CLAIMS, metavar="FILE",
                        help="the claims and their rules (default: this project's)")  # fmt: skip
    return parser.parse_args(argv)


@exit_on_study_error
def main(argv: list[str] | None = None) -> int:
    arguments = parse(argv)
    sources = [arguments.results, arguments.claims]
    if arguments.out:
        written.check(arguments.out, ["validity.json"], "submission", sources=sources)
    check_named(arguments.claims, [arguments.results])
    found = validate(arguments.results, arguments.claims)
    show(found, Console(emoji=False, highlight=False))
    if any(one.verdict == VOID for one in found):
        return 1
    if arguments.out:
        contents = submission(every_run([arguments.results]), found)
        written.write_all(arguments.out, contents, "submission", sources=sources)
        out = escaped(arguments.out)
        print(f"To send: copy {out}/results over results/ of a clone, commit on a branch")
        print("and open a pull request; or attach the folder to an issue.")
    return 0


if __name__ == "__main__":
    sys.exit(main())
