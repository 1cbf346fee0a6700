"""Decode straight into a tensor, with no PIL image and no NumPy array between (C13).

A sample is a uint8 tensor, channel x height x width, 0-255. Construction lists the folder; memory
holds the path strings.
"""

from __future__ import annotations

from pathlib import Path

import torch
from torch.utils.data import Dataset
from torchvision.io import ImageReadMode, decode_jpeg, read_file

from datasets_impl.files.pictures import decoded, jpeg_files
from datasets_impl.indexing import position


class DecodeImageDataset(Dataset[torch.Tensor]):
    """Read the bytes and decode them with torchvision's libjpeg-turbo."""

    def __init__(self, root_dir: str | Path) -> None:
        self.image_paths = jpeg_files(root_dir)

    def __len__(self) -> int:
        return len(self.image_paths)

    def __getitem__(self, index: int) -> torch.Tensor:
        path = self.image_paths[position(index, len(self))]
        try:
            pixels: torch.Tensor = decode_jpeg(read_file(path), mode=ImageReadMode.RGB)
        except RuntimeError:  # no JPEG, or a damaged one: Pillow reads more, or names it
            return torch.from_numpy(decoded(path)).permute(2, 0, 1).contiguous()
        return pixels
