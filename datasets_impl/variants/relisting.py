"""The folder listed and sorted again in each item access (C12).

A sample is a uint8 tensor, height x width x channel, 0-255. Construction does nothing; memory
holds the folder's name.
"""

from __future__ import annotations

import os
from pathlib import Path

import torch
from torch.utils.data import Dataset

from datasets_impl.files.paths import user_path
from datasets_impl.files.pictures import JPEG_SUFFIXES, decoded
from datasets_impl.indexing import position


class RelistingDataset(Dataset[torch.Tensor]):
    """Decode on access, and find out anew which file an index means."""

    def __init__(self, root_dir: str | Path) -> None:
        self.root_dir = user_path(root_dir)

    def _names(self) -> list[str]:
        names = os.listdir(self.root_dir)  # noqa: PTH208 - the cheapest way, to charge no more
        return sorted(name for name in names if name.lower().endswith(JPEG_SUFFIXES))

    def __len__(self) -> int:
        return len(self._names())

    def __getitem__(self, index: int) -> torch.Tensor:
        names = self._names()
        path = os.path.join(self.root_dir, names[position(index, len(names))])  # noqa: PTH118
        return torch.from_numpy(decoded(path))
