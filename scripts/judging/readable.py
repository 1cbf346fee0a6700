"""Text of files, so that every page can show it."""

from __future__ import annotations

import re
from typing import Any

UNSHOWABLE = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\ud800-\udfff\ufffe\uffff]")


def readable(value: Any) -> Any:
    """Text, or plain values that hold text, with what no page can show written as an escape.

    That is control characters, and lone surrogates from names of files that are no UTF-8.
    """
    if isinstance(value, str):
        return UNSHOWABLE.sub(lambda found: found[0].encode("unicode_escape").decode(), value)
    if isinstance(value, list):
        return [readable(each) for each in value]
    if isinstance(value, dict):
        return {readable(name): readable(each) for name, each in value.items()}
    return value
