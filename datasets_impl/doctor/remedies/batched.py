"""Batches: samples, still read one by one, written to their place; transforms of whole batches."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import torch
from torch.utils.data import Dataset

from datasets_impl.doctor.probes.samples import Leaf, leaves
from datasets_impl.doctor.remedies.stored import as_array


class Together(Dataset[Any]):
    """Batches of samples that hold arrays and numbers, in the structure that a sample has."""

    def __init__(self, inner: Dataset[Any]) -> None:
        self.inner = inner

    def __len__(self) -> int:
        return len(self.inner)  # type: ignore[arg-type]

    def __getitems__(self, indices: list[int]) -> Any:
        sample = self.inner[indices[0]]
        first = [_tensor(leaf) for leaf in leaves(sample)]
        batches = [torch.empty((len(indices), *one.shape), dtype=one.dtype) for one in first]
        _write(first, batches, 0)
        for place, index in enumerate(indices[1:], start=1):
            _write([_tensor(leaf) for leaf in leaves(self.inner[index])], batches, place)
        return _in_place_of(sample, iter(batches))


def _write(sample: list[torch.Tensor], batches: list[torch.Tensor], place: int) -> None:
    for one, batch in zip(sample, batches, strict=True):
        batch[place] = one


def _tensor(leaf: Leaf) -> torch.Tensor:
    if isinstance(leaf.value, torch.Tensor):
        return leaf.value
    if isinstance(leaf.value, float):  # as PyTorch's collate function has it
        return torch.tensor(leaf.value, dtype=torch.float64)
    return torch.as_tensor(as_array(leaf))


def _in_place_of(sample: Any, batches: Iterator[torch.Tensor]) -> Any:
    """As PyTorch's collate function would give it."""
    if isinstance(sample, dict):
        return {name: _in_place_of(one, batches) for name, one in sample.items()}
    if isinstance(sample, tuple) and hasattr(sample, "_fields"):
        return type(sample)(*(_in_place_of(one, batches) for one in sample))
    if isinstance(sample, tuple | list):
        return [_in_place_of(one, batches) for one in sample]
    return next(batches)


def as_it_comes(batch: Any) -> Any:
    return batch


class OnBatch:
    """A collate function that applies a transform to the collated pictures."""

    def __init__(self, collate: Any, transform: Any) -> None:
        self.collate, self.transform = collate, transform

    def __call__(self, samples: list[Any]) -> Any:
        batch = self.collate(samples)
        if isinstance(batch, torch.Tensor):
            return self.transform(batch)
        return type(batch)([self.transform(batch[0]), *batch[1:]])
