"""Example 3 of the post, *mapped*: decode everything into one memory-mapped array on disk.

Serves C07, C16-C19 and X02. A sample is a uint8 tensor, height x width x channel, 0-255, that
shares its memory with the mapping. Construction opens every image twice and writes
`image_data.dat` (count x height x width x 3 bytes) into the image folder; memory holds the paths,
the shapes and whatever part of the file the kernel keeps cached.
"""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from torch.utils.data import Dataset

DATA_FILE = "image_data.dat"


class MemoryMappedDataset(Dataset[torch.Tensor]):
    """Map the decoded pixels of all images, sized after the first one.

    Kept as documented: two passes over the files, each with a full decode; mode `w+`, so each
    construction truncates and rewrites the file, also under another process that maps it; the
    shape of the first image is taken for all, so other shapes raise `ValueError` half-way and
    leave a partial file, and 1-pixel-wide or -high images are silently stretched by broadcasting;
    samples are writable views into the file; pickling copies every pixel, because `np.memmap`
    pickles by value. Nothing had to be mended.
    """

    def __init__(self, root_dir: str | Path) -> None:
        self.root_dir = root_dir
        self.image_paths = [
            os.path.join(root_dir, name)  # noqa: PTH118 - as documented
            for name in os.listdir(root_dir)  # noqa: PTH208 - the arbitrary order is the point
            if name.endswith(".jpg")
        ]
        self.image_shapes = [Image.open(path).convert("RGB").size for path in self.image_paths]
        width, height = self.image_shapes[0]
        self.mmap = np.memmap(
            os.path.join(root_dir, DATA_FILE),  # noqa: PTH118 - as documented
            dtype=np.uint8,
            mode="w+",
            shape=(len(self.image_shapes), height, width, 3),
        )
        for position, path in enumerate(self.image_paths):
            self.mmap[position] = np.array(Image.open(path).convert("RGB"))
        self.mmap.flush()

    def __len__(self) -> int:
        return len(self.image_paths)

    def __getitem__(self, index: int) -> torch.Tensor:
        return torch.from_numpy(self.mmap[index])
