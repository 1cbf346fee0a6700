"""Run one study: build the corpora, measure round by round, judge, and write the page.

asv saves its results when it ends; so each round is one asv run that appends to a copy of the
session's results, and the copy replaces them only when it is whole. A study that is killed goes on
with the round it was in. Nothing incomplete is published to the results folder. A study that asks
for more rounds than it published measures those alone and publishes all of them together.
"""

from __future__ import annotations

from datasets_impl.streams import told_while_imported

if __name__ == "__main__":
    told_while_imported("scripts.study", "make study")

import argparse
import json
import re
import sys
from functools import partial
from pathlib import Path

from rich.console import Console

from datasets_impl.errors import StudyError, exit_on_study_error
from datasets_impl.factors import APART, PROFILES
from datasets_impl.files.paths import cache_dir, check_images, images_dir, user_path
from datasets_impl.files.replacing import check_replaceable
from datasets_impl.observe import load
from scripts.check_claims import check_named
from scripts.judging.judge import fitting
from scripts.render_report import FILES, render
from scripts.report import written
from scripts.report.model import Study
from scripts.report.study import load_study
from scripts.report.terminal import print_study
from scripts.root import CLAIMS, ROOT
from scripts.session import asv_files, provenance, publishing, state
from scripts.session.child import run_child
from scripts.session.measuring import measuring
from scripts.session.places import check_bench, check_place, check_profile, rounds_asked
from scripts.session.revisions import without_graphs
from scripts.session.rounds import Session


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m scripts.study", description=(__doc__ or "").partition("\n")[0]
    )
    parser.add_argument("--profile", default="quick", help=f"one of {', '.join(PROFILES)}")
    parser.add_argument("--images", type=user_path, help="measure on the JPEG pictures in it")
    parser.add_argument(
        "--rounds",
        help="number of blocks (default: the profile's); more than are published adds to them",
    )
    parser.add_argument(
        "--out",
        type=user_path,
        help="where to work and write (default: out/<profile>, and the folder's name of --images)",
    )
    parser.add_argument(
        "--results",
        type=user_path,
        help="where results are published (default: <out>/results; a second run, another "
        "environment and the loaders go beside the first run)",
    )
    parser.add_argument(
        "--repeat",
        action="store_true",
        help="measure a second time; published beside the first run, which it is compared with",
    )
    parser.add_argument(
        "--beside",
        action="store_true",
        help="another Python or torch than before: work in a folder of its own, and publish beside "
        "the others",
    )
    parser.add_argument(
        "--no-page", action="store_true", help="publish the results, and judge them elsewhere"
    )
    parser.add_argument("--machine", help="name of this machine in the results")
    parser.add_argument("--bench", help="only the benchmarks whose name matches this expression")
    return parser.parse_args()


@exit_on_study_error
def main() -> int:
    options = checked(arguments())
    if options.images is not None:
        check_images(options.images)
    check_named(CLAIMS, [])  # a study that cannot be judged must not be measured first
    cache_dir(pictures=options.images)
    load.most_retries()
    provenance.code_state()
    console = Console(emoji=False, stderr=True, highlight=False)
    check = partial(_check_targets, options)
    with measuring(options.out, check, results=options.results) as temporary:
        _run(options, console, temporary)
    return 0


def checked(options: argparse.Namespace) -> argparse.Namespace:
    """The options with what they leave open filled in.

    Raises:
        StudyError: one of them cannot be meant.
    """
    check_profile(options.profile)
    check_bench(options.bench)
    options.rounds = rounds_asked(options.rounds)
    options.machine = provenance.machine_name() if options.machine is None else options.machine
    if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}", options.machine):
        raise StudyError(
            f"--machine is {options.machine!r}; it names a folder and a machine on the page: up to "
            "100 letters, digits, dots, dashes and underscores, a letter or digit first."
        )
    if options.machine.lower() == "benchmarks.json":
        raise StudyError(
            f"--machine is {options.machine!r}, which asv calls a file of its own among the "
            "machines' folders; give another name."
        )
    options.images = options.images or images_dir()
    first = "standard" if options.profile in APART else options.profile
    beside = options.out or _default_out(options, first)
    environment = asv_files.environment(provenance.here(options.profile)) if options.beside else ""
    options.out = options.out or _default_out(
        options, options.profile, environment, "repeat" if options.repeat else ""
    )
    options.results = (options.results or beside / "results").resolve()
    options.out = options.out.resolve()
    for name in ("out", "results"):
        check_place(f"--{name}", getattr(options, name))
    return options


def _default_out(options: argparse.Namespace, profile: str, *more: str) -> Path:
    """One for each profile, set of pictures and choice of benchmarks, and for `more`.

    A study of others must not replace it.
    """
    chosen = re.sub(r"[^A-Za-z0-9]+", "-", options.bench or "").strip("-")[:60].lower()
    parts = [
        profile,
        options.images.name if options.images else "",
        f"only-{chosen or 'some'}" if options.bench else "",
        *more,
    ]
    return ROOT / "out" / "-".join(filter(None, parts))


def _check_targets(options: argparse.Namespace) -> None:
    """Whether all that will be written may be, before anything is measured.

    Raises:
        StudyError: something stands there that is not this study's.
    """
    sources = [options.images] if options.images else []
    for name, ours, what in (
        ("session", state.is_session, "a session of measurement"),
        ("asv", publishing.is_pages, "asv's own pages"),
    ):
        check_replaceable(options.out / name, ours, sources=sources, what=what)
    _check_question(options)
    written.check(options.out / "report", FILES, "report", sources=sources)
    publishing.check_results(
        options.results,
        options.machine,
        options.profile,
        bench=options.bench,
        images=options.images,
        repeat=options.repeat,
    )


def _check_question(options: argparse.Namespace) -> None:
    """Pictures, or benchmarks, of one name: a study of these must not replace one of those.

    Raises:
        StudyError: what was published from there is of others.
    """
    asked = {
        "images": ("pictures", options.images and str(options.images)),
        "bench": ("benchmarks", options.bench),
    }
    for folder in dict.fromkeys((options.out, options.results.parent)):
        published = state.published_of(folder / "session")
        for name, (what, wanted) in asked.items():
            if published and published.get(name) != wanted:
                raise StudyError(
                    f"{folder} holds a study of other {what} "
                    f"({published.get(name) or 'the usual ones'}), which this one would replace or "
                    "be compared with; name another folder with --out."
                )


def _run(options: argparse.Namespace, console: Console, temporary: Path) -> None:
    environment = state.environment(options.profile, options.images)
    environment["TMPDIR"] = str(temporary)
    corpora, plan = temporary / "corpora.json", temporary / "plan.json"
    command = [sys.executable, "-m", "benchmarks.prepare"]
    command += [f"--manifests={corpora}", f"--plan={plan}"]
    command += [f"--bench={options.bench}"] if options.bench else []
    run_child(
        command,
        environment,
        what="Building the corpora",
        inherit_output=True,
    )
    session = Session.open(
        options.out / "session",
        profile=options.profile,
        rounds=options.rounds,
        bench=options.bench,
        machine=options.machine,
        plan=json.loads(plan.read_text()),
        corpora=corpora,
        environment=environment,
        repeat=options.repeat,
    )
    session.run(console)
    publishing.publish(session, options.results)
    shown = None if options.no_page else _rendered(options, console, session)
    session.finish()
    if shown:
        print_study(*shown)


def _rendered(
    options: argparse.Namespace, console: Console, session: Session
) -> tuple[Study, Path]:
    """What was found, and the page that says it."""
    pages = "../asv/index.html"
    try:
        publishing.make_pages(session, options.results, options.out / "asv")
        if lacking := without_graphs(options.results):
            console.print(lacking, markup=False)
    except StudyError as error:  # such as a commit that this clone does not have
        console.print(f"{error} The report does without them.", markup=False)
        pages = ""
    study = load_study([options.results], CLAIMS)
    with fitting([options.results]):  # others' results may stand there too
        return study, render(study, options.out / "report", asv_pages=pages)[0]


if __name__ == "__main__":
    sys.exit(main())
