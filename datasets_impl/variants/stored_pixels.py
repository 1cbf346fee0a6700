"""Pixels from a stored set (pack, LMDB, HDF5, Zarr, tar, Arrow), image by image or in batches.

A sample is a uint8 tensor, height x width x channel, 0-255, a copy. Construction opens the stored
set; memory holds its index. With `BatchedStoredDataset` the loader asks for whole batches (use
`as_it_comes` as `collate_fn`): each image is copied once, to its place in the batch.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from torch.utils.data import Dataset

from datasets_impl.arguments import refused
from datasets_impl.errors import StudyError
from datasets_impl.formats import open_stored
from datasets_impl.formats.images import StoredImages
from datasets_impl.variants.whole_batches import as_it_comes, empty_batch


class StoredPixelsDataset(Dataset[torch.Tensor]):
    """
    Args:
        images: a stored set, or its folder.

    Raises:
        BadArgument: it is no stored set.
        StudyError: the set holds JPEG bytes, or is damaged.
    """

    def __init__(self, images: StoredImages | str | Path) -> None:
        if isinstance(images, str | Path):
            images = open_stored(images)
        if not isinstance(images, StoredImages):
            raise refused("images", images, "a stored set (see `ensure_stored`), or its folder")
        if images.header.kind != "pixels":
            raise StudyError(f"{images.folder} holds JPEG bytes; store the pixels instead.")
        self.images, self.shape = images, tuple(images.header.shape)

    def __len__(self) -> int:
        return len(self.images)

    def _pixels(self, index: int) -> np.ndarray:
        return np.frombuffer(self.images.read(index), np.uint8).reshape(self.shape)

    def __getitem__(self, index: int) -> torch.Tensor:
        return torch.from_numpy(self._pixels(index).copy())


class BatchedStoredDataset(StoredPixelsDataset):
    collate_fn = staticmethod(as_it_comes)

    def __getitems__(self, indices: list[int]) -> torch.Tensor:
        batch = empty_batch((len(indices), *self.shape))
        for row, index in zip(batch.numpy(), indices, strict=True):
            row[...] = self._pixels(index)
        return batch
