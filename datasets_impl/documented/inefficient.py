"""Example 1 of the post, *naive*: open and decode the JPEG each time an item is asked for.

Serves C01-C05, C08, C13 and C20. A sample is a 1-tuple holding a uint8 tensor, height x width x
channel, 0-255. Construction lists the folder and opens nothing; memory holds the path strings.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from torch.utils.data import Dataset


class InefficientDataset(Dataset[tuple[torch.Tensor]]):
    """Decode on every access.

    Kept as documented: files are chosen by a case-sensitive `.jpg` suffix in `os.listdir` order,
    the file is left for the garbage collector to close, the sample is a tuple.
    Mended: the printed example never imports NumPy and fails on its first item; here it is
    imported. `process` stands in the place the example marks for further work on the tensor; the
    example itself has none there, which is the default.
    """

    def __init__(
        self,
        root_dir: str | Path,
        process: Callable[[torch.Tensor], torch.Tensor] | None = None,
    ) -> None:
        self.root_dir = root_dir
        self.process = process
        self.image_paths = [
            os.path.join(root_dir, name)  # noqa: PTH118 - as documented
            for name in os.listdir(root_dir)  # noqa: PTH208 - the arbitrary order is the point
            if name.endswith(".jpg")
        ]

    def __len__(self) -> int:
        return len(self.image_paths)

    def __getitem__(self, index: int) -> tuple[torch.Tensor]:
        picture = Image.open(self.image_paths[index]).convert("RGB")
        pixels = torch.from_numpy(np.array(picture))
        if self.process is not None:
            pixels = self.process(pixels)
        return (pixels,)
