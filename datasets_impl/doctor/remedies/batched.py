"""Whole batches: samples written to their place at once, and a transform that takes a batch."""

from __future__ import annotations

from typing import Any

import torch
from torch.utils.data import Dataset

from datasets_impl.doctor.probes.samples import leaves
from datasets_impl.doctor.remedies.stored import as_array


class Together(Dataset[Any]):
    """Batches of samples that hold one array each, in the structure that a sample has."""

    def __init__(self, inner: Dataset[Any]) -> None:
        self.inner = inner

    def __len__(self) -> int:
        return len(self.inner)  # type: ignore[arg-type]

    def __getitems__(self, indices: list[int]) -> Any:
        sample = self.inner[indices[0]]
        first = _only_array(sample)
        batch = torch.empty((len(indices), *first.shape), dtype=first.dtype)
        batch[0] = first
        for place, index in enumerate(indices[1:], start=1):
            batch[place] = _only_array(self.inner[index])
        return _in_place_of(sample, batch)


def _only_array(sample: Any) -> torch.Tensor:
    (leaf,) = leaves(sample)
    return leaf.value if isinstance(leaf.value, torch.Tensor) else torch.as_tensor(as_array(leaf))


def _in_place_of(sample: Any, batch: torch.Tensor) -> Any:
    """As PyTorch's collate function would give it."""
    if isinstance(sample, dict):
        return {name: _in_place_of(one, batch) for name, one in sample.items()}
    if isinstance(sample, tuple | list):
        return [_in_place_of(one, batch) for one in sample]
    return batch


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
