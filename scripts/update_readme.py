"""Write the README's answer, its table of claims and what Python 3.14 changes from a report.

    python -m scripts.update_readme [--report DIR]

Each stands between two marker comments; everything else in the README is left as it is.
"""

from __future__ import annotations

from datasets_impl.streams import told_while_imported

if __name__ == "__main__":
    told_while_imported("scripts.update_readme", "make report")

import argparse
import re
import sys
import textwrap
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from datasets_impl.errors import StudyError, exit_on_study_error
from datasets_impl.files.atomic import atomic_write
from datasets_impl.files.paths import user_path
from datasets_impl.files.records import json_of, spoilt
from datasets_impl.files.replacing import check_replaceable
from scripts.judging.environments import Environment
from scripts.report import wording
from scripts.report.environments import updating
from scripts.report.record import Report
from scripts.report.tables import escape_md
from scripts.root import RESULTS, ROOT

PAGE = "results/report/index.html"
BEGIN = "<!-- {}: written by scripts/update_readme.py -->"
END = "<!-- end of {} -->"


def answer(report: dict[str, Any]) -> str:
    """What follows from the claims, as a Markdown list."""
    return "\n".join(
        textwrap.fill(f"- {point}", 100, subsequent_indent="  ")
        for point in report["study"]["answer"].splitlines()
    )


def python(report: dict[str, Any]) -> str:
    """What changes with Python 3.14."""
    cells = [
        cell for claim in report["claims"] if claim["id"] == "X01" for cell in claim["evidence"]
    ]
    where = {
        machine["name"]: str(Environment.of({"python": machine["details"].get("Python")}))
        for machine in report["machines"]
    }
    changes = updating(cells, where)
    told = f"What changes when you update to Python 3.14: {changes} ([X01]({PAGE}#X01))."
    return textwrap.fill(told, 100)


def table(report: dict[str, Any]) -> str:
    """The judged claims as Markdown, each with one number, then the ids of those not tested."""
    judged = [claim for claim in report["claims"] if claim["verdict"] != "not tested"]
    rest = [claim["id"] for claim in report["claims"] if claim["verdict"] == "not tested"]
    lines = ["| Claim, restated | Verdict | One number |", "| --- | --- | --- |"]
    for claim in judged:
        name = f"**[{claim['id']}]({PAGE}#{claim['id']})** {_cell(claim['title'])}"
        lines.append(f"| {name} | {claim['verdict']} | {_cell(number(claim))} |")
    study, noise = report["study"], report["noise"]
    names = [escape_md(machine["name"]) for machine in report["machines"]]
    where = f"machine{'s' * (len(names) > 1)} {' and '.join(names)}"
    where = where if len(names) <= wording.FEW else f"{len(names)} machines"
    newest = (
        f" The numbers are those of {names[0]}; the verdicts span all." if len(names) > 1 else ""
    )
    lines += [
        "",
        f"Profile {study['profile']}, {study['rounds']} rounds, commit `{study['commit'][:10]}`; "
        f"{where}.{newest} "
        f"{noise['false_alarms'] or 'None'} of {noise['cells']} comparisons of a dataset with "
        "itself raised a false alarm.",
    ]
    if "repeat" in report:
        again = report["repeat"]
        lines += [
            "",
            f"A [second run]({PAGE}#repeat) agrees in {again['verdicts_agreeing']} of "
            f"{len(again['verdicts'])} verdicts; {again['flips'] or 'none'} went from supported to "
            "challenged or back.",
        ]
    if rest:
        lines += [
            "",
            f"Not tested yet: {', '.join(rest)}; the report says which evidence each lacks.",
        ]
    return "\n".join(lines)


def number(claim: dict[str, Any]) -> str:
    """The headline effect, and of what; where it is a word, how many cells are for the claim."""
    effect, told = claim["effect"], claim["headline"]
    if not effect:
        return wording.in_short("", claim["finding"])
    metric, arms = effect["metric"].removeprefix(f"{effect['unit']} "), " / ".join(effect["arms"])
    if effect["quantity"] == "value":
        if told in {cell["reading"] for cell in claim["evidence"]}:
            cells = ((c["machine"], c["outcome"]) for c in claim["evidence"] if c["counts"])
            return f"{wording.cells_for(cells)}: {metric}"
        metric = "" if re.search(r"[a-z]{3}", told) else metric  # "0 opened per image" says it
    elif len(effect["arms"]) > 1 and effect["quantity"] != "amount":
        metric = ""
    of = ", ".join(filter(None, (metric, arms)))
    return f"{told}{' ' if metric or effect['low'] is not None else ', '}{of}"


def _cell(text: str) -> str:
    """Markdown of one cell: code in it stays code, markup of HTML and columns do not act."""
    return text.replace("|", "\\|").replace("<", "&lt;").replace("\n", " ")


PARTS = {"answer": answer, "python": python, "claims": table}  # in their order


def updated(readme: str, report: dict[str, Any]) -> str:
    """`readme` with the text between each pair of markers replaced, in the line ends it has.

    Raises:
        StudyError: markers are missing, or stand in another order.
    """
    for name, write in PARTS.items():
        begin, end = BEGIN.format(name), END.format(name)
        before, found, rest = readme.partition(begin)
        _, closed, after = rest.partition(end)
        if not found or not closed:
            raise StudyError(f"README.md has lost its markers; put {begin} and {end} back.")
        between = f"\n{write(report)}\n"
        if rest.startswith("\r\n"):
            between = between.replace("\n", "\r\n")
        readme = f"{before}{begin}{between}{end}{after}"
    return readme


def read_report(folder: Path) -> dict[str, Any]:
    """`claims.json` of a rendered report, as this version of the project writes it.

    Raises:
        StudyError: there is none, it cannot be read, or it is something else.
    """
    path = folder / "claims.json"
    again = "render the report first, with `make report`"
    try:
        report: dict[str, Any] = json_of(path)
    except OSError as error:
        raise StudyError(f"{path} cannot be read ({error.strerror}); {again}.") from error
    except ValueError as error:
        raise StudyError(f"{path} {spoilt(path, f'is no JSON; {again}.')}") from error
    try:
        Report.model_validate(report)
    except ValidationError as error:
        place = "/".join(map(str, error.errors()[0]["loc"])) or "the top level"
        raise StudyError(f"{path} is not what the report holds, at {place}; {again}.") from None
    return report


@exit_on_study_error
def main(argv: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--report", type=user_path, default=RESULTS / "report", metavar="DIR",
                        help="a rendered report (default: results/report)")  # fmt: skip
    report = read_report(parser.parse_args(argv).report)
    readme = ROOT / "README.md"
    try:
        text = readme.read_bytes().decode()
    except (OSError, UnicodeDecodeError) as error:
        raise StudyError(f"{readme} cannot be read; restore it with git.") from error
    new = updated(text, report)
    check_replaceable(readme, lambda path: True, what="the README")  # its markers are there
    atomic_write(readme, new.encode())
    return 0


if __name__ == "__main__":
    sys.exit(main())
