"""Levels of factors as places in a sentence: "at 64 px", "with 2 workers and more"."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from datasets_impl.factors import Factor
from scripts.judging.grid import is_number, order
from scripts.judging.pairing import level
from scripts.report import wording


def _row(factor: str) -> Factor:
    return wording.ROWS.get(factor) or Factor(factor)


def _unlimited(factor: str, value: Any) -> bool:
    """Does the level stand for no limit, so above every number?"""
    return value is not None and value == _row(factor).unlimited


def title(factor: str) -> str:
    """The factor's name."""
    return _row(factor).title or factor.replace("_", " ")


def join(words: Sequence[str], last: str = "and") -> str:
    return words[0] if len(words) == 1 else f"{', '.join(words[:-1])} {last} {words[-1]}"


def at(factor: str, value: Any) -> str:
    """One level: "at 64 px", "with 1 worker", "on disk-cold"."""
    if value is None:
        return f"without a {title(factor)}"
    if _unlimited(factor, value):
        return f"with unlimited {title(factor)}"
    if not is_number(value):
        return _place(factor, _row(factor).words.get(str(value), str(value)))
    if factor == "workers":
        return f"with {_workers(value)}" if value else "without workers"
    return f"at {_amount(factor, value)}"


def upto(factor: str, value: Any, alone: bool) -> str:
    """The level and all below it; `alone` when there is none below."""
    if alone:
        return at(factor, value)
    return f"with up to {_workers(value)}" if factor == "workers" else (
        f"up to {_amount(factor, value)}"
    )  # fmt: skip


def onward(factor: str, value: Any, alone: bool) -> str:
    """The level and all above it; `alone` when there is none above."""
    if factor == "workers" and value:
        return f"with {_workers(value)}" + ("" if alone else " and more")
    if _unlimited(factor, value):
        return at(factor, value)
    return f"from {_amount(factor, value)} on" if not alone else at(factor, value)


def among(factor: str, values: Sequence[Any]) -> str:
    """Several levels: "at 64 and 256 px", "on ramdisk and disk-warm"."""
    ordered = sorted(values, key=lambda value: order(factor, value))
    alike = all(is_number(x) for x in ordered) or all(isinstance(x, str) for x in ordered)
    if len(ordered) == 1 or not alike or any(_unlimited(factor, x) for x in ordered):
        return join([at(factor, value) for value in ordered])
    if isinstance(ordered[0], str):
        return _place(factor, join([_row(factor).words.get(x, x) for x in ordered]))
    if factor == "workers":
        return f"with {join([_number(x) for x in ordered])} workers"
    return f"at {_with_unit(factor, join([_number(x) for x in ordered]))}"


def _number(value: Any) -> str:
    value = level(value)
    return f"{value:,}" if isinstance(value, int) else str(value)


def _amount(factor: str, value: Any) -> str:
    return _with_unit(factor, _number(value))


def _with_unit(factor: str, numbers: str) -> str:
    row = _row(factor)
    leading = row.leading or not row.unit
    return f"{row.unit or title(factor)} {numbers}" if leading else f"{numbers} {row.unit}"


def _place(factor: str, levels: str) -> str:
    return (_row(factor).place or f"at {title(factor)} {{}}").format(levels)


def _workers(value: Any) -> str:
    return f"{_number(value)} worker{'s' if value != 1 else ''}"
