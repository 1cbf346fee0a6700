"""Render a study: one self-contained page, its figures as files, and the claims as data.

    python scripts/render_report.py [--results DIR ...] [--out DIR] [--claims FILE]
                                    [--asv-pages URL]

Of each machine its newest run is judged, and with it the newest of each profile that stands apart.
The page says how far a second run repeats the first, where the results have one. The same results
give the same bytes, so a rendered report can be committed and compared.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path
from urllib.parse import urlsplit

if __name__ == "__main__" and not __package__:  # run as a file: make the repository importable
    sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from datasets_impl.streams import told_while_imported

if __name__ == "__main__":
    told_while_imported("scripts.render_report", "make report")

from datasets_impl.errors import StudyError, exit_on_study_error
from datasets_impl.files.paths import user_path
from scripts.check_claims import check_named
from scripts.judging.judge import fitting
from scripts.report import figures as figures_module
from scripts.report import tables, written
from scripts.report.ceilings import ceilings_json
from scripts.report.model import Study
from scripts.report.page import page
from scripts.report.record import schema
from scripts.report.terminal import print_study
from scripts.root import CLAIMS, RESULTS, ROOT

TABLES = ("claims.json", "claims.schema.json", "claims.csv", "claims.md", "claims.tex")
FILES = ("index.html", *TABLES)  # of every report


def render(
    study: Study, out: Path, asv_pages: str = "", sources: Sequence[Path] = ()
) -> list[Path]:
    """Write the report into `out`; return the paths, index.html first.

    `asv_pages` is the address of the published asv site, "" for no links; `sources` are the files
    and folders that the study was read from. Files of an earlier rendering that this one does not
    write are removed, files of anybody else are not touched.

    Raises:
        StudyError: see `written.check`; nothing is written then.
    """
    figures = figures_module.build(study)
    contents = {
        "index.html": page(study, figures, asv_pages),
        "claims.json": tables.claims_json(study),
        "claims.schema.json": schema(),
        "claims.csv": tables.claims_csv(study),
        "claims.md": tables.claims_md(study),
        "claims.tex": tables.claims_tex(study),
    }
    if study.loaders:
        contents["ceilings.json"] = ceilings_json(study.loaders)
    for chart in figures.all():
        contents[f"figures/{chart.name}.svg"] = chart.file_svg
        contents[f"figures/{chart.name}.csv"] = chart.csv
    return written.write_all(out, contents, "report", sources=sources)


def _address(given: str) -> str:
    """
    Raises:
        StudyError: following it would run something, or show what stands in it.
    """
    scheme = urlsplit(given).scheme
    if scheme not in ("", "http", "https", "file"):
        raise StudyError(f"--asv-pages is {given!r}; give an address of http, https or a file.")
    return given


def parse(argv: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "--results", type=user_path, nargs="+", action="extend", metavar="DIR",
        help="asv results, one or more folders; several machines are judged together "
        "(default: results)",
    )  # fmt: skip
    parser.add_argument("--out", type=user_path, default=ROOT / "out" / "report", metavar="DIR",
                        help="where the report goes (default: out/report)")  # fmt: skip
    parser.add_argument("--claims", type=user_path, default=CLAIMS, metavar="FILE",
                        help="the claims and their rules (default: this project's)")  # fmt: skip
    parser.add_argument("--asv-pages", type=_address, default="", metavar="URL",
                        help="address of the published asv site, for links")  # fmt: skip
    return parser.parse_args(argv)


@exit_on_study_error
def main(argv: list[str] | None = None) -> int:
    arguments = parse(argv)
    from scripts.report.study import load_study  # after parsing: --help needs no results

    results = arguments.results or [RESULTS]
    sources = [*results, arguments.claims]
    written.check(arguments.out, FILES, "report", sources=sources)
    check_named(arguments.claims, results)
    study = load_study(results, arguments.claims)
    with fitting(results):
        paths = render(study, arguments.out, arguments.asv_pages, sources)
    print_study(study, paths[0])
    return 0


if __name__ == "__main__":
    sys.exit(main())
