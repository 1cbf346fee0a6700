"""Arrays of samples that are filled up to a length far above that of what they hold."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from datasets_impl.doctor.probes.samples import leaves, size_of

Array = np.ndarray[Any, Any]

LEAST_BYTES, MOST_BYTES = 1 << 12, 1 << 26  # of a leaf that is looked at
LARGEST = 4  # leaves of a sample that are looked at
SAMPLES, LEAST = 16, 4  # that are looked at, and for which it must hold
DENSE = 0.5  # of what is no padding, that differs from it: a one-hot row is mostly zeros
ENDS = ("end", "start")


@dataclass
class Filled:
    """What all that was seen of one leaf has in common: by axis and end, the most of it that holds
    something."""

    shape: tuple[int, ...]
    nbytes: int
    samples: int = 0
    used: dict[tuple[int, str], int] = field(default_factory=dict)

    def add(self, array: Array) -> None:
        found = {(axis, end): used for axis in range(array.ndim) for end in ENDS
                 if (used := used_of(array, axis, end))}  # fmt: skip
        known = self.used if self.samples else found
        self.samples += 1
        self.used = {key: max(found[key], known[key]) for key in found if key in known}


def used_of(array: Array, axis: int, end: str) -> int:
    """How much along an axis is not only the number at its end (or start) over and over; 0 where
    nothing is, or most of the rest is that number too."""
    rows = np.moveaxis(array, axis, 0)
    rows = (rows if end == "end" else rows[::-1]).reshape(len(rows), -1)
    filler = rows[-1, -1]
    differs = rows != filler
    held = np.flatnonzero(differs.any(1))
    used = int(held[-1]) + 1 if len(held) else 0
    return used if used and differs[:used].mean() >= DENSE else 0


class Padding:
    """The large leaves of some samples, by path."""

    def __init__(self) -> None:
        self.samples = 0
        self.seen: dict[str, Filled] = {}

    def add(self, sample: Any) -> None:
        if self.samples >= SAMPLES:
            return
        self.samples += 1
        found = [(leaf, leaf.array) for leaf in leaves(sample)
                 if LEAST_BYTES <= leaf.nbytes <= MOST_BYTES]  # fmt: skip
        for leaf, array in sorted(found, key=lambda one: -one[0].nbytes)[:LARGEST]:
            if array is None or array.dtype.kind not in "biuf" or not array.size:
                continue
            known = self.seen.setdefault(leaf.path, Filled(array.shape, leaf.nbytes))
            if known.shape == array.shape:
                known.add(array)

    def answer(self) -> list[dict[str, Any]]:
        """Of each leaf that was as large in each sample: the axis along which most is padding, at
        which end, its length, and what the longest sample uses of that."""
        found = []
        for path, one in self.seen.items():
            if one.samples < max(LEAST, self.samples) or not one.used:
                continue
            (axis, end), used = min(one.used.items(), key=lambda each: (
                each[1] / one.shape[each[0][0]], each[0]))  # fmt: skip
            found.append({
                "path": path, "axis": axis, "end": end, "length": one.shape[axis], "used": used,
                "bytes": one.nbytes,
            })  # fmt: skip
        return found


def of_batch(samples: Sequence[Any], batch: Any) -> list[dict[str, Any]]:
    """Leaves of a batch that the collate function has filled up: of each the axis, its length, what
    the longest of the samples has, its bytes and those of the batch."""
    found, size = [], size_of(batch)
    for leaf in leaves(batch):
        array = leaf.array
        if array is None or not LEAST_BYTES <= leaf.nbytes <= MOST_BYTES:
            continue
        for axis, length in list(enumerate(array.shape))[1:] if len(array) == len(samples) else []:
            longest = longest_of(samples, array.shape, axis)
            rest = np.moveaxis(array, axis, 0)[longest:]
            if rest.size and (rest == rest.flat[0]).all():
                found.append({
                    "path": leaf.path, "axis": axis, "length": length, "used": longest,
                    "samples": len(samples), "bytes": leaf.nbytes, "of": size,
                })  # fmt: skip
    return found


def longest_of(samples: Sequence[Any], shape: Sequence[int], axis: int) -> int:
    """Of samples that a batch of that shape is made of; its own length where none fits."""
    own = (leaf.array.shape for one in samples for leaf in leaves(one) if leaf.array is not None)
    fit = (one[axis - 1] for one in own if len(one) == len(shape) - 1
           and (*shape[1:axis], *shape[axis + 1 :]) == (*one[: axis - 1], *one[axis:]))  # fmt: skip
    return int(max(fit, default=shape[axis]))
