"""Run one study: build the corpora, measure round by round, judge, and write the page.

asv saves its results when it ends; so each round is one asv run that appends to a copy of the
session's results, and the copy replaces them only when it is whole. A study that is killed goes on
with the round it was in. Nothing incomplete is published to the results folder. A study that asks
for more rounds than it published measures those alone and publishes all of them together.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from filelock import FileLock, Timeout
from rich.console import Console

from datasets_impl.atomic import describe_write_error
from datasets_impl.errors import StudyError, exit_on_study_error
from datasets_impl.paths import cache_dir
from datasets_impl.storage.media import sweep_all, temporary_folder
from datasets_impl.termination import stopping_on_termination
from scripts import asv_session, provenance
from scripts.child import run_child
from scripts.claims import load_claims
from scripts.judge import load_study
from scripts.render_report import render
from scripts.root import CLAIMS, ROOT
from scripts.terminal import print_study

PROFILES = ("quick", "standard", "full", "loaders")


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m scripts.study", description=(__doc__ or "").partition("\n")[0]
    )
    parser.add_argument("--profile", default="quick", help=f"one of {', '.join(PROFILES)}")
    parser.add_argument("--images", type=Path, help="measure on the JPEG pictures in this folder")
    parser.add_argument(
        "--rounds",
        type=int,
        help="number of blocks (default: the profile's); more than are published adds to them",
    )
    parser.add_argument(
        "--out",
        type=Path,
        help="where to work and write (default: out/<profile>, and the folder's name of --images)",
    )
    parser.add_argument(
        "--results", type=Path, help="where results are published (default: <out>/results)"
    )
    parser.add_argument("--machine", help="name of this machine in the results")
    parser.add_argument("--bench", help="only the benchmarks whose name matches this expression")
    return parser.parse_args()


@exit_on_study_error
def main() -> int:
    options = arguments()
    if options.profile not in PROFILES:
        raise StudyError(
            f"--profile names the unknown profile {options.profile!r}; choose one of "
            f"{', '.join(PROFILES)}."
        )
    if options.rounds is not None and options.rounds < 2:
        raise StudyError("--rounds must be at least 2: an interval needs two blocks.")
    out = (options.out or _default_out(options)).resolve()
    load_claims(CLAIMS)  # a study that cannot be judged must not be measured first
    cache_dir()
    console = Console(stderr=True, highlight=False)
    lock = _locked(out)
    with stopping_on_termination():
        try:
            results = _measure(options, out, console)
        except OSError as error:
            raise describe_write_error(error, Path(error.filename or out)) from error
        finally:
            sweep_all()
            lock.release()
    study = load_study([results], CLAIMS)
    written = render(study, out / "report", asv_pages="../asv/index.html")
    print_study(study, written[0])
    return 0


def _default_out(options: argparse.Namespace) -> Path:
    """One for each profile and set of pictures: a study of others must not replace it."""
    images = options.images.expanduser().resolve().name if options.images else ""
    return ROOT / "out" / "-".join(filter(None, [options.profile, images]))


def _locked(out: Path) -> FileLock:
    """Make `out` and hold it against a second study.

    Raises:
        StudyError: it cannot be written, or another study holds it.
    """
    try:
        out.mkdir(parents=True, exist_ok=True)
        lock = FileLock(out / ".lock")
        lock.acquire(timeout=0)
    except Timeout:
        raise StudyError(
            f"Another study is running in {out}; wait for it, or choose another folder with --out."
        ) from None
    except OSError as error:
        raise describe_write_error(error, out) from error
    return lock


def _measure(options: argparse.Namespace, out: Path, console: Console) -> Path:
    environment = asv_session.environment(options.profile, options.images)
    sweep_all()
    with temporary_folder() as temporary:
        return _measure_with(options, out, console, {**environment, "TMPDIR": str(temporary)})


def _measure_with(
    options: argparse.Namespace, out: Path, console: Console, environment: dict[str, str]
) -> Path:
    run_child(
        [sys.executable, "-m", "benchmarks.prepare", "--manifests", str(out / asv_session.CORPORA)],
        environment,
        what="Building the corpora",
        inherit_output=True,
    )
    session = asv_session.Session.open(
        out / "session",
        profile=options.profile,
        rounds=options.rounds,
        bench=options.bench,
        machine=options.machine or provenance.machine_name(),
        environment=environment,
    )
    session.run(console)
    results: Path = (options.results or out / "results").resolve()
    session.publish(results)
    session.make_pages(results, out / "asv")
    return results


if __name__ == "__main__":
    sys.exit(main())
