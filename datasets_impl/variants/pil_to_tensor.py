"""Example 1 with torchvision's `pil_to_tensor` instead of NumPy (C13).

A sample is a uint8 tensor, channel x height x width, 0-255; its memory is a permuted view.
Construction lists the folder; memory holds the path strings.
"""

from __future__ import annotations

from pathlib import Path

import torch
from torch.utils.data import Dataset
from torchvision.transforms.v2.functional import pil_to_tensor

from datasets_impl.files.pictures import jpeg_files, opened
from datasets_impl.indexing import position


class PilToTensorDataset(Dataset[torch.Tensor]):
    """Decode with PIL, convert with `pil_to_tensor`."""

    def __init__(self, root_dir: str | Path) -> None:
        self.image_paths = jpeg_files(root_dir)

    def __len__(self) -> int:
        return len(self.image_paths)

    def __getitem__(self, index: int) -> torch.Tensor:
        with opened(self.image_paths[position(index, len(self))]) as picture:
            pixels: torch.Tensor = pil_to_tensor(picture.convert("RGB"))
        return pixels
