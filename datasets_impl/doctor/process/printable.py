"""Texts of the user's, as they can be shown anywhere."""

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
