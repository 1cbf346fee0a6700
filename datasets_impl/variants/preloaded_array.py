"""Preload into one NumPy array (C09, C11, X01).

A sample is a uint8 tensor, height x width x channel, 0-255, that shares its memory with the array.
Construction decodes every file once; memory holds the pixels, in one block. NumPy pickles by value,
so workers that are not forked get a copy each.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from PIL import Image
from torch.utils.data import Dataset

from datasets_impl.errors import StudyError
from datasets_impl.variants.files import jpeg_files


class PreloadedArrayDataset(Dataset[torch.Tensor]):
    """Pixels of equally shaped images in one array, count x height x width x channel.

    Raises:
        StudyError: the folder has no JPEG file, or one whose shape differs from the first.
    """

    def __init__(self, root_dir: str | Path) -> None:
        paths = jpeg_files(root_dir)
        for position, path in enumerate(paths):
            with Image.open(path) as picture:
                pixels = np.asarray(picture.convert("RGB"))
            if position == 0:
                self.data = np.empty((len(paths), *pixels.shape), dtype=np.uint8)
            if pixels.shape != self.data.shape[1:]:
                raise StudyError(
                    f"{path} is {pixels.shape[1]}x{pixels.shape[0]} pixels and the first image is "
                    f"{self.data.shape[2]}x{self.data.shape[1]}; one array needs one shape: resize "
                    "or crop them first."
                )
            self.data[position] = pixels

    def __len__(self) -> int:
        return len(self.data)

    def __getitem__(self, index: int) -> torch.Tensor:
        return torch.from_numpy(self.data[index])
