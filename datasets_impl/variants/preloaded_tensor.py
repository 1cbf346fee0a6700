"""Preload into one tensor (X01).

A sample is a uint8 tensor, height x width x channel, 0-255, a view into the whole. Construction
decodes every file once; memory holds the pixels, in one block. When a loader starts workers that
are not forked, PyTorch moves the tensor to shared memory and sends a handle, not the pixels.
"""

from __future__ import annotations

from pathlib import Path

import torch
from torch.utils.data import Dataset

from datasets_impl.indexing import position
from datasets_impl.variants.preloaded_array import PreloadedArrayDataset


class PreloadedTensorDataset(Dataset[torch.Tensor]):
    """Pixels of equally shaped images in one tensor, count x height x width x channel.

    Raises:
        StudyError: the folder has no JPEG file, or one whose shape differs from the first.
    """

    def __init__(self, root_dir: str | Path) -> None:
        self.data = torch.from_numpy(PreloadedArrayDataset(root_dir).data)

    def __len__(self) -> int:
        return len(self.data)

    def __getitem__(self, index: int) -> torch.Tensor:
        return self.data[position(index, len(self.data))]
