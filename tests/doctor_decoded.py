"""Photographs that are decoded whole by other libraries than Pillow. Each takes a folder."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch
from PIL import Image
from torch.utils.data import Dataset
from torchvision import io
from torchvision.io import ImageReadMode, decode_jpeg

COUNT = 8


class Photographs(Dataset[Any]):
    ending, mode, turned = "jpg", "RGB", False

    def __init__(self, folder: Path) -> None:
        self.paths = [str(folder / f"{number}.{self.ending}") for number in range(COUNT)]
        ramp = np.add.outer(np.arange(60), np.arange(0, 160, 2)).astype(np.uint8)
        exif = Image.Exif()
        if self.turned:
            exif[0x0112] = 6
        for number, path in enumerate(self.paths):
            colours = np.stack([ramp + number, ramp[::-1], ramp // 2], axis=2)
            Image.fromarray(colours).convert(self.mode).save(path, quality=90, exif=exif)

    def __len__(self) -> int:
        return COUNT


class ByOpenCV(Photographs):
    def __getitem__(self, index: int) -> Any:
        return torch.from_numpy(cv2.imread(self.paths[index]))  # the costly line


class InColour(Photographs):
    def __getitem__(self, index: int) -> Any:
        return torch.from_numpy(cv2.imread(self.paths[index], cv2.IMREAD_COLOR))  # the costly line


class ByTorchvision(Photographs):
    def __getitem__(self, index: int) -> Any:
        return io.read_image(self.paths[index])  # the costly line


class FromBytes(Photographs):
    def __getitem__(self, index: int) -> Any:
        data = io.read_file(self.paths[index])
        return decode_jpeg(data, mode=ImageReadMode.RGB)  # the costly line


class Turned(Photographs):
    """OpenCV turns these, as their camera asks for."""

    turned = True

    def __getitem__(self, index: int) -> Any:
        return torch.from_numpy(cv2.imread(self.paths[index]))  # the costly line


class Drawings(Photographs):
    ending = "png"

    def __getitem__(self, index: int) -> Any:
        return torch.from_numpy(cv2.imread(self.paths[index]))  # the costly line


class Grey(Photographs):
    """One channel: what each library makes of it."""

    mode = "L"

    def __getitem__(self, index: int) -> Any:
        return io.read_image(self.paths[index])  # the costly line


class AsGrey(Photographs):
    def __getitem__(self, index: int) -> Any:
        read = cv2.imread(self.paths[index], cv2.IMREAD_GRAYSCALE)  # the costly line
        return torch.from_numpy(read)
