"""Say why a dataset is slow, by measuring it.

    python -m datasets_impl.doctor TARGET [--kwargs JSON] [--budget SECONDS] [--out DIR]
                                   [--step-ms MS] [--svg FILE]

TARGET is a folder of pictures, `package.module:object` or `file.py:object`: a Dataset, a
DataLoader, or a class or function that returns one.
"""

from __future__ import annotations

import argparse
import json
import os
import shlex
import sys
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.progress import Progress, SpinnerColumn, TextColumn, TimeElapsedColumn
from rich.text import Text

from datasets_impl.atomic import atomic_write, check_writable, describe_write_error
from datasets_impl.doctor.diagnosis import WHAT, diagnose
from datasets_impl.doctor.examine import Ask, examine
from datasets_impl.doctor.model import Diagnosis
from datasets_impl.doctor.page import page
from datasets_impl.doctor.terminal import print_diagnosis
from datasets_impl.errors import StudyError, exit_on_study_error
from datasets_impl.termination import stopping_on_termination

BUDGET, LEAST_BUDGET = 60.0, 10.0
PICTURE_WIDTH = 96  # columns
ALONE = ("inside", "pickled", "look")  # read no sample, or are what the others need
SHARES = {  # of the budget; what is left over is for imports
    "inside": 0.03,
    "pickled": 0.04,
    "look": 0.04,
    "items": 0.08,
    "causes": 0.12,
    "pictures": 0.03,
    "repeated": 0.06,
    "ceiling": 0.06,
    "batches": 0.12,
    "growth": 0.12,
    "tried": 0.28,
}


@exit_on_study_error
def main(arguments: list[str] | None = None) -> int:
    options = _arguments(arguments)
    kwargs = _kwargs(options.kwargs)
    console = Console(stderr=True, highlight=False)
    asked = questions(options.budget)
    for path in (options.out and options.out / "index.html", options.svg):
        if path is not None:
            check_writable(path)
    with stopping_on_termination(), Progress(
        SpinnerColumn(), TextColumn("{task.description}"), TimeElapsedColumn(),
        console=console, transient=True,
    ) as progress:  # fmt: skip
        task = progress.add_task("importing and making the dataset", total=None)
        heard = examine(
            options.target,
            kwargs,
            asked,
            lambda probe: progress.update(task, description=WHAT[probe]),
        )
    if heard.user_error:
        raise StudyError(heard.user_error)
    if "" in heard.failures:
        raise StudyError(f"{options.target} could not be made: {heard.failures['']}.")
    found = diagnose(options.target, heard, options.step_ms)
    written = _write(found, options.out)
    print_diagnosis(found, written, Console(highlight=False))
    if options.svg:
        _picture(found, written, arguments or sys.argv[1:], options.svg)
    return 0


def _picture(found: Diagnosis, written: Path | None, said: list[str], path: Path) -> None:
    """The session as an SVG picture of a terminal: what was typed, and what came."""
    with Path(os.devnull).open("w") as nowhere:
        console = Console(record=True, width=PICTURE_WIDTH, file=nowhere, highlight=False)
        console.print(Text(f"$ python -m datasets_impl.doctor {shlex.join(said)}", style="dim"))
        print_diagnosis(found, written, console)
    atomic_write(path, console.export_svg(title="doctor", unique_id="doctor") + "\n")


def questions(budget: float, but: tuple[str, ...] = ()) -> list[Ask]:
    """Every probe `but` some, and its part of the budget, seconds."""
    return [
        Ask(probe, budget * share, "" if probe in ALONE else "look")
        for probe, share in SHARES.items()
        if probe not in but
    ]


def _arguments(arguments: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m datasets_impl.doctor",
        description="Say why a dataset is slow, by measuring it.",
    )
    parser.add_argument("target", metavar="TARGET",
                        help="a folder of pictures, module:object or file.py:object")  # fmt: skip
    parser.add_argument("--kwargs", default="{}", metavar="JSON",
                        help="arguments of a class or function, as a JSON object")  # fmt: skip
    parser.add_argument("--budget", type=float, default=BUDGET, metavar="SECONDS",
                        help=f"about how long it may take (default: {BUDGET:.0f})")  # fmt: skip
    parser.add_argument("--out", type=Path, metavar="DIR",
                        help="write index.html, diagnosis.json and schema.json there")  # fmt: skip
    parser.add_argument("--step-ms", type=float, metavar="MS",
                        help="how long your training step takes, to compare with")  # fmt: skip
    parser.add_argument("--svg", type=Path, metavar="FILE",
                        help="also draw the terminal, as an SVG picture")  # fmt: skip
    options = parser.parse_args(arguments)
    if not options.budget >= LEAST_BUDGET:
        raise StudyError(f"--budget must be at least {LEAST_BUDGET:.0f} seconds.")
    if options.step_ms is not None and not options.step_ms > 0:  # neither is "nan"
        raise StudyError("--step-ms must be more than 0.")
    return options


def _kwargs(text: str) -> dict[str, Any]:
    try:
        found = json.loads(text)
    except ValueError as error:
        raise StudyError(
            f'--kwargs is not JSON ({error}); write it like \'{{"root": "a"}}\'.'
        ) from None
    if not isinstance(found, dict):
        raise StudyError('--kwargs must be a JSON object, such as \'{"root": "photos"}\'.')
    return found


def _write(found: Diagnosis, out: Path | None) -> Path | None:
    if out is None:
        return None
    try:
        out.mkdir(parents=True, exist_ok=True)
        schema = json.dumps(Diagnosis.model_json_schema(), indent=1)
        for name, text in (
            ("diagnosis.json", found.model_dump_json(indent=1)),
            ("schema.json", schema),
            ("index.html", page(found)),
        ):
            atomic_write(out / name, text + "\n")
    except OSError as error:
        raise describe_write_error(error, out) from error
    return out / "index.html"


if __name__ == "__main__":
    sys.exit(main())
