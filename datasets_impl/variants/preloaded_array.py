"""Preload into one NumPy array (C09, C11, X01).

A sample is a uint8 tensor, height x width x channel, 0-255, that shares its memory with the array.
Construction decodes every file once; memory holds the pixels, in one block. NumPy pickles by value,
so workers that are not forked get a copy each.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from torch.utils.data import Dataset

from datasets_impl.files.pictures import decoded, jpeg_files, require_shape
from datasets_impl.indexing import position


class PreloadedArrayDataset(Dataset[torch.Tensor]):
    """Pixels of equally shaped images in one array, count x height x width x channel.

    Raises:
        StudyError: the folder has no JPEG file, or one whose shape differs from the first.
    """

    def __init__(self, root_dir: str | Path) -> None:
        paths = jpeg_files(root_dir)
        for number, path in enumerate(paths):
            pixels = decoded(path)
            if not number:
                self.data = np.empty((len(paths), *pixels.shape), dtype=np.uint8)
            require_shape(path, pixels.shape, paths[0], self.data.shape[1:])
            self.data[number] = pixels

    def __len__(self) -> int:
        return len(self.data)

    def __getitem__(self, index: int) -> torch.Tensor:
        return torch.from_numpy(self.data[position(index, len(self.data))])
