"""Render a study: one self-contained page, its figures as files, and the claims as data.

    python scripts/render_report.py [--results DIR ...] [--out DIR] [--claims FILE]
                                    [--repeat DIR ...] [--asv-pages URL]

The same results give the same bytes, so a rendered report can be committed and compared.
"""

from __future__ import annotations

import argparse
import sys
from dataclasses import replace
from pathlib import Path

if __name__ == "__main__" and not __package__:  # run as a file: make the repository importable
    sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from datasets_impl.atomic import atomic_write
from datasets_impl.errors import StudyError, exit_on_study_error
from scripts import figures as figures_module
from scripts import tables
from scripts.loaders import ceilings_json
from scripts.model import Study
from scripts.page import page
from scripts.repeat import repeat_of
from scripts.terminal import print_study

ROOT = Path(__file__).resolve().parent.parent


def render(study: Study, out: Path, asv_pages: str = "") -> list[Path]:
    """Write the report into `out`, every file atomically; return the paths, index.html first.

    `asv_pages` is the address of the published asv site, "" for no links. Figures that an earlier
    rendering left and this one does not write are removed; files of other names are not touched.
    """
    figures = figures_module.build(study)
    contents = {
        out / "index.html": page(study, figures, asv_pages),
        out / "claims.json": tables.claims_json(study),
        out / "claims.csv": tables.claims_csv(study),
        out / "claims.md": tables.claims_md(study),
        out / "claims.tex": tables.claims_tex(study),
    }
    ceilings = out / "ceilings.json"
    if study.loaders:
        contents[ceilings] = ceilings_json(study.loaders)
    else:
        ceilings.unlink(missing_ok=True)
    for chart in figures.all():
        contents[out / "figures" / f"{chart.name}.svg"] = chart.file_svg
        contents[out / "figures" / f"{chart.name}.csv"] = chart.csv
    for path, content in contents.items():
        atomic_write(path, content)
    for name in sorted(figures_module.known_names(study.claims)):
        for suffix in (".svg", ".csv"):
            stale = out / "figures" / f"{name}{suffix}"
            if stale not in contents:
                stale.unlink(missing_ok=True)
    return list(contents)


def parse(argv: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "--results", type=Path, nargs="+", action="extend", metavar="DIR",
        help="asv results, one or more folders; several machines are judged together "
        "(default: results)",
    )  # fmt: skip
    parser.add_argument("--out", type=Path, default=ROOT / "out" / "report", metavar="DIR",
                        help="where the report goes (default: out/report)")  # fmt: skip
    parser.add_argument("--claims", type=Path, default=ROOT / "claims.toml", metavar="FILE",
                        help="the claims and their rules (default: claims.toml)")  # fmt: skip
    parser.add_argument("--repeat", type=Path, nargs="+", action="extend", metavar="DIR",
                        help="results of a second, separate run of the same profile: the page "
                        "says how far it repeats the first")  # fmt: skip
    parser.add_argument("--loaders", type=Path, nargs="+", action="extend", metavar="DIR",
                        help="results of the profile loaders, shown and judged together with the "
                        "others")  # fmt: skip
    parser.add_argument("--asv-pages", default="", metavar="URL",
                        help="address of the published asv site, for links")  # fmt: skip
    return parser.parse_args(argv)


@exit_on_study_error
def main(argv: list[str] | None = None) -> int:
    arguments = parse(argv)
    from scripts.judge import load_study  # after parsing: --help needs no results

    if arguments.out.exists() and not arguments.out.is_dir():
        raise StudyError(f"--out {arguments.out} is a file; give a folder.")
    results = arguments.results or [ROOT / "results"]
    study = load_study(results, arguments.claims, more=arguments.loaders or ())
    if arguments.repeat:
        from scripts.judge import load_both

        first, second = load_both(results, arguments.repeat, arguments.claims)
        if second.profile != study.profile:
            raise StudyError(
                f"--repeat holds results of the profile {second.profile!r}, not of "
                f"{study.profile!r} as the first run; measure the same profile again."
            )
        study = replace(study, repeat=repeat_of(first, second))
    written = render(study, arguments.out, arguments.asv_pages)
    print_study(study, written[0])
    return 0


if __name__ == "__main__":
    sys.exit(main())
