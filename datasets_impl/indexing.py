"""Indices as lists take them: -1 is the last, what is beyond the end is named, slices are refused.

One rule for every dataset and stored set here, so that a sampler's slip ends in one sentence.
"""

from __future__ import annotations

import operator
from typing import Any

from datasets_impl.arguments import is_bool, refused
from datasets_impl.errors import StudyError


class NoSuchItem(StudyError, IndexError):
    """An index beyond the end; an `IndexError`, so that iterating by index ends there."""


def position(index: Any, count: int, what: str = "the dataset") -> int:
    """`index` counted from 0.

    Raises:
        NoSuchItem: there are fewer items.
        BadArgument: it is no whole number.
    """
    try:
        if type(index) is not int and is_bool(index):
            raise TypeError  # of a mask: as numbers it would be items 0 and 1, over and over
        found = operator.index(index)
    except (TypeError, ValueError, RuntimeError):
        raise refused("index", index, "a whole number; slices and lists are not taken") from None
    if -count <= found < count:
        return found + count if found < 0 else found
    there = f"only {count:,} (0 to {count - 1:,})" if count else "none"
    raise NoSuchItem(f"There is no item {found:,} in {what}; it has {there}.")
