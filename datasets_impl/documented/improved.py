"""Example 2 of the post, *preloaded*: decode and transform everything while the dataset is built.

Serves C04, C07, C14, C15, C17 and X02. A sample is whatever the transform made of the PIL image;
the study passes `ToUint8`, so it is a uint8 tensor, height x width x channel, 0-255.
Construction decodes every file once; memory holds every sample, width x height x 3 bytes each.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

from PIL import Image
from torch.utils.data import Dataset


class ImprovedDataset(Dataset[Any]):
    """Preload: pay once at construction, then index a list.

    Kept as documented: case-sensitive `.jpg` suffix in `os.listdir` order; the transform runs once
    per image at construction, so a random one is frozen for the life of the dataset; items are the
    stored objects themselves, not copies; without a transform the samples are PIL images, which
    the default collate function refuses. Nothing had to be mended.
    """

    def __init__(
        self, root_dir: str | Path, transform: Callable[[Image.Image], Any] | None = None
    ) -> None:
        self.root_dir = root_dir
        self.transform = transform
        self.image_paths = [
            os.path.join(root_dir, name)  # noqa: PTH118 - as documented
            for name in os.listdir(root_dir)  # noqa: PTH208 - the arbitrary order is the point
            if name.endswith(".jpg")
        ]
        self.data: list[Any] = []
        for path in self.image_paths:
            sample: Any = Image.open(path).convert("RGB")
            if self.transform:
                sample = self.transform(sample)
            self.data.append(sample)

    def __len__(self) -> int:
        return len(self.image_paths)

    def __getitem__(self, index: int) -> Any:
        return self.data[index]
