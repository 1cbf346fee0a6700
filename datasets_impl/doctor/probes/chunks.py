"""Arrays in files: what is read of one for what is taken of it."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from datasets_impl.doctor.probes.epochs import attribute
from datasets_impl.doctor.probes.parquet import KIND, rows_of
from datasets_impl.doctor.probes.standing import identity_of


def chunk_of(container: Any, selection: Any, result: Any) -> dict[str, Any]:
    """Shape of a chunk, how many a selection touches and their bytes; of a Parquet file the
    rows of a row group; {} of what has none."""
    if type(container).__name__ == KIND:
        return rows_of(container, selection)
    shape = attribute(container, "shape")
    if shape is None or isinstance(selection, str):
        return {}
    if listed := len(list_in(selection)):
        return {"listed": listed}
    packed = identity_of(container).endswith((".gz", ".bz2"))
    chunk = tuple(shape) if packed else attribute(container, "chunks")
    if not chunk:
        return {}
    starts = selected(selection, tuple(shape))
    touched = math.prod(
        (stop - 1) // each - start // each + 1
        for (start, stop), each in zip(starts, chunk, strict=True)
    )
    size = math.prod(chunk) * container.dtype.itemsize
    return {
        "shape": list(shape),
        "chunk": list(chunk),
        "bytes": touched * size,
        "count": touched,
        "taken": [stop - start for start, stop in starts],
        "dtype": str(container.dtype),
        "compression": attribute(container, "compression"),
    }


def list_in(selection: Any) -> Any:
    """The list or array of numbers that a selection holds; an empty one of what holds none."""
    for one in selection if isinstance(selection, tuple) else (selection,):
        if isinstance(one, list) or (isinstance(one, np.ndarray) and one.dtype.kind in "iu"):
            return one
    return []


def selected(selection: Any, shape: tuple[int, ...]) -> list[tuple[int, int]]:
    """From where to where along each axis.

    Raises:
        TypeError: it is made of more than numbers and slices.
    """
    given = list(selection) if isinstance(selection, tuple) else [selection]
    if ... in given:
        at = given.index(...)
        given[at : at + 1] = [slice(None)] * (len(shape) - len(given) + 1)
    given += [slice(None)] * (len(shape) - len(given))
    found = []
    for one, length in zip(given, shape, strict=True):
        if isinstance(one, slice):
            steps = range(*one.indices(length))
            found.append((min(steps[0], steps[-1]), max(steps[0], steps[-1]) + 1))
        else:
            start = int(one) % length
            found.append((start, start + 1))
    return found
