"""A few samples in place of many: the other side of a differential measurement.

A loader over `Cycled(small, length)` makes batches as large as one over the large dataset does, so
whatever the two differ in is there because of the dataset.
"""

from __future__ import annotations

from typing import Any

from torch.utils.data import Dataset

from datasets_impl.indexing import position


class Cycled(Dataset[Any]):
    """`length` samples that are those of `dataset`, over and over."""

    def __init__(self, dataset: Any, length: int) -> None:
        self.dataset = dataset
        self.length = length

    def __len__(self) -> int:
        return self.length

    def __getitem__(self, index: int) -> Any:
        return self.dataset[position(index, self.length) % len(self.dataset)]
