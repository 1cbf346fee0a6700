"""Datasets whose samples are larger than what they say, or are made of far more than they hold; and
healthy ones that look alike. As in `doctor_again`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
import scipy.ndimage
import torch
import torch.nn.functional as F
from PIL import Image
from torchvision.transforms import v2

from tests.doctor_again import Frames

TISSUES = 12
SIDE, TILE = 400, 64  # pixels of a scene, and of what is taken of it


class Drawn(Frames):
    """Each sample of its own, the same each time."""

    def drawn(self, index: int, high: int, *shape: int) -> np.ndarray[Any, Any]:
        return np.random.default_rng(index).integers(0, high, shape)


class Planes(Drawn):
    """A plane for each tissue."""

    def __getitem__(self, index: int) -> Any:
        classes = torch.from_numpy(self.drawn(index, TISSUES, 160, 160))
        return {"scan": torch.zeros(8), "tissue": F.one_hot(classes).permute(2, 0, 1).float()}


class LastAxis(Drawn):
    """The same of NumPy, with the planes along the last axis, in double precision."""

    def __getitem__(self, index: int) -> Any:
        return np.eye(TISSUES)[self.drawn(index, TISSUES, 160, 160)], index


class WholeFloats(Drawn):
    """Pixels as they are in the file, as float32."""

    def __getitem__(self, index: int) -> Any:
        return [torch.from_numpy(self.drawn(index, 256, 3, 400, 400)).float(), index]


@dataclass
class Pair:
    scan: torch.Tensor
    mask: np.ndarray[Any, Any]


class Masks(Drawn):
    """Masks of two kinds, as floats."""

    def __getitem__(self, index: int) -> Any:
        return Pair(torch.zeros(8), self.drawn(index, 2, 600, 600).astype(np.float32))


class LongMaps(Drawn):
    """Numbers of classes in eight bytes each, some of them to be left out."""

    def __getitem__(self, index: int) -> Any:
        return (torch.from_numpy(self.drawn(index, 400, 400, 400) - 1),)


class Normalised(Drawn):
    def __getitem__(self, index: int) -> Any:
        return torch.from_numpy(self.drawn(index, 256, 3, 400, 400) / 255.0 - 0.5).float()


class Embedded(Drawn):
    def __getitem__(self, index: int) -> Any:
        return np.random.default_rng(index).standard_normal((500, 512), np.float32)


class SmallLabels(Drawn):
    """A small one-hot label beside pixels that are bytes."""

    def __getitem__(self, index: int) -> Any:
        label = F.one_hot(torch.tensor(index % 40), 40).float()
        return torch.from_numpy(self.drawn(index, 256, 3, 600, 600).astype(np.uint8)), label


class Blank(Drawn):
    """A place that is filled later."""

    def __getitem__(self, index: int) -> Any:
        return torch.zeros(3, 400, 400)


class OnceWhole(Drawn):
    """The first happens to hold whole numbers."""

    def __getitem__(self, index: int) -> Any:
        return torch.from_numpy(
            self.drawn(index, 256, 3, 400, 400) / (2.0 if index else 1.0)
        ).float()


class Enlarged(Frames):
    """Far more bytes come of a small array than it has."""

    def __getitem__(self, index: int) -> Any:
        return torch.from_numpy(scipy.ndimage.zoom(self.rows[index], 4, order=1))  # the costly line


class InFunctional(Frames):
    """PyTorch makes a tensor of a tensor."""

    def __getitem__(self, index: int) -> Any:
        frame = torch.from_numpy(self.rows[index])[None, None]
        return F.avg_pool2d(frame, 2)  # the costly line


class PlainFiles(Frames):
    """Each array is stored already, as it is."""

    def prepare(self) -> None:
        for index, row in enumerate(self.rows):
            np.save(self.folder / f"{index}.npy", row)

    def __getitem__(self, index: int) -> Any:
        return torch.from_numpy(np.load(self.folder / f"{index}.npy"))  # the costly line


def contrasted(scene: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    return (np.sqrt(scene / 255.0) - 0.5) / 0.25  # the contrast


class Contrast:
    def __call__(self, scene: Any) -> Any:
        return contrasted(scene)


class Turned:
    def __call__(self, scene: Any) -> Any:
        return np.rot90(scene).copy()


class Tile:
    """A part, drawn for each sample."""

    def __call__(self, scene: Any) -> Any:
        y, x = np.random.randint(0, SIDE - TILE, 2)
        return scene[y : y + TILE, x : x + TILE]  # the tile


class Scene(Drawn):
    """A large picture, of which a sample is a tile."""

    steps: Any = ()

    def scene(self, index: int) -> Any:
        return self.drawn(index, 256, SIDE, SIDE, 3).astype(np.uint8)

    def __getitem__(self, index: int) -> Any:
        scene = self.scene(index)
        for step in self.steps:
            scene = step(scene)
        return torch.from_numpy(scene.transpose(2, 0, 1).astype(np.float32))


class TiledLast(Scene):
    """All of the scene goes through what comes first."""

    steps = ()

    def prepare(self) -> None:
        self.steps = [Contrast(), Turned(), Tile()]


class TiledFirst(Scene):
    def prepare(self) -> None:
        self.steps = [Tile(), Contrast(), Turned()]


class InOneFunction(Scene):
    """The same written out, with a copy of the part."""

    def __getitem__(self, index: int) -> Any:
        scene = self.scene(index)
        scene = contrasted(scene)
        part = np.ascontiguousarray(scene[40 : 40 + TILE, 30 : 30 + TILE])  # the copy
        return torch.from_numpy(part)


class Composed(Scene):
    """Transforms of a library, on tensors."""

    def prepare(self) -> None:
        self.transform = v2.Compose(
            [v2.GaussianBlur(9), v2.ToDtype(torch.float32, scale=True), v2.RandomCrop(TILE)]
        )

    def __getitem__(self, index: int) -> Any:
        return self.transform(torch.from_numpy(self.scene(index)).permute(2, 0, 1))  # the library


class DecodedLarge(Scene):
    """Pictures are decoded large and made small at once."""

    def prepare(self) -> None:
        self.transform = v2.Compose([v2.RandomResizedCrop(TILE), v2.PILToTensor()])
        for index in range(8):
            Image.fromarray(self.scene(index)).save(self.folder / f"{index}.png")

    def __getitem__(self, index: int) -> Any:
        return self.transform(Image.open(self.folder / f"{index % 8}.png"))


class Spectra(Drawn):
    """All that is computed on goes into the sample."""

    def __getitem__(self, index: int) -> Any:
        wave = self.drawn(index, 99, 64, 2000) / 99.0
        wave = wave - wave.mean()
        power = np.abs(np.fft.rfft(wave, axis=1)) ** 2
        return torch.from_numpy(power.reshape(64, 77, 13).mean(2))


class Thumbnails(Drawn):
    """Large photographs, of which a small one is made at once."""

    ending = "jpg"

    def prepare(self) -> None:
        ramp = np.add.outer(np.arange(0, 480, 2), np.arange(0, 480, 2))[..., None] % 250
        self.paths = [str(self.folder / f"{number}.{self.ending}") for number in range(8)]
        for number, path in enumerate(self.paths):
            cv2.imwrite(path, (np.repeat(ramp, 3, axis=2) // 2 + number).astype(np.uint8))

    def __getitem__(self, index: int) -> Any:
        picture = cv2.imread(self.paths[index % 8])  # the costly line
        return torch.from_numpy(cv2.resize(picture, (24, 24), interpolation=cv2.INTER_AREA))


class Drawings(Thumbnails):
    """The same in a format that is always decoded whole."""

    ending = "png"

    def __getitem__(self, index: int) -> Any:
        picture = cv2.imread(self.paths[index % 8])  # the costly line
        return torch.from_numpy(cv2.resize(picture, (24, 24), interpolation=cv2.INTER_AREA))
