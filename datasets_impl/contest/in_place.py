"""The images of the three tasks as datasets that write into a batch, for the one loader."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch.utils.data import Dataset

from datasets_impl.contest.model import CROP, Task
from datasets_impl.formats import ensure_stored
from datasets_impl.formats.pack import PackImages
from datasets_impl.loaders.threaded import ThreadedLoader
from datasets_impl.loaders.threaded_crops import ThreadedCropsLoader
from datasets_impl.loaders.threaded_jpeg import ThreadedJpegLoader


class FilledImages(Dataset[torch.Tensor]):
    """What `loader` fills its batches with, image by image; uint8."""

    def __init__(self, loader: ThreadedLoader) -> None:
        self.loader = loader
        self.epoch = 0
        self.shape = loader.image_shape(0)

    def __len__(self) -> int:
        return self.loader.count

    def set_epoch(self, epoch: int) -> None:
        self.epoch = epoch

    def sample_layout(self, index: int) -> torch.Tensor:
        return torch.empty(self.shape, dtype=torch.uint8, device="meta")

    def read_into(self, index: int, into: Any) -> None:
        self.loader.fill(into, index, self.epoch)

    def __getitem__(self, index: int) -> torch.Tensor:
        image = np.empty(self.shape, np.uint8)
        self.read_into(index, image)
        return torch.from_numpy(image)


class Rows(Dataset[torch.Tensor]):
    """Images of a pack of pixels, each a row of a mapped file; uint8, height x width x 3."""

    def __init__(self, pack: PackImages) -> None:
        self.pack = pack
        self.shape = tuple(pack.header.shape)
        self._rows: torch.Tensor | None = None

    def __len__(self) -> int:
        return len(self.pack)

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_rows": None}

    @property
    def rows(self) -> torch.Tensor:
        if self._rows is None:
            file = self.pack.data_file
            size = file.stat().st_size
            mapped = torch.from_file(str(file), size=size, dtype=torch.uint8)
            self._rows = mapped.view(len(self), -1)
        return self._rows

    def sample_layout(self, index: int) -> torch.Tensor:
        return torch.empty(self.shape, dtype=torch.uint8, device="meta")

    def read_into(self, index: int, into: Any) -> None:
        into[...] = self.rows[index].view(self.shape).numpy()

    def read_many_into(self, indices: Sequence[int], into: Any) -> None:
        out = torch.from_numpy(into).view(len(indices), -1)
        torch.index_select(self.rows, 0, torch.tensor(indices), out=out)

    def __getitem__(self, index: int) -> torch.Tensor:
        return self.rows[index].view(self.shape).clone()


def in_place(task: Task, root: Path) -> FilledImages | Rows:
    """The dataset of a task over the photographs in `root`."""
    if task == "raw":
        pack: Any = ensure_stored(root, "pixels", "pack")
        return Rows(pack)
    if task == "train":
        return FilledImages(ThreadedCropsLoader(root, size=CROP))
    return FilledImages(ThreadedJpegLoader(root))
