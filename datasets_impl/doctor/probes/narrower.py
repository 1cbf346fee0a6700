"""Values of samples that fewer bytes would hold: one-hot planes, whole numbers kept as floats."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np

from datasets_impl.doctor.probes.samples import leaves

Array = np.ndarray[Any, Any]

LEAST_BYTES = 1 << 16  # of a leaf that is looked at
PART = 1 << 19  # values of it that are
LARGEST = 4  # leaves of a sample that are looked at
SAMPLES = 4  # that are looked at; one of them alone may be small by chance
LEAST_CLASSES = 4  # planes of what is called one-hot
TYPES = ("bool", "uint8", "int16")  # the smallest first


@dataclass
class Seen:
    """What all that was seen of one leaf has in common."""

    kind: str
    nbytes: int
    samples: int = 0
    whole: bool = True
    low: float = np.inf
    high: float = -np.inf
    axes: set[int] = field(default_factory=set)  # along which exactly one value is 1
    classes: dict[int, int] = field(default_factory=dict)

    def add(self, array: Array) -> None:
        values = _part(array)
        self.samples += 1
        self.whole = self.whole and bool((values == np.rint(values)).all())
        if not self.whole:
            return
        self.low, self.high = min(self.low, values.min()), max(self.high, values.max())
        axes = {axis for axis in range(array.ndim) if self._binary and _one_hot(array, axis)}
        self.axes = axes if self.samples == 1 else self.axes & axes
        self.classes = dict(enumerate(array.shape))

    @property
    def _binary(self) -> bool:
        return self.low >= 0 and self.high <= 1


class Narrower:
    """The large leaves of a few samples, by path."""

    def __init__(self) -> None:
        self.samples = 0
        self.seen: dict[str, Seen] = {}

    def add(self, sample: Any) -> None:
        if self.samples >= SAMPLES:
            return
        self.samples += 1
        found = [one for one in leaves(sample) if one.nbytes >= LEAST_BYTES and _wide(one.array)]
        for leaf in sorted(found, key=lambda one: -one.nbytes)[:LARGEST]:
            assert leaf.array is not None
            self.seen.setdefault(leaf.path, Seen(leaf.kind, leaf.nbytes)).add(leaf.array)

    def answer(self) -> list[dict[str, Any]]:
        """Of each leaf that could be smaller: the type that would do, the planes of one that is
        one-hot, and the bytes that would be left. Nothing of one value alone, which may be there in
        place of others, nor of a single sample."""
        found = []
        for path, one in self.seen.items():
            if not one.whole or one.low >= one.high or not 1 < one.samples == self.samples:
                continue
            axis = min(one.axes, default=-1)
            high = one.classes[axis] - 1 if one.axes else one.high
            to = next((to for to in TYPES if _holds(to, one.low, high)), "")
            count = one.nbytes // _itemsize(one.kind) // (one.classes[axis] if one.axes else 1)
            if to:
                found.append({
                    "path": path, "kind": one.kind, "bytes": one.nbytes, "to": to, "axis": axis,
                    "classes": one.classes.get(axis, 0), "small": count * np.dtype(to).itemsize,
                })  # fmt: skip
        return found


def _wide(array: Array | None) -> bool:
    """Of floats, and of integers of many bytes."""
    return array is not None and array.size > 0 and (
        array.dtype.kind == "f" or (array.dtype.kind in "iu" and array.dtype.itemsize >= 4)
    )  # fmt: skip


def _part(array: Array, whole_axis: int = -1) -> Array:
    """The middle of it, with all there is along one axis."""
    while array.size > PART:
        lengths = [0 if axis == whole_axis else n for axis, n in enumerate(array.shape)]
        longest = int(np.argmax(lengths))
        if lengths[longest] < 2:
            break
        quarter = lengths[longest] // 4
        middle = slice(quarter, quarter + (lengths[longest] + 1) // 2)
        array = array[(slice(None),) * longest + (middle,)]
    return array


def _one_hot(array: Array, axis: int) -> bool:
    if array.shape[axis] < LEAST_CLASSES:
        return False
    values = _part(array, axis)
    return bool(((values == 0) | (values == 1)).all() and (values.sum(axis) == 1).all())


def _holds(to: str, low: float, high: float) -> bool:
    limits = (0, 1) if to == "bool" else (np.iinfo(to).min, np.iinfo(to).max)
    return limits[0] <= low and high <= limits[1]


def _itemsize(kind: str) -> int:
    return int(np.dtype(kind.split()[1]).itemsize)
