"""What lies beside asv's result file: the log of its measurements and where it was measured."""

from __future__ import annotations

import json
import os
from functools import cached_property
from pathlib import Path
from typing import Any

from datasets_impl.errors import StudyError
from datasets_impl.files.records import MOST_BYTES, spoilt, text_of
from scripts.judging.fields import check_log, check_provenance
from scripts.judging.readable import readable


class MachineFiles:
    """The log and the provenance beside a result file; both are absent after a plain `asv run`."""

    def __init__(self, result: Path) -> None:
        stem = result.with_suffix("")
        self.log = stem.with_name(stem.name + ".observations.jsonl")
        told = stem.with_name(stem.name + ".provenance.jsonl")
        provenance = _json_lines(told)
        if not provenance and os.path.lexists(told):  # asv's own run has none; it is not empty
            raise StudyError(f"{told} is empty; restore it or run the study again.")
        self.provenance: dict[str, Any] = provenance[0] if provenance else {}
        check_provenance(told, self.provenance)

    @cached_property
    def observations(self) -> list[dict[str, Any]]:
        records = _json_lines(self.log)
        check_log(self.log, records)
        return records

    def skipped(self) -> dict[tuple[str, tuple[Any, ...]], str]:
        """Reason for each cell that was skipped or void."""
        reasons = {}
        for entry in self.observations:
            reason = entry.get("skipped") or entry.get("failed")
            if not reason:
                continue
            try:
                place = (entry["benchmark"], tuple(sorted(entry["factors"].items())))
            except (AttributeError, KeyError) as error:
                raise StudyError(
                    f"{self.log} is damaged; restore it or run the study again."
                ) from error
            reasons[place] = str(reason)
        return reasons


def require_readable(path: Path) -> None:
    """That a file, where there is one, is none that is waited for, as is a named pipe, and none
    that fills the memory.

    Raises:
        StudyError: it is.
    """
    if path.exists() and not path.is_file():
        raise StudyError(f"{path} is no regular file; restore it or run the study again.")
    if path.exists() and (size := path.stat().st_size) > MOST_BYTES:
        raise StudyError(
            f"{path} has {size:,} bytes, which no file of a study's results has; restore it or "
            "run the study again."
        )


def _refuse(constant: str) -> None:
    """NaN and Infinity are no JSON, and nothing here writes them."""
    raise ValueError(f"{constant} is no number")


def _json_lines(path: Path) -> list[dict[str, Any]]:
    if not os.path.lexists(path):  # of a link that leads nowhere, the file is missed
        return []
    require_readable(path)
    try:
        lines = text_of(path).split("\n")
        entries = [readable(json.loads(line, parse_constant=_refuse)) for line in lines if line]
        if not all(isinstance(entry, dict) for entry in entries):
            raise ValueError("a line is no JSON object")
    except OSError as error:
        raise StudyError(f"{path} cannot be read ({error.strerror}); mend its rights.") from error
    except (ValueError, RecursionError) as error:
        why = spoilt(path, "is damaged; restore it or run the study again.")
        raise StudyError(f"{path} {why}") from error
    return entries
