"""Each image opened twice, the first time only to read its size (C12).

A sample is a uint8 tensor, height x width x channel, 0-255. Construction lists the folder; memory
holds the path strings.
"""

from __future__ import annotations

from pathlib import Path

import torch
from torch.utils.data import Dataset

from datasets_impl.files.pictures import decoded, jpeg_files, opened
from datasets_impl.indexing import position


class ReheaderDataset(Dataset[torch.Tensor]):
    """Decode on access, after asking the file for its size, which the decoded pixels tell too."""

    def __init__(self, root_dir: str | Path) -> None:
        self.image_paths = jpeg_files(root_dir)

    def __len__(self) -> int:
        return len(self.image_paths)

    def __getitem__(self, index: int) -> torch.Tensor:
        path = self.image_paths[position(index, len(self))]
        with opened(path) as header:
            width, height = header.size
        return torch.from_numpy(decoded(path)).view(height, width, 3)
