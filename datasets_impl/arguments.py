"""Arguments checked where they are given: what cannot be meant is refused in one sentence.

Each function returns the value in its plain Python type and raises `BadArgument`, which names the
argument, the value and what would be right. NumPy's and PyTorch's whole numbers count as such,
`True` and `2.0` do not: they are slips more often than they are meant.
"""

from __future__ import annotations

import json
import math
import operator
import re
from collections.abc import Iterable
from typing import Any

from datasets_impl.errors import BadArgument

MOST_SHOWN = 60
ADDRESS = re.compile(r"(\w+://)?[^\s/]+:\d{1,5}(/\S*)?")


def whole_number(
    name: str, value: Any, least: int | None = None, most: int | None = None, hint: str = ""
) -> int:
    """A whole number in a range; `hint` ends the sentence, with what else could be given."""
    number = _as_int(value)
    below = number is None or (least is not None and number < least)
    if number is None or below or (most is not None and number > most):
        raise refused(name, value, f"a whole number{_range(least, most)}{hint}")
    return number


def positive_int(name: str, value: Any, most: int | None = None, hint: str = "") -> int:
    return whole_number(name, value, 1, most, hint)


def seed(value: Any, name: str = "seed") -> int:
    return whole_number(name, value)


def flag(name: str, value: Any) -> bool:
    """True or False and nothing that merely counts as one: the string "False" is true."""
    if not is_bool(value):
        raise refused(name, value, "True or False")
    return bool(value)


def one_of(name: str, value: Any, known: Iterable[str]) -> str:
    names = list(known)
    if not isinstance(value, str) or value not in names:
        raise refused(name, value, f"one of {', '.join(names)}")
    return value


def interval(name: str, value: Any, most: float = math.inf) -> tuple[float, float]:
    """Two numbers above 0, the smaller one first."""
    try:
        low, high = (float(each) for each in value)
    except (TypeError, ValueError):
        low = high = math.nan
    if not (0 < low <= high <= most and high < math.inf):
        limit = "" if most == math.inf else f" and at most {most:g}"
        raise refused(name, value, f"two numbers above 0{limit}, the smaller one first")
    return low, high


def function(name: str, value: Any) -> None:
    """That `value` can be called, or is None."""
    if value is not None and not callable(value):
        raise refused(name, value, "a function, or None")


def scheduler(name: str, value: Any) -> str:
    """The address of a Dask scheduler; of another text Dask makes a client that does not end."""
    if not isinstance(value, str) or not ADDRESS.fullmatch(value):
        raise refused(name, value, "the address of a Dask scheduler, such as tcp://host:8786")
    return value


def storage_options(value: Any, name: str = "storage_options") -> dict[str, Any]:
    """Arguments of fsspec's file systems, by name; None is none."""
    found = {} if value is None else value
    if not isinstance(found, dict) or not all(isinstance(key, str) for key in found):
        raise refused(name, value, "a dictionary, such as {'anon': True}")
    return dict(found)


def json_object(name: str, text: str, example: str) -> dict[str, Any]:
    """What a text of JSON says, by name."""
    why = ""
    try:
        found = json.loads(text)
    except (ValueError, RecursionError) as error:
        found, why = None, f" ({error})" if isinstance(error, json.JSONDecodeError) else ""
    if not isinstance(found, dict):
        raise refused(name, text, f"a JSON object, such as {example}{why}")
    return found


def iterable(name: str, value: Any, right: str) -> None:
    """That `value` can be iterated over, and is no class, text or mapping: those are slips."""
    can = hasattr(value, "__iter__") or hasattr(value, "__getitem__")
    if not can or isinstance(value, type | str | bytes | dict):
        raise refused(name, value, right)


def refused(name: str, value: Any, right: str) -> BadArgument:
    """The error for an argument, to be raised by whoever found it wrong."""
    shown = " ".join(repr(value).split())
    if len(shown) > MOST_SHOWN:
        shown = f"{shown[:MOST_SHOWN]}…"
    return BadArgument(f"{name} is {shown}; give {right}.")


def is_bool(value: Any) -> bool:
    """Also NumPy's and PyTorch's single ones."""
    of_array = "bool" in str(getattr(value, "dtype", "")) and getattr(value, "ndim", 1) == 0
    return isinstance(value, bool) or of_array


def _as_int(value: Any) -> int | None:
    if is_bool(value):
        return None
    try:
        return operator.index(value)
    except (TypeError, ValueError, RuntimeError):
        return None


def _range(least: int | None, most: int | None) -> str:
    if least is not None and most is not None:
        return f" from {least:,} to {most:,}"
    if least is not None:
        return f" of at least {least:,}"
    return "" if most is None else f" of at most {most:,}"
