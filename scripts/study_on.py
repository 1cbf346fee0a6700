"""Run one study on every host of a Dask cluster, and gather the results here.

    python -m scripts.study_on --on tcp://scheduler:8786 [--profile NAME] [--rounds N]

Each host needs a clone of this project at the same commit, whose environment its workers run in.
The study runs once on each, alone on it. What another commit, other rules or other pictures
measured is refused with a sentence; then the command ends with 1.
"""

from __future__ import annotations

from datasets_impl.streams import escaped, told_while_imported

if __name__ == "__main__":
    told_while_imported("scripts.study_on", "make study")

import argparse
import json
import re
import sys
from pathlib import Path
from typing import Any

from rich.console import Console

from datasets_impl.arguments import scheduler
from datasets_impl.errors import StudyError, exit_on_study_error
from datasets_impl.factors import APART
from datasets_impl.files.paths import IMAGES_VARIABLE, images_dir
from datasets_impl.system.scheduler import client_of
from scripts.judging.claims import load_claims
from scripts.render_report import FILES, render
from scripts.report import written
from scripts.report.study import load_study
from scripts.report.terminal import print_study
from scripts.root import CLAIMS, ROOT
from scripts.session import alone, hosts, provenance, publishing, state
from scripts.session.child import run_child
from scripts.session.measuring import measuring
from scripts.session.places import check_place, check_profile, parser_of, rounds_asked

# What `scripts.study` takes and a cluster does not, and why.
ALONE = {
    "beside": "hosts measure with the environment that their workers run in",
    "repeat": "start it again with another --out, and compare the two with scripts.compare",
}


def parse(argv: list[str] | None) -> argparse.Namespace:
    parser = parser_of(
        "study_on",
        __doc__,
        "number of blocks (default: the profile's)",
        "where it all goes (default: out/cluster-<profile>)",
    )
    parser.add_argument("--on", required=True, metavar="ADDRESS", help="the scheduler")
    parser.add_argument("--images", help=argparse.SUPPRESS)
    for name in ALONE:
        parser.add_argument(f"--{name}", action="store_true", help=argparse.SUPPRESS)
    return parser.parse_args(argv)


def check_alone(options: argparse.Namespace) -> None:
    """Raises `StudyError` for what a study takes on one machine only."""
    if options.images or images_dir():
        raise StudyError(
            f"ON measures the bundled pictures, which every host has; leave IMAGES out, and unset "
            f"{IMAGES_VARIABLE}."
        )
    for name, why in ALONE.items():
        if getattr(options, name):
            raise StudyError(f"ON takes no --{name}: {why}.")


@exit_on_study_error
def main(argv: list[str] | None = None) -> int:
    options = parse(argv)
    check_alone(options)
    scheduler("--on", options.on)
    check_profile(options.profile)
    rounds_asked(options.rounds)
    load_claims(CLAIMS)
    provenance.code_state()
    first = "standard" if options.profile in APART else options.profile
    out = (options.out or ROOT / "out" / f"cluster-{first}").resolve()
    check_place("--out", out)
    words = ["--profile", options.profile]
    words += [f"--rounds={options.rounds}"] if options.rounds else []
    words += [f"--bench={options.bench}"] if options.bench else []
    chosen = re.sub(r"[^A-Za-z0-9]+", "-", options.bench or "").strip("-")[:60].lower()
    folder = "-".join(filter(None, ["for-cluster", options.profile, chosen]))
    refused: list[str] = []
    console = Console(emoji=False, stderr=True, highlight=False)

    def tell(sentence: str) -> None:
        refused.append(sentence)
        console.print(escaped(sentence), markup=False, soft_wrap=True)

    def check() -> None:
        written.check(out / "report", FILES, "report")
        publishing.check_suite(out / "results")

    with measuring(out, check) as temporary, client_of(options.on) as client:
        workers = alone.workers_by_host(client)
        wanted = hosts.own() | {"pictures": _pictures(options, temporary)}
        console.print(f"One study on each of {len(workers)} hosts: {', '.join(workers)}.")
        found = hosts.study_each(client, workers, folder, words, wanted, tell)
        taken = hosts.gather(found, wanted, out / "results", tell)
    if not taken:
        raise StudyError("No host gave results; what each lacked stands above.")
    study = load_study([out / "results"], CLAIMS)
    print_study(study, render(study, out / "report")[0])
    return 1 if refused else 0


def _pictures(options: argparse.Namespace, temporary: Path) -> list[tuple[Any, ...]]:
    """Those that a study of this clone measures, built before any host begins."""
    made = temporary / "corpora.json"
    command = [sys.executable, "-m", "benchmarks.prepare", f"--manifests={made}"]
    command += [f"--bench={options.bench}"] if options.bench else []
    environment = state.environment(options.profile, None)
    run_child(command, environment, what="Building the corpora", inherit_output=True)
    return hosts.pictures(json.loads(made.read_text()))


if __name__ == "__main__":
    sys.exit(main())
