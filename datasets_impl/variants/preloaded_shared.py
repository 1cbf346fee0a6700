"""Preload into one tensor in shared memory from the start (C11, X01).

A sample is a uint8 tensor, height x width x channel, 0-255, a view into the whole. Construction
decodes every file once; memory holds the pixels, in /dev/shm, once for all processes whatever the
start method. /dev/shm must be large enough, which in containers it often is not.
"""

from __future__ import annotations

from pathlib import Path

import torch
from torch.utils.data import Dataset

from datasets_impl.indexing import position
from datasets_impl.system.shared_memory import shared_empty
from datasets_impl.variants.preloaded_array import PreloadedArrayDataset


class PreloadedSharedDataset(Dataset[torch.Tensor]):
    """Pixels of equally shaped images in one shared tensor, count x height x width x channel.

    Raises:
        StudyError: the folder has no JPEG file, or one whose shape differs from the first; or
            /dev/shm has no room for all.
    """

    def __init__(self, root_dir: str | Path) -> None:
        pixels = torch.from_numpy(PreloadedArrayDataset(root_dir).data)
        self.data = shared_empty(tuple(pixels.shape))
        self.data.copy_(pixels)

    def __len__(self) -> int:
        return len(self.data)

    def __getitem__(self, index: int) -> torch.Tensor:
        return self.data[position(index, len(self.data))]
