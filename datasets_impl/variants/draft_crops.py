"""Pillow's draft mode for random crops: decode no larger than the crop needs (C20, X08).

A sample is a uint8 tensor, 3 x size x size, 0-255. Draft mode has the decoder work at 1/2, 1/4 or
1/8 of the image's size (its DCT scales), which Pillow can do while nothing of the image was
decoded; so the crop is drawn first. Not the pixels of a full decode: a test bounds the difference.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from PIL import Image
from torch.utils.data import Dataset
from torchvision.transforms import RandomResizedCrop

from datasets_impl import arguments
from datasets_impl.files.pictures import jpeg_files, opened, rgb
from datasets_impl.indexing import position
from datasets_impl.loaders.crops import RATIO, SCALE, checked_ranges

SCALES = (8, 4, 2, 1)
MOST_SIDE = 65_535  # of a JPEG


class DraftCropsDataset(Dataset[torch.Tensor]):
    """Random resized crops of the JPEG files of a folder, half of them turned left to right."""

    def __init__(
        self,
        root_dir: str | Path,
        size: int = 224,
        scale: tuple[float, float] = SCALE,
        ratio: tuple[float, float] = RATIO,
    ) -> None:
        self.image_paths = jpeg_files(root_dir)
        self.size = arguments.positive_int("size", size, MOST_SIDE)
        self.scale, self.ratio = checked_ranges(scale, ratio)

    def __len__(self) -> int:
        return len(self.image_paths)

    def __getitem__(self, index: int) -> torch.Tensor:
        with opened(self.image_paths[position(index, len(self))]) as picture:
            top, left, height, width = RandomResizedCrop.get_params(
                picture, list(self.scale), list(self.ratio)
            )
            whole = picture.size
            reduced = next((s for s in SCALES if min(height, width) >= s * self.size), 1)
            picture.draft("RGB", (whole[0] // reduced, whole[1] // reduced))
            # What the decoder made of it is rounded up to whole pixels.
            across, down = (made / asked for made, asked in zip(picture.size, whole, strict=True))
            box = (left * across, top * down, (left + width) * across, (top + height) * down)
            made = rgb(picture).resize((self.size, self.size), Image.Resampling.BILINEAR, box=box)
        pixels = torch.from_numpy(np.array(made)).permute(2, 0, 1)
        return pixels.flip(-1) if torch.rand((), device="cpu") < 0.5 else pixels.contiguous()
