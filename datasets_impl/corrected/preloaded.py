"""The smallest repair of example 2: keep the pixels, transform on access.

Beside `ImprovedDataset` (C15, X02). A sample is a uint8 tensor, height x width x channel, 0-255
(or what the transform returns). Construction decodes every file once; memory holds the pixels.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import torch
from torch.utils.data import Dataset

from datasets_impl import arguments
from datasets_impl.files.pictures import decoded, jpeg_files
from datasets_impl.indexing import position


class PreloadedDataset(Dataset[torch.Tensor]):
    """Decode once; a random transform stays random, and a caller cannot change what is stored."""

    def __init__(
        self,
        root_dir: str | Path,
        transform: Callable[[torch.Tensor], torch.Tensor] | None = None,
    ) -> None:
        arguments.function("transform", transform)
        self.transform = transform
        self.data: list[torch.Tensor] = []
        for path in jpeg_files(root_dir):
            self.data.append(torch.from_numpy(decoded(path)))

    def __len__(self) -> int:
        return len(self.data)

    def __getitem__(self, index: int) -> torch.Tensor:
        # A copy, because collate copies a batch but a caller without batching gets the item itself.
        sample = self.data[position(index, len(self.data))].clone()
        return sample if self.transform is None else self.transform(sample)
