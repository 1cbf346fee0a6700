"""A list of indices into an array in a file: the slice that holds them, indexed in memory."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from datasets_impl.doctor.findings.again import of_lists
from datasets_impl.doctor.probes.chunks import list_in
from datasets_impl.doctor.probes.standing import for_users
from datasets_impl.doctor.remedies.remedy import Context, Instead, Remedy, unharmed

LINES = """first = min(wanted)
part = array[first : max(wanted) + 1]  # one slice
part[np.asarray(wanted) - first]"""


def sliced_first(at: Context) -> list[Remedy]:
    """Where a file's library goes through the list one by one."""
    call = next(of_lists(at.seen), None)
    callee = at.callees.get(call["name"]) if call else None
    if callee is None:
        return []
    made = Instead(at.part, [(callee, for_users(callee, _slicing(callee.function)))])
    if not unharmed(at, made):
        return []
    return [
        Remedy(
            "sliced-first",
            "Read the slice that holds them, and index that in NumPy",
            LINES,
            made,
            at.subject.workers,
            mends=("index-list", "reading"),
        )
    ]


def _slicing(original: Callable[..., Any]) -> Callable[..., Any]:
    def read(array: Any, selection: Any, *more: Any) -> Any:
        wanted = np.asarray(list_in(selection))
        given = selection if isinstance(selection, tuple) else (selection,)
        if more or not wanted.size or len(given) > 1 or wanted.min() < 0:
            return original(array, selection, *more)
        first = int(wanted.min())
        return original(array, slice(first, int(wanted.max()) + 1))[wanted - first]

    return read
