"""What the doctor writes: a page, data and their schema in a folder, and a picture of its session.

Only over what is absent, empty or its own, and never among the pictures that it looks at.
"""

from __future__ import annotations

import json
import os
import shlex
from collections.abc import Sequence
from pathlib import Path

from rich.console import Console
from rich.text import Text

from datasets_impl.doctor.process.printable import shown
from datasets_impl.doctor.report.model import Diagnosis
from datasets_impl.doctor.report.page import GENERATOR, page
from datasets_impl.doctor.report.terminal import print_diagnosis
from datasets_impl.errors import StudyError
from datasets_impl.files.atomic import atomic_write, atomic_writes, check_writable
from datasets_impl.files.paths import user_path
from datasets_impl.files.records import text_of
from datasets_impl.files.replacing import check_replaceable

PICTURE_WIDTH = 96  # columns
PICTURE = "doctor"  # names the parts of the picture, and tells whose it is
# How a page and a picture of ours begin, whatever stands in those of others.
HEAD = f'<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n{GENERATOR}\n'
TERMINAL = '<svg class="rich-terminal"'
MOST_BYTES = 1 << 26  # of a file that may be ours
FIELDS = {"schema_version", "target", "verdict", "findings", "remedies"}


def check_places(target: str, out: Path | None, svg: Path | None) -> None:
    """Before the examination, so that no minute is lost.

    Raises:
        StudyError: a place cannot be written, holds what is not the doctor's, or is in the folder
            of pictures that is looked at.
    """
    if out is not None and out.exists() and not out.is_dir():
        raise StudyError(f"{out} is no folder; name one for --out.")
    files = _files(out) if out else ()
    if svg is not None and svg.resolve() in {path.resolve() for path in files}:
        raise StudyError(f"--svg {svg} is a file of --out; name another one for the picture.")
    for path in (*files, *((svg,) if svg else ())):
        _check(path)
        folder = user_path(target) if target else None
        if folder and folder.is_dir() and path.resolve().is_relative_to(folder.resolve()):
            raise StudyError(
                f"{path} would be written among the pictures of {folder}, which are only read; "
                "choose another place."
            )
        check_writable(path)


def write_report(found: Diagnosis, out: Path) -> Path:
    """The three files; returns the page.

    Raises:
        StudyError: see `check_places`.
    """
    texts = (
        page(found),
        found.model_dump_json(indent=1),
        json.dumps(Diagnosis.model_json_schema(), indent=1),
    )
    files = _files(out)
    for path in files:
        _check(path)
    atomic_writes({path: f"{text}\n" for path, text in zip(files, texts, strict=True)})
    return files[0]


def draw_session(
    found: Diagnosis, written: Path | None, arguments: Sequence[str], svg: Path
) -> None:
    """The session as an SVG picture of a terminal: what was typed, and what came.

    Raises:
        StudyError: see `check_places`.
    """
    with Path(os.devnull).open("w") as nowhere:
        console = Console(
            emoji=False, record=True, width=PICTURE_WIDTH, file=nowhere, highlight=False
        )
        typed = shown(f"$ python -m datasets_impl.doctor {shlex.join(arguments)}")
        console.print(Text(typed, style="dim"))
        print_diagnosis(found, written, console)
    _check(svg)
    atomic_write(svg, console.export_svg(title=PICTURE, unique_id=PICTURE) + "\n")


def _files(out: Path) -> tuple[Path, Path, Path]:
    return out / "index.html", out / "diagnosis.json", out / "schema.json"


def _check(path: Path) -> None:
    if path.is_dir():
        raise StudyError(f"{path} is a folder; name a file.")
    check_replaceable(path, _is_ours, what="what the doctor writes")


def _is_ours(path: Path) -> bool:
    """By what it says of itself, not by what stands in it of others."""
    try:
        text = text_of(path, MOST_BYTES)
    except (OSError, ValueError):
        return False
    if path.suffix != ".json":
        return text.startswith(HEAD) or (text.startswith(TERMINAL) and f"{PICTURE}-matrix" in text)
    return _is_of_diagnosis(text)


def _is_of_diagnosis(text: str) -> bool:
    try:
        held = json.loads(text)
    except (ValueError, RecursionError):
        return False
    if not isinstance(held, dict):
        return False
    named = held.get("properties") if held.get("title") == Diagnosis.__name__ else held
    return isinstance(named, dict) and set(Diagnosis.model_fields) >= set(named) >= FIELDS
