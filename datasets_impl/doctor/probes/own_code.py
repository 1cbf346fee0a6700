"""Which code is the user's, and its text."""

from __future__ import annotations

import inspect
import sysconfig
import textwrap
from pathlib import Path
from typing import Any

LIBRARIES = tuple(
    {str(Path(sysconfig.get_path(name)).resolve()) for name in ("stdlib", "purelib", "platlib")}
)
DOCTOR = str(Path(__file__).parents[1])


def is_own(file: str) -> bool:
    """Whether a file is the user's: neither the standard library's nor an installed package's."""
    return not file.startswith(("<", *LIBRARIES)) and "site-packages" not in file


def source_of(thing: Any) -> str:
    """The text of a class or function, "" where it cannot be had."""
    try:
        return textwrap.dedent(inspect.getsource(thing))
    except (OSError, TypeError):
        return ""
