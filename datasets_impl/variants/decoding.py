"""Decode on access with the decoder of one's choice (X07), image by image or batch by batch (X06).

A sample is a uint8 tensor, height x width x channel, 0-255. Construction takes a folder of JPEG
files or any source of encoded images; memory holds its paths or index. `BatchedDecodingDataset` is
asked for whole batches: each image is decoded to its place in the batch, in a worker in memory that
the trainer shares, so collating copies nothing; use it with `as_it_comes` as `collate_fn`.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from torch.utils.data import Dataset

from datasets_impl.arguments import refused
from datasets_impl.decoders import (
    OtherShape,
    Pixels,
    decode_or_pillow,
    decoder,
    two_sizes,
)
from datasets_impl.errors import BadImage, StudyError
from datasets_impl.files.pictures import unreadable
from datasets_impl.formats.restart.jpeg import whole_jpeg
from datasets_impl.indexing import position
from datasets_impl.sources import Source, as_source
from datasets_impl.variants.whole_batches import as_it_comes, empty_batch


class DecodingDataset(Dataset[torch.Tensor]):
    """One image for each index, by the decoder `decode_with`; Pillow reads what it refuses.

    Raises:
        BadArgument, MissingPackage: no such decoder, or its package is not installed.
        BadImage (on access): an image cannot be decoded; names it.
    """

    def __init__(self, source: Source | str | Path, decode_with: str = "simplejpeg") -> None:
        self.source, self.decode_with = as_source(source), decode_with
        decoder(decode_with)

    def __len__(self) -> int:
        return len(self.source)

    @property
    def image_paths(self) -> list[str]:
        """The files read, in index order."""
        return [self.source.name(index) for index in range(len(self))]

    def __getitem__(self, index: int) -> torch.Tensor:
        pixels = self._decoded(index, None)
        # Pillow's array is read-only, and a tensor must not be made of it.
        return torch.from_numpy(pixels if pixels.flags.writeable else np.array(pixels))

    def _decoded(self, index: int, out: Pixels | None) -> Pixels:
        decode, index = decoder(self.decode_with).decode, position(index, len(self))
        try:
            return decode_or_pillow(decode, whole_jpeg(self.source.read(index)), out)
        except (OtherShape, StudyError):  # of the batch, or named already
            raise
        except Exception as error:
            raise unreadable(self.source.name(index), error) from error


class BatchedDecodingDataset(DecodingDataset):
    """
    Raises (on access):
        BadImage: an image differs in size from the first of its batch; names both.
    """

    collate_fn = staticmethod(as_it_comes)

    def __getitems__(self, indices: list[int]) -> torch.Tensor:
        if not indices:
            raise refused("indices", indices, "at least one")
        first = self[indices[0]]
        batch = empty_batch((len(indices), *first.shape))
        batch[0] = first
        for row, index in zip(batch.numpy()[1:], indices[1:], strict=True):
            try:
                self._decoded(index, row)
            except OtherShape as error:
                name = self.source.name
                raise BadImage(two_sizes(name(index), name(indices[0]), error)) from None
        return batch
