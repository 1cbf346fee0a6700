"""Samples kept as they are given: in mapped files, or in memory that workers share."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch.utils.data import Dataset

from datasets_impl.doctor.probes import clock
from datasets_impl.doctor.probes.samples import Leaf, leaves, signature


class Stored(Dataset[Any]):
    """Samples of fixed shapes in one mapped file each for every leaf, read by index.

    Only samples that are one array, or a tuple, list or dictionary of arrays and numbers.
    """

    def __init__(
        self, samples: Sequence[Any], count: int, folder: Path, in_memory: bool = False
    ) -> None:
        """`samples`, over and over until there are `count`."""
        self.count, self.rows, self.example = count, len(samples), samples[0]
        arrays = [as_array(leaf) for leaf in leaves(self.example)]
        self.stores: list[Any] = []
        for number, array in enumerate(arrays):
            shape = (self.rows, *array.shape)
            if in_memory:
                kind = torch.from_numpy(np.empty(0, array.dtype)).dtype
                self.stores.append(torch.empty(shape, dtype=kind).share_memory_())  # type: ignore[no-untyped-call]
            else:
                path = folder / f"{number}.npy"
                self.stores.append(
                    np.lib.format.open_memmap(path, "w+", dtype=array.dtype, shape=shape)
                )
        begun = clock.perf_counter()
        for row, sample in enumerate(samples):
            for store, leaf in zip(self.stores, leaves(sample), strict=True):
                store[row] = torch.as_tensor(as_array(leaf)) if in_memory else as_array(leaf)
        self.seconds = clock.perf_counter() - begun

    @property
    def nbytes(self) -> int:
        return sum(int(store.nbytes) for store in self.stores)

    def __len__(self) -> int:
        return self.count

    def __getitem__(self, index: int) -> Any:
        values = iter(self.stores)
        return rebuilt(self.example, lambda: next(values)[index % self.rows])


class Transformed(Dataset[Any]):
    """Samples kept as they were before their transform, which is applied to a sample itself or to
    the first of a tuple; over and over until there are `count`."""

    def __init__(self, samples: Sequence[Any], count: int, transform: Any) -> None:
        self.samples, self.count, self.transform = samples, count, transform

    def __len__(self) -> int:
        return self.count

    def __getitem__(self, index: int) -> Any:
        sample = self.samples[index % len(self.samples)]
        kept, *rest = sample if isinstance(sample, tuple) else (sample,)
        given = self.transform(kept.clone() if isinstance(kept, torch.Tensor) else kept.copy())
        return (given, *rest) if isinstance(sample, tuple) else given


def as_array(leaf: Leaf) -> np.ndarray[Any, Any]:
    return np.asarray(leaf.value if leaf.array is None else leaf.array)


def rebuilt(example: Any, value: Callable[[], Any]) -> Any:
    """A sample of the same structure; arrays become what the example has, numbers numbers."""
    if isinstance(example, dict):
        return {key: rebuilt(one, value) for key, one in example.items()}
    if isinstance(example, tuple | list):
        made = [rebuilt(one, value) for one in example]
        if hasattr(example, "_fields"):
            return type(example)(*made)
        return tuple(made) if isinstance(example, tuple) else made
    found = value()
    if isinstance(example, torch.Tensor):
        return (
            found.clone() if isinstance(found, torch.Tensor) else torch.from_numpy(np.array(found))
        )
    if isinstance(example, np.ndarray):
        return np.array(np.asarray(found))
    return type(example)(found.item())


def storable(samples: list[Any]) -> bool:
    """Whether all samples have one signature of arrays and numbers."""
    if not samples or len({signature(sample) for sample in samples}) > 1:
        return False
    return all(
        isinstance(leaf.value, int | float) or (leaf.array is not None and _numeric(leaf.array))
        for leaf in leaves(samples[0])
    ) and _plain_containers(samples[0])


def _numeric(array: np.ndarray[Any, Any]) -> bool:
    return array.dtype.kind in "biufc"


def _plain_containers(sample: Any) -> bool:
    if isinstance(sample, dict):
        return all(map(_plain_containers, sample.values()))
    if isinstance(sample, tuple | list):
        return all(map(_plain_containers, sample))
    return isinstance(sample, torch.Tensor | np.ndarray | int | float)
