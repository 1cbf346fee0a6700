"""What the fields of a log and of a provenance may hold: checked where they are read, so that
whoever reads them, the report and the validation, refuses the same.

Fields that nothing here computes with or shows may hold anything, as may those of later versions.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

from datasets_impl.errors import StudyError

Holds = Callable[[Any], bool]


def _text(value: Any) -> bool:
    return isinstance(value, str)


def _flag(value: Any) -> bool:
    return isinstance(value, bool)


def _number(value: Any) -> bool:
    known = isinstance(value, int | float) and not isinstance(value, bool)
    return known and abs(value) < math.inf


def _whole(value: Any) -> bool:
    return _number(value) and int(value) == value


def _plain(value: Any) -> bool:
    return value is None or isinstance(value, str | bool) or _number(value)


def _read_as_number(value: Any) -> bool:
    """A number, or the text of one, which earlier logs may hold."""
    try:
        return (_text(value) or _number(value)) and math.isfinite(float(value))
    except (OverflowError, ValueError):
        return False


def _or_none(holds: Holds) -> Holds:
    return lambda value: value is None or holds(value)


def _all(holds: Holds, least: int = 0) -> Holds:
    return lambda value: isinstance(value, list) and len(value) >= least and all(map(holds, value))


def _each(holds: Holds) -> Holds:
    return lambda value: isinstance(value, dict) and all(map(holds, value.values()))


PROVENANCE: dict[str, Holds] = {
    **dict.fromkeys(("commit", "profile", "code_hash", "claims_hash"), _text),
    **dict.fromkeys(("dirty", "partial"), _flag),
    "bench": _or_none(_text),
    "machine": _each(_plain),
    "versions": _each(_text),
    "settings": _each(_plain),
    "rounds": _all(lambda value: isinstance(value, dict)),
    "corpora": _all(lambda value: isinstance(value, dict)),
}
MACHINE: dict[str, Holds] = {
    "ram_gb": _or_none(_number),
    "threads": _or_none(_whole),
    "python": _or_none(_text),
    "gil": _or_none(_flag),
}
ROUND: dict[str, Holds] = {"started": _text, "load": _all(_number, least=1)}
CORPUS: dict[str, Holds] = {
    **dict.fromkeys(("label", "quality", "content_hash"), _text),
    **dict.fromkeys(("resolution", "count"), _whole),
    "bytes_per_pixel": _number,
    "skipped": _all(_text),
}
CORPUS_TOO: dict[str, Holds] = {  # not in all of them
    "content": _text,
    "folder": _or_none(_text),
    "total_bytes": _number,
}
RECORD: dict[str, Holds] = {
    "benchmark": _text,
    "factors": _each(_plain),
    "round": lambda value: _read_as_number(value) and float(value).is_integer(),
    "also": _each(_read_as_number),
    "mhz": _or_none(_number),
    **dict.fromkeys(
        ("foreign_cores", "resident_before", "bytes_read", "bytes_of_files", "bytes_per_second"),
        _number,
    ),
    "limit": _or_none(_number),
}


def check_provenance(path: Path, told: Mapping[str, Any]) -> None:
    """Raises `StudyError` if a field holds what it cannot; names it."""
    fault = _fault(told, PROVENANCE) or _fault(told.get("machine", {}), MACHINE, "machine.")
    for name, needed, more in (("rounds", ROUND, {}), ("corpora", CORPUS, CORPUS_TOO)):
        for number, each in enumerate(() if fault else told.get(name, ())):
            where = f"{name}[{number}]."
            fault = fault or _lacks(each, needed, where) or _fault(each, needed | more, where)
    if fault:
        raise _damaged(path, fault)


def check_log(path: Path, records: Iterable[Mapping[str, Any]]) -> None:
    """Raises `StudyError` if a field of a record holds what it cannot; names it."""
    for number, record in enumerate(records, 1):
        fault = _fault(record, RECORD)
        if not fault and "factors" in record:
            fault = _lacks(record, ("benchmark",), "")
        if not fault and not record.get("voided") and "value" in record:
            fault = _fault(record, {"value": _read_as_number})
        if fault:
            raise _damaged(path, f"in record {number}, {fault}")


def _fault(told: Mapping[str, Any], known: Mapping[str, Holds], where: str = "") -> str:
    for name, holds in known.items():
        if name in told and not holds(told[name]):
            return f"`{where}{name}` cannot be {_short(told[name])}"
    return ""


def _lacks(told: Mapping[str, Any], needed: Iterable[str], where: str) -> str:
    return next((f"`{where}{name}` is missing" for name in needed if name not in told), "")


def _short(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 60 else f"{text[:60]}..."


def _damaged(path: Path, fault: str) -> StudyError:
    return StudyError(f"{path} is damaged ({fault}); restore it or run the study again.")
