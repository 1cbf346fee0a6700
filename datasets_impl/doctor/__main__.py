"""Say why a dataset is slow, by measuring it.

    python -m datasets_impl.doctor TARGET [--kwargs JSON] [--budget SECONDS] [--out DIR]
                                   [--step-ms MS | --beside WATCH] [--svg FILE]
                                   [--fail-if CONDITION]
    python -m datasets_impl.doctor --compare BEFORE AFTER [--fail-if CONDITION]

TARGET is a folder of pictures, `package.module:object` or `file.py:object`: a Dataset, a
DataLoader, or a class or function that returns one. The exit code is 1 where a condition holds.
"""

from __future__ import annotations

import sys

if __name__ == "__main__" and not sys.flags.safe_path:
    del sys.path[0]  # the current folder, where a json.py of the user's may stand

from datasets_impl.streams import told_while_imported

if __name__ == "__main__":
    told_while_imported("datasets_impl.doctor", extra="doctor")

import argparse
from math import nan
from pathlib import Path

from rich.console import Console
from rich.progress import Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

from datasets_impl.arguments import json_object, refused
from datasets_impl.errors import (
    BAD_INPUT,
    INTERRUPTED,
    MissingPackage,
    StudyError,
    exit_on_study_error,
    importing,
)
from datasets_impl.files.paths import current_folder, user_path
from datasets_impl.system.termination import stopping_on_termination

try:
    with importing("The doctor", "", "doctor"):
        from datasets_impl.doctor.loop.seen import BUSY
        from datasets_impl.doctor.loop.told import read
        from datasets_impl.doctor.process.examine import examine
        from datasets_impl.doctor.process.heard import Ask
        from datasets_impl.doctor.process.printable import shown
        from datasets_impl.doctor.report.comparing import compared, print_comparison, read_diagnosis
        from datasets_impl.doctor.report.conditions import FAILED, Condition, check_known
        from datasets_impl.doctor.report.diagnosis import diagnose
        from datasets_impl.doctor.report.terminal import print_diagnosis
        from datasets_impl.doctor.report.verdict import WHAT
        from datasets_impl.doctor.report.writing import check_places, draw_session, write_report
except MissingPackage as missing:
    print(f"error: {missing}", file=sys.stderr)
    sys.exit(BAD_INPUT)

BUDGET, LEAST_BUDGET, DAY = 60.0, 10.0, 86_400.0  # seconds
LEAST_STEP = 1e-3  # milliseconds
ALONE = ("inside", "pickled", "look")  # read no sample, or are what the others need
SHARES = {  # of the budget; what is left over is for imports
    "inside": 0.03,
    "pickled": 0.04,
    "look": 0.04,
    "items": 0.07,
    "machine": 0.02,  # which asks for what items opened
    "causes": 0.1,
    "pictures": 0.03,
    "repeats": 0.04,
    "repeated": 0.05,
    "integrity": 0.04,
    "starting": 0.04,
    "ceiling": 0.04,
    "batches": 0.12,
    "growth": 0.1,
    "tried": 0.24,
}


@exit_on_study_error
def main(arguments: list[str] | None = None) -> int:
    try:
        return _main(arguments)
    except KeyboardInterrupt:
        print("interrupted; nothing was written", file=sys.stderr)
        return INTERRUPTED


def _main(arguments: list[str] | None) -> int:
    current_folder()
    options = _arguments(arguments)
    if options.compare:
        between = compared(*map(read_diagnosis, options.compare))
        print_comparison(between, Console(emoji=False, highlight=False))
        return _exit_code([one.failed_between(between) for one in options.fail_if])
    kwargs = json_object("--kwargs", options.kwargs, '{"root": "photos"}')
    console = Console(emoji=False, stderr=True, highlight=False)
    asked = questions(options.budget)
    check_places(options.target, options.out, options.svg)
    with stopping_on_termination(), Progress(
        SpinnerColumn(), TextColumn("{task.description}"), TimeElapsedColumn(),
        console=console, transient=True, disable=not console.is_terminal,
    ) as progress:  # fmt: skip
        task = progress.add_task("importing and making the dataset", total=None)
        heard = examine(
            options.target,
            kwargs,
            asked,
            lambda probe: progress.update(task, description=WHAT[probe]),
        )
    if heard.user_error:
        raise StudyError(f"{heard.user_error}.")
    if "" in heard.failures and not heard.answers:
        raise StudyError(f"{shown(options.target)} could not be made: {heard.failures['']}.")
    found = diagnose(shown(options.target), heard, options.step_ms, options.gil)
    written = write_report(found, options.out) if options.out else None
    print_diagnosis(found, written, Console(emoji=False, highlight=False))
    if options.svg:
        draw_session(found, written, arguments or sys.argv[1:], options.svg)
    return _exit_code([one.failed(found) for one in options.fail_if])


def _exit_code(failed: list[str]) -> int:
    said = [one for one in failed if one]
    for one in said:
        print(f"failed: {one}", file=sys.stderr)
    return FAILED if said else 0


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
    parser.add_argument("target", metavar="TARGET", nargs="?",
                        help="a folder of pictures, module:object or file.py:object")  # fmt: skip
    parser.add_argument("--kwargs", default="{}", metavar="JSON",
                        help="arguments of a class or function, as a JSON object")  # fmt: skip
    parser.add_argument("--budget", default=str(BUDGET), metavar="SECONDS",
                        help=f"about how long it may take (default: {BUDGET:.0f}); at most 1.3 "
                        "times that, and a minute to import and make the dataset")  # fmt: skip
    parser.add_argument("--out", type=user_path, metavar="DIR",
                        help="write index.html, diagnosis.json and schema.json there")  # fmt: skip
    step = parser.add_mutually_exclusive_group()
    step.add_argument("--step-ms", metavar="MS",
                      help="how long your training step takes, to compare with")  # fmt: skip
    step.add_argument("--beside", type=user_path, metavar="WATCH",
                      help="take the step from the file that watch(loader) wrote")  # fmt: skip
    parser.add_argument("--svg", type=user_path, metavar="FILE",
                        help="also draw the terminal, as an SVG picture")  # fmt: skip
    parser.add_argument("--compare", type=user_path, nargs=2, metavar=("BEFORE", "AFTER"),
                        help="say what changed between two diagnosis.json")  # fmt: skip
    parser.add_argument("--fail-if", action="append", default=[],
                        metavar="CONDITION",
                        help='exit with 1 if, for example, "waits>10%%", "hazards>0", '
                        '"decoding>50%%", or with --compare "slower>5%%"')  # fmt: skip
    options = parser.parse_args(arguments)
    if (options.target is None) == (options.compare is None):
        parser.error("give a TARGET, or --compare with two files")
    options.fail_if = [Condition.of(text) for text in options.fail_if]
    check_known(options.fail_if)
    _check_together(parser, options)
    options.budget = _number("--budget", options.budget, LEAST_BUDGET, DAY, "seconds")
    if options.step_ms is not None:
        options.step_ms = _number("--step-ms", options.step_ms, LEAST_STEP, 1e3 * DAY, "ms")
    options.gil = None
    if options.beside is not None:
        options.step_ms, options.gil = _step_of(options.beside)
    return options


def _check_together(parser: argparse.ArgumentParser, options: argparse.Namespace) -> None:
    """What is asked for must be possible, before a minute is spent; and nothing is passed over.

    Raises:
        BadArgument: a condition needs an option that is not given.
    """
    if options.compare:
        unused = ("kwargs", "budget", "out", "step_ms", "beside", "svg")
        for name in unused:
            if getattr(options, name) != parser.get_default(name):
                parser.error(f"--{name.replace('_', '-')} goes with a TARGET, not with --compare")
        return
    step = options.step_ms is not None or options.beside is not None
    for one in options.fail_if:
        one.check_possible(step=step)
    if options.kwargs != parser.get_default("kwargs") and user_path(options.target).is_dir():
        parser.error("--kwargs goes with a class or function, not with a folder of pictures")


def _step_of(watched: Path) -> tuple[float, float | None]:
    """Milliseconds, of the loop that took most steps, and the share of the time in which it kept
    the GIL from others, where that is much.

    Raises:
        StudyError: the file cannot be read, or no step was seen.
    """
    loop = max(read(watched).loops, key=lambda one: one.step.count if one.step else 0)
    if loop.step_ms is None:
        raise StudyError(f"{watched} holds no step; watch a loop that runs for longer.")
    if loop.step_ms > 1e3 * DAY:
        raise StudyError(f"{watched}: its step of {loop.step_ms:g} ms is longer than a day.")
    return max(loop.step_ms, LEAST_STEP), loop.gil if (loop.gil or 0.0) > BUSY else None


def _number(name: str, text: str, least: float, most: float, unit: str) -> float:
    """
    Raises:
        BadArgument: it is no number, or beyond a limit.
    """
    try:
        number = float(text)
    except ValueError:
        number = nan
    if not least <= number <= most:  # neither is "nan"
        raise refused(name, text, f"a number of {unit} from {least:g} to {most:,.0f}")
    return number


if __name__ == "__main__":
    sys.exit(main())
