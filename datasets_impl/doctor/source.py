"""The source of a user's class or function, where there is one."""

from __future__ import annotations

import inspect
import textwrap
from typing import Any


def source_of(thing: Any) -> str:
    """Its text, "" where it cannot be had."""
    try:
        return textwrap.dedent(inspect.getsource(thing))
    except (OSError, TypeError):
        return ""
