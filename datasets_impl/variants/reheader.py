"""Each image opened twice, the first time only to read its size (C12).

A sample is a uint8 tensor, height x width x channel, 0-255. Construction lists the folder; memory
holds the path strings.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from PIL import Image
from torch.utils.data import Dataset

from datasets_impl.variants.files import jpeg_files


class ReheaderDataset(Dataset[torch.Tensor]):
    """Decode on access, after asking the file for its size, which the decoded pixels tell too."""

    def __init__(self, root_dir: str | Path) -> None:
        self.image_paths = jpeg_files(root_dir)

    def __len__(self) -> int:
        return len(self.image_paths)

    def __getitem__(self, index: int) -> torch.Tensor:
        path = self.image_paths[index]
        with Image.open(path) as header:
            width, height = header.size
        pixels = np.array(Image.open(path).convert("RGB"))
        return torch.from_numpy(pixels).view(height, width, 3)
