"""Quantities as the terminal and the page write them."""

from __future__ import annotations

import unicodedata
from typing import Any

LONGEST = 600  # characters of a text of the user's
KEPT = "\n"  # of what is not printed
ESCAPED = ("Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp")  # kinds of characters that show nothing


def shown(text: str, longest: int = LONGEST) -> str:
    """A user's text as it can be shown anywhere: half characters, bytes that steer a terminal and
    what turns the direction of writing are escaped, and of a long text the ends are kept."""
    if len(text) > longest:
        text = f"{text[: longest // 2]} … {text[-longest // 2 :]}"
    if text.isascii() and text.isprintable():
        return text
    return "".join(
        one if one in KEPT or unicodedata.category(one) not in ESCAPED
        else ascii(one)[1:-1]
        for one in text
    )  # fmt: skip


def shown_in(value: Any, longest: int = LONGEST) -> Any:
    """The same of every text in what was read from JSON."""
    if isinstance(value, str):
        return shown(value, longest)
    if isinstance(value, dict):
        return {shown(str(name)): shown_in(one, longest) for name, one in value.items()}
    return [shown_in(one, longest) for one in value] if isinstance(value, list) else value


def amount(us: float) -> str:
    """Microseconds in the unit that suits them."""
    if us < 100:
        return f"{us:.1f} us"
    if us < 1000:
        return f"{us:,.0f} us"
    return f"{us / 1e3:,.2f} ms" if us < 1e6 else f"{us / 1e6:,.2f} s"


def times_as(times: float, digits: int = 1) -> str:
    """A factor without figures that mean nothing."""
    return f"{times:,.0f}" if times >= 100 else f"{times:.{1 if times >= 10 else digits}f}"


def between(low: float | None, high: float | None, dash: str) -> str:
    """An interval in brackets, "" where there is none."""
    if low is None or high is None:
        return ""
    return f"[{times_as(low, 2)}{dash}{times_as(high, 2)}]"
