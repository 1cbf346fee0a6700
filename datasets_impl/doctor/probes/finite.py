"""Samples that hold no number at all: only NaN or infinity, where others hold numbers."""

from __future__ import annotations

from typing import Any

import numpy as np

from datasets_impl.doctor.probes.samples import leaves

LEAST_VALUES = 2  # of a leaf: one NaN alone may say that there is no label
MOST_BYTES = 1 << 26  # of a leaf that is looked at


class Finite:
    """By path, how many samples hold a number there, and which hold none. Some that are missing
    among others are what NaN is for."""

    def __init__(self) -> None:
        self.some: dict[str, int] = {}
        self.none: dict[str, list[Any]] = {}

    def add(self, index: Any, sample: Any) -> None:
        for leaf in leaves(sample):
            array = leaf.array
            if array is None or array.dtype.kind != "f":
                continue
            if not array.size >= LEAST_VALUES or array.nbytes > MOST_BYTES:
                continue
            if np.isfinite(array).any():
                self.some[leaf.path] = self.some.get(leaf.path, 0) + 1
            else:
                self.none.setdefault(leaf.path, []).append(index)

    def answer(self) -> list[dict[str, Any]]:
        """Where most samples hold some, so that it cannot be a field that is not used."""
        return [
            {"path": path, "samples": found, "of": len(found) + self.some.get(path, 0)}
            for path, found in self.none.items() if self.some.get(path, 0) > len(found)
        ]  # fmt: skip
