"""`benchmarks.json`: what asv says of the suite that results are of.

Each benchmark that a result file holds numbers of has to stand in it: its unit and the names of
its factors stand nowhere else.
"""

from __future__ import annotations

import ast
import math
import os
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import asv
from asv import util
from asv.benchmarks import Benchmarks

from datasets_impl.errors import StudyError
from datasets_impl.factors import TOPICS
from datasets_impl.files.records import spoilt
from scripts.judging.beside import require_readable
from scripts.judging.declared import declared
from scripts.judging.readable import readable

# Of a row of the evidence beside its factors, so no factor may have one of these names.
COLUMNS = {
    *("machine", "benchmark", "name", "metric", "unit", "version", "rounds", "profile"),
    *("samples", "median", "other", "q25", "q75", "repeat", "status", "reason"),
}
LONGEST_LEVEL = 1_000  # characters; Python's reader of many more may end in a lack of memory


def place_of_suite(folder: Path) -> Path:
    path = folder / "benchmarks.json"
    if not os.path.exists(path) and os.path.exists(folder / "machine.json"):  # noqa: PTH110 - no error
        path = folder.parent / "benchmarks.json"  # one machine's folder: asv keeps it one above
    return path


def suite_in(path: Path) -> dict[str, Any]:
    """What it says of each benchmark.

    Raises:
        StudyError: it is missing, may not be read, or is damaged.
    """
    require_readable(path)
    try:
        found: dict[str, Any] = util.load_json(str(path), Benchmarks.api_version)
    except FileNotFoundError:
        raise StudyError(
            f"{path} is missing, so units of the results are unknown; run asv again, or name the "
            "folder that holds it."
        ) from None
    except OSError as error:
        raise StudyError(f"{path} cannot be read ({error.strerror}); mend its rights.") from error
    except (util.UserError, ValueError, TypeError, RecursionError) as error:
        raise unread(path, error, "is damaged; run asv again to write it anew.") from error
    return found


def require_told(place: Path, suite: dict[str, Any], result: Path, names: Iterable[str]) -> None:
    """That `suite`, which stands in `place`, says what is needed of the benchmarks of a result.

    One that this project has no more is passed over, as is one of another suite.

    Raises:
        StudyError: it says nothing of one, or what cannot be.
    """
    for name in names:
        benchmark, _, method = name.rpartition(".")
        if benchmark.partition(".")[0] not in TOPICS or not method.startswith("track_"):
            continue
        entry = suite.get(name)
        if entry is None:
            if name not in suite and benchmark not in declared():
                continue
            raise StudyError(
                f"{place} says nothing of {name}, of which {result} holds numbers; restore it, or "
                "after a merge of git put the benchmarks of both sides into it."
            )
        if fault := _fault(entry):
            raise StudyError(
                f"{place} is damaged ({fault} of {readable(name)}); restore it, or run asv again "
                "to write it anew."
            )


def _fault(entry: Any) -> str:
    """What cannot be of a benchmark; empty if all can."""
    if not isinstance(entry, dict):
        return "no object is said"
    if not isinstance(entry.get("unit"), str):
        return "the unit is no text, in `unit`,"
    if not isinstance(entry.get("version", ""), str | int | None):
        return "the version is no text, in `version`,"
    names = entry.get("param_names")
    if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
        return "the factors are no list of names, in `param_names`,"
    if odd := [name for name in names if name in COLUMNS or names.count(name) > 1]:
        return f"a factor cannot be named {readable(odd[0])!r}, in `param_names`"
    return ""


def level_of(text: str, name: str) -> Any:
    """The level of a factor of the benchmark `name` that asv writes as `text`.

    Raises:
        ValueError: it is no number and no word, whatever Python makes of it.
    """
    try:
        level = ast.literal_eval(text) if len(text) <= LONGEST_LEVEL else None
    except (MemoryError, RecursionError, SyntaxError, ValueError):
        level = None
    number = isinstance(level, int | float) and abs(level) < math.inf
    if not (number or isinstance(level, str)):
        raise ValueError(f"in params of {name}, {text[:40]!r} is no level of a factor")
    return level


def unread(path: Path, error: Exception, why: str) -> StudyError:
    """`why`, unless its bytes say more, or it is whole and only another version of asv reads it."""
    if isinstance(error, util.UserError) and "format" in str(error):
        why = (
            f"was written by another version of asv than the one here, {asv.__version__}, which "
            "cannot read it; keep it, and install that version to read it."
        )
    return StudyError(f"{path} {spoilt(path, why)}")
