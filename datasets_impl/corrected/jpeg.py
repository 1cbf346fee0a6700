"""The smallest repair of example 1: the same work per item, without its traps.

Beside `InefficientDataset` (C01, C13). A sample is a uint8 tensor, height x width x channel,
0-255. Construction lists the folder; memory holds the path strings.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import torch
from torch.utils.data import Dataset

from datasets_impl import arguments
from datasets_impl.files.pictures import decoded, jpeg_files
from datasets_impl.indexing import position


class JpegDataset(Dataset[torch.Tensor]):
    """Decode on access; sorted order, `.jpeg` and `.JPG` too, file closed at once, plain tensor."""

    def __init__(
        self,
        root_dir: str | Path,
        process: Callable[[torch.Tensor], torch.Tensor] | None = None,
    ) -> None:
        arguments.function("process", process)
        self.process = process
        self.image_paths = jpeg_files(root_dir)

    def __len__(self) -> int:
        return len(self.image_paths)

    def __getitem__(self, index: int) -> torch.Tensor:
        pixels = torch.from_numpy(decoded(self.image_paths[position(index, len(self))]))
        return pixels if self.process is None else self.process(pixels)
