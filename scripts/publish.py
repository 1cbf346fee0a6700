"""Write the report and asv's own pages of results into one folder that needs no network.

    python -m scripts.publish [--results DIR] [--out DIR]

The report's claim cards link to asv's pages, where each benchmark can be seen by machine, Python
and torch. What those pages load from other servers is fetched by npm once and put beside them.
Browsers let them read their numbers only from a server, such as the one that is named at the end.
Of a commit that the branch does not have asv draws nothing; then the command says so and ends with
1.
"""

from __future__ import annotations

from datasets_impl.streams import escaped, told_while_imported

if __name__ == "__main__":
    told_while_imported("scripts.publish", "make publish")

import argparse
import sys
from pathlib import Path

from asv import util

from datasets_impl.errors import StudyError, exit_on_study_error
from datasets_impl.files.atomic import describe_write_error
from datasets_impl.files.paths import user_path
from datasets_impl.files.replacing import check_replaceable
from datasets_impl.files.whole import whole_folder
from datasets_impl.media.workspaces import sweep_all, temporary_folder
from scripts.judging.judge import fitting
from scripts.judging.runs import every_run
from scripts.render_report import FILES, render
from scripts.report import written
from scripts.report.study import load_study
from scripts.root import CLAIMS, RESULTS, ROOT
from scripts.session import asv_files, provenance, publishing
from scripts.session.asv_assets import make_local
from scripts.session.child import run_child
from scripts.session.named_asv import ASV
from scripts.session.places import check_place
from scripts.session.revisions import without_graphs


def parse(argv: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m scripts.publish", description=(__doc__ or "").partition("\n")[0]
    )
    parser.add_argument("--results", type=user_path, default=RESULTS, metavar="DIR",
                        help="a results folder (default: results)")  # fmt: skip
    parser.add_argument("--out", type=user_path, default=ROOT / "out" / "publish", metavar="DIR",
                        help="where report and pages go (default: out/publish)")  # fmt: skip
    return parser.parse_args(argv)


@exit_on_study_error
def main(argv: list[str] | None = None) -> int:
    options = parse(argv)
    out, results = options.out.resolve(), options.results.resolve()
    check_place("--out", out)
    provenance.git("--version")  # from which asv reads the commits of all results
    every_run([results])
    check_replaceable(out / "asv", publishing.is_pages, sources=[results], what="asv's own pages")
    written.check(out / "report", FILES, "report", sources=[results])
    try:
        out.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise describe_write_error(error, out) from error
    sweep_all()  # what one that was killed left
    pages = whole_folder(
        out / "asv", publishing.is_pages, sources=[results], what="asv's own pages"
    )
    with temporary_folder() as temporary, pages as new:
        assert new is not None  # they are always made anew
        _asv_pages(results, new, temporary)
        make_local(new, temporary)
        publishing.list_pages(new)
    study = load_study([results], CLAIMS)
    with fitting([results]):
        page = render(study, out / "report", "../asv/index.html", [results])[0]
    print(f"Report: {escaped(page)}\nasv: {escaped(out / 'asv' / 'index.html')}")
    print(f"To see both: python -m http.server --bind localhost --directory {escaped(out)}")
    if lacking := without_graphs(results):
        print(lacking, file=sys.stderr)
    return 1 if lacking else 0


def _asv_pages(results: Path, made: Path, temporary: Path) -> None:
    """Let asv write its pages of `results` into `made`.

    Raises:
        StudyError: asv failed, such as for a commit that this clone does not have.
    """
    settings = asv_files.settings()
    places = {"repo": ROOT, "results_dir": results, "html_dir": made,
              "benchmark_dir": ROOT / "benchmarks", "env_dir": temporary / "env"}  # fmt: skip
    config, log = temporary / "asv.conf.json", temporary / "asv.log"
    util.write_json(str(config), settings | {name: str(path) for name, path in places.items()})
    command = [*ASV, "publish", "--no-pull", "--config", str(config)]
    try:
        run_child(command, provenance.own_environment(), what="asv publish", output=log)
    except StudyError as error:
        text = log.read_text(encoding="utf-8", errors="replace") if log.exists() else ""
        said = text.strip().splitlines()
        raise StudyError(
            f"asv cannot make its pages of {results}{f' ({said[-1]})' if said else ''}; it needs "
            "the commits of all results, so a full clone of the project."
        ) from error


if __name__ == "__main__":
    sys.exit(main())
