"""Compare two sets of results, verdict by verdict and cell by cell.

    python -m scripts.compare FIRST [SECOND] [--out DIR] [--claims FILE]

FIRST and SECOND are results folders of this suite: two runs of one machine, or of two machines.
Without SECOND the second run in FIRST is compared with the first one. Prints what differs, and
writes into DIR a page (index.html), its figure and all cells as CSV.
"""

from __future__ import annotations

from datasets_impl.streams import escaped, told_while_imported

if __name__ == "__main__":
    told_while_imported("scripts.compare", "make report")

import argparse
import csv
import io
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from markupsafe import Markup
from rich.console import Console
from rich.table import Table
from rich.text import Text

from datasets_impl.errors import StudyError, exit_on_study_error
from datasets_impl.files.paths import user_path
from scripts.check_claims import check_named
from scripts.judging.model import Repeat
from scripts.judging.repeat import repeat_of
from scripts.report import page, repeat, wording, written
from scripts.report.figures.chart import Chart
from scripts.report.figures.repeat import repeat_chart
from scripts.report.figures.style import page_variables
from scripts.report.terminal import verdict_text
from scripts.root import CLAIMS, ROOT

if TYPE_CHECKING:
    from scripts.judging.judgement import Judgement

SHOWN = 20  # differing cells in the terminal; the files hold all


def write(
    titles: Mapping[str, str], compared: Repeat, out: Path, sources: Sequence[Path] = ()
) -> list[Path]:
    """Write page, figure and tables into `out`; return the paths, page first.

    Raises:
        StudyError: see `written.check`; nothing is written then.
    """
    chart = repeat_chart(compared)
    contents = {
        "index.html": html(titles, compared, chart),
        "cells.csv": repeat.table(compared.effects).to_csv(
            index=False, float_format="%.4g", lineterminator="\n"
        ),
        "verdicts.csv": _verdicts_csv(compared),
    }
    if chart is not None:
        contents["figures/repeat.svg"] = chart.file_svg
    return written.write_all(out, contents, "comparison", sources=sources)


def html(titles: Mapping[str, str], compared: Repeat, chart: Chart | None) -> str:
    """One self-contained page; the same results give the same bytes."""
    rows: dict[str, list[dict[str, Any]]] = {}
    for row in repeat.in_words(compared.effects):
        rows.setdefault(row["claim"], []).append(row)
    light, dark = page_variables()
    text = (
        page.environment()
        .get_template("compare.html.j2")
        .render(
            study={"repeat": compared},
            repeat=page.repeat_context(
                compared, chart, title="Two sets of results", links=False, data="cells.csv"
            ),
            svg={"repeat": Markup(chart.svg + chart.narrow)} if chart else {},
            titles=titles,
            cells=rows,
            asv_pages="",
            css=page.css(),
            ink_light=Markup(light),
            ink_dark=Markup(dark),
        )
    )
    return "\n".join(line.rstrip() for line in text.splitlines() if line.strip()) + "\n"


def show(compared: Repeat, where: Path) -> None:
    """What differs, in a terminal of 80 columns, then how far both agree."""
    console = Console(emoji=False, highlight=False)
    first, second = repeat.both(compared)
    console.print(Text(f"first:  {first}\nsecond: {second}\n"))
    if compared.verdicts:
        table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="bold")
        for name in ("claim", "first", "second", ""):
            table.add_column(name, no_wrap=True)
        for claim, first, second in compared.verdicts:
            flip = {first, second} == {"supported", "challenged"}
            note = "" if first == second else "flips" if flip else "differs"
            table.add_row(claim, verdict_text(first), verdict_text(second), note)
        console.print(table, width=80)
    cells = repeat.differing_cells(compared)
    if cells:
        console.print(f"\nCells decided differently: {len(cells)}", style="bold")
        table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="bold")
        for name in ("claim", "cell", "first", "second"):
            table.add_column(name, overflow="fold")
        for row in cells[:SHOWN]:
            place = Text(f"{row['test']}; {row['factors']}")
            sides = [Text(wording.plain(_side(row, side))) for side in ("first", "second")]
            table.add_row(row["claim"], place, *sides)
        console.print(table, width=80)
        if len(cells) > SHOWN:
            console.print(f"and {len(cells) - SHOWN} more, in cells.csv", style="dim")
    console.print(f"\n{wording.plain(repeat.sentence(compared))}.", style="bold")
    console.print("Page: ", Text(escaped(where), style="bold"), soft_wrap=True, sep="")


def _side(row: dict[str, Any], side: str) -> str:
    return f"{row[side + '_words']} {row[side + '_outcome']}"


def _verdicts_csv(compared: Repeat) -> str:
    buffer = io.StringIO()
    writer = csv.writer(buffer, lineterminator="\n")
    writer.writerow(["claim", "first", "second", "same"])
    writer.writerows([*row, row[1] == row[2]] for row in compared.verdicts)
    return buffer.getvalue()


def parse(argv: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m scripts.compare", description=(__doc__ or "").partition("\n")[0]
    )
    parser.add_argument("first", type=user_path, metavar="FIRST", help="a results folder")
    parser.add_argument("second", type=user_path, metavar="SECOND", nargs="?",
                        help="another one (default: the second run in FIRST)")  # fmt: skip
    parser.add_argument("--out", type=user_path, default=ROOT / "out" / "compare", metavar="DIR",
                        help="where page and tables go (default: out/compare)")  # fmt: skip
    parser.add_argument("--claims", type=user_path, default=CLAIMS, metavar="FILE",
                        help="the claims and their rules (default: this project's)")  # fmt: skip
    return parser.parse_args(argv)


def _both(arguments: argparse.Namespace) -> tuple[Judgement, Judgement]:
    from scripts.judging import judge  # after parsing: --help needs no results

    first, second, claims = arguments.first, arguments.second, arguments.claims
    if second is None:
        both = judge.judge_repeat([first], claims)
        if both is None:
            raise StudyError(
                f"{first} holds no second run of a machine; measure one with `make repeat`, or "
                "name another results folder."
            )
        return both
    if first.resolve() == second.resolve():
        raise StudyError(f"{first} is named twice; name the results of another run.")
    return judge.judge_both([first], [second], claims)


@exit_on_study_error
def main(argv: list[str] | None = None) -> int:
    arguments = parse(argv)
    sources = [arguments.first, arguments.second or arguments.first, arguments.claims]
    written.check(arguments.out, ["index.html"], "comparison", sources=sources)
    check_named(arguments.claims, sources[:2])
    first, second = _both(arguments)
    compared = repeat_of(first, second)
    titles = {claim.id: claim.question or claim.title for claim in first.known.claim}
    paths = write(titles, compared, arguments.out, sources)
    show(compared, paths[0])
    return 0


if __name__ == "__main__":
    sys.exit(main())
