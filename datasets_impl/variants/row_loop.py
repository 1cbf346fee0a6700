"""Pixels copied row by row in Python instead of all at once (C12).

A sample is a uint8 tensor, height x width x channel, 0-255. Construction lists the folder; memory
holds the path strings.
"""

from __future__ import annotations

from pathlib import Path

import torch
from torch.utils.data import Dataset

from datasets_impl.files.pictures import decoded, jpeg_files
from datasets_impl.indexing import position


class RowLoopDataset(Dataset[torch.Tensor]):
    """Decode on access; a Python loop fills the sample, one row of pixels at a time."""

    def __init__(self, root_dir: str | Path) -> None:
        self.image_paths = jpeg_files(root_dir)

    def __len__(self) -> int:
        return len(self.image_paths)

    def __getitem__(self, index: int) -> torch.Tensor:
        pixels = decoded(self.image_paths[position(index, len(self))])
        sample = torch.empty(pixels.shape, dtype=torch.uint8, device="cpu")
        for row in range(pixels.shape[0]):
            sample[row] = torch.from_numpy(pixels[row])
        return sample
