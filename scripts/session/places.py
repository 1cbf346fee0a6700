"""What a command that measures is asked for: profile, rounds, and where it works and publishes."""

from __future__ import annotations

import argparse
import re
from pathlib import Path

from datasets_impl.errors import StudyError
from datasets_impl.factors import PROFILES
from datasets_impl.files.paths import home_folder, user_path
from datasets_impl.files.replacing import inside_git, is_or_holds
from scripts.judging.kept import check_apart
from scripts.root import ROOT

MOST_ROUNDS = 1000


def parser_of(command: str, doc: str | None, rounds: str, out: str) -> argparse.ArgumentParser:
    """What every command takes that measures; `rounds` and `out` are the help of these options."""
    parser = argparse.ArgumentParser(
        prog=f"python -m scripts.{command}", description=(doc or "").partition("\n")[0]
    )
    parser.add_argument("--profile", default="quick", help=f"one of {', '.join(PROFILES)}")
    parser.add_argument("--rounds", help=rounds)
    parser.add_argument("--bench", help="only benchmarks whose name matches this expression")
    parser.add_argument("--out", type=user_path, metavar="DIR", help=out)
    return parser


def check_profile(name: str) -> None:
    """Raises `StudyError` for a profile that there is none of."""
    if name not in PROFILES:
        raise StudyError(
            f"--profile names the unknown profile {name!r}; choose one of {', '.join(PROFILES)}."
        )


def check_bench(expression: str | None) -> None:
    """Raises `StudyError` for what can match no benchmark; the suite, which takes seconds to
    import, knows the rest."""
    if expression == "":
        raise StudyError(
            "--bench is empty; give a name of asv, such as item.ByStage, or leave it out."
        )
    try:
        re.compile(expression or "")
    except re.error as error:
        raise StudyError(
            f"--bench {expression!r} is no regular expression ({error}); give a name of asv, such "
            "as item.ByStage."
        ) from error


def rounds_asked(given: str | None) -> int | None:
    """The number of --rounds; None where the profile's is meant.

    Raises:
        StudyError: it is no number of rounds.
    """
    if given is None:
        return None
    if not re.fullmatch("[0-9]{1,4}", given) or not 2 <= int(given) <= MOST_ROUNDS:
        raise StudyError(
            f"--rounds is {given!r}; give a whole number from 2 (an interval needs two blocks) to "
            f"{MOST_ROUNDS}."
        )
    return int(given)


def check_place(option: str, folder: Path) -> None:
    """Whether files of a study may be written into `folder`, beside what may lie there.

    Raises:
        StudyError: it is or holds the user's home or this project, or is a folder of its code or
            of git's, or stands among results; only those of --results may be added to results.
    """
    home = home_folder()
    if folder.exists() and any(is_or_holds(folder, whole) for whole in (ROOT, home)):
        why = "is or holds your home folder or this project"
    elif _is_code(folder):
        why = "holds this project's own code"
    elif inside_git(folder):
        why = "is where git keeps its own files"
    else:
        return check_apart(folder, results=option == "--results")
    raise StudyError(f"{option} is {folder}, which {why}; name a folder for results alone.")


def _is_code(folder: Path) -> bool:
    if not folder.is_relative_to(ROOT):
        return False
    top = folder.relative_to(ROOT).parts[0]
    return (top.startswith(".") and top != ".git") or any((ROOT / top).glob("*.py"))
