"""Decode straight into a tensor, with no PIL image and no NumPy array between (C13).

torchvision's decoders are deprecated since 0.29; TorchCodec's take their place. A sample is a uint8
tensor, channel x height x width, 0-255. Construction lists the folder; memory holds the path
strings.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from torch.utils.data import Dataset
from torchvision.io import ImageReadMode, decode_jpeg, read_file

from datasets_impl.decoders import decode_or_pillow, decoder
from datasets_impl.files.pictures import decoded, jpeg_files, unreadable
from datasets_impl.indexing import position


class DecodeImageDataset(Dataset[torch.Tensor]):
    """Read the bytes and decode them with torchvision's libjpeg-turbo."""

    def __init__(self, root_dir: str | Path) -> None:
        self.image_paths = jpeg_files(root_dir)

    def __len__(self) -> int:
        return len(self.image_paths)

    def __getitem__(self, index: int) -> torch.Tensor:
        path = self.image_paths[position(index, len(self))]
        try:
            pixels: torch.Tensor = decode_jpeg(read_file(path), mode=ImageReadMode.RGB)
        except RuntimeError:  # no JPEG, or a damaged one: Pillow reads more, or names it
            return torch.from_numpy(decoded(path)).permute(2, 0, 1).contiguous()
        return pixels


class TorchCodecDataset(DecodeImageDataset):
    """The same by TorchCodec.

    Raises:
        MissingPackage: it is not installed.
    """

    def __init__(self, root_dir: str | Path) -> None:
        super().__init__(root_dir)
        decoder("torchcodec")

    def __getitem__(self, index: int) -> torch.Tensor:
        path = self.image_paths[position(index, len(self))]
        try:
            data = Path(path).read_bytes()
            pixels = decode_or_pillow(decoder("torchcodec").decode, data, None)
        except Exception as error:  # each library has errors of its own
            raise unreadable(path, error) from error
        return torch.from_numpy(np.require(pixels, requirements="W")).permute(2, 0, 1)
