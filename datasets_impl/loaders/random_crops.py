"""The usual training input: random resized crop and flip, made in the batch (X08).

Normalising belongs to the trainer, on the device. Each picture is decoded, the box of `random_box`
cut out and resized with antialiasing straight into its row. Of a set with restart markers only the
box's part is decoded. With `scaled` the decoder works at the smallest DCT scale that still has the
output's size inside the box, which is faster and not the same pixels; a test bounds the difference.
"""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from typing import Any

import numpy as np

from datasets_impl import arguments
from datasets_impl.files.jpeg import AS_STORED
from datasets_impl.formats.restart.jpeg import Record
from datasets_impl.loaders.crops import RATIO, SCALE, Box, checked_ranges, random_box
from datasets_impl.loaders.decoding import Decoding, jpeg_size
from datasets_impl.loaders.images import ImageDataset
from datasets_impl.loaders.resizing import write_resized
from datasets_impl.sources import as_source

MOST_SIDE = 65_535  # of a JPEG


class RandomCrops(ImageDataset):
    """A random part of each picture, another one in each epoch.

    Which part is decided by seed, epoch and index alone. `ThreadedLoader` says which epoch it is;
    with a `DataLoader` call `set_epoch` before each, and leave `persistent_workers` out, whose
    workers would not hear of it.

    Args:
        source, targets: see `DecodedImages`.
        size: side of the square output.
        scale, ratio: ranges of the box's area (as a part of the picture's) and aspect ratio, as in
            torchvision's `RandomResizedCrop`.
        seed: of boxes and flips.
        flip: turn half of the boxes left to right.
        scaled: decode at reduced DCT scale where the box is large enough.
        fast: libjpeg-turbo's fast DCT and plain chroma upsampling.
        apply_exif_orientation: see `DecodedImages`.

    Raises:
        BadArgument: an argument that cannot be meant.
        BadImage (on access): a picture cannot be decoded; names it.
    """

    def __init__(
        self,
        source: Any,
        targets: Any = None,
        *,
        size: int = 224,
        scale: tuple[float, float] = SCALE,
        ratio: tuple[float, float] = RATIO,
        seed: int = 0,
        flip: bool = True,
        scaled: bool = False,
        fast: bool = False,
        apply_exif_orientation: bool = False,
    ) -> None:
        super().__init__(as_source(source), targets)
        self.size = arguments.positive_int("size", size, MOST_SIDE)
        self.scale, self.ratio = checked_ranges(scale, ratio)
        self.seed = arguments.seed(seed)
        self.flip = arguments.flag("flip", flip)
        self.decoding = Decoding.by(
            None,
            turn=arguments.flag("apply_exif_orientation", apply_exif_orientation),
            scaled=arguments.flag("scaled", scaled),
            fast=arguments.flag("fast", fast),
        )
        self.epoch = 0

    def set_epoch(self, epoch: int) -> None:
        """Which epoch's boxes are cut out from now on; 0 at first."""
        self.epoch = arguments.whole_number("epoch", epoch, 0)

    def image_size(self, index: int) -> tuple[int, int]:
        return self.size, self.size

    def write(self, index: int, row: np.ndarray[Any, Any]) -> None:
        self.write_crop(index, row, self.epoch)

    def write_crop(self, index: int, row: np.ndarray[Any, Any], epoch: int) -> None:
        """What epoch `epoch` sees of the image, into `row` (3 x size x size). See `write`."""
        record = Record(self.source.read(index))
        made = self._part(record, index, epoch) if self.decoding.scales else None
        if made is None:
            refused = partial(self.left_to_pillow, index)
            pixels = self.decoding.whole(record.jpeg, refused)
            made = pixels, self._box(pixels.shape[0], pixels.shape[1], index, epoch)
        write_resized(made[0], made[1], row)

    def _box(self, height: int, width: int, index: int, epoch: int) -> Box:
        box = random_box(height, width, self.seed, epoch, index, self.scale, self.ratio)
        return box if self.flip else replace(box, flip=False)

    def _part(
        self, record: Record, index: int, epoch: int
    ) -> tuple[np.ndarray[Any, Any], Box] | None:
        """Pixels of the picture or the part that is needed, perhaps made smaller, and the box in
        them; None where it is to be turned, or cannot be decoded so."""
        jpeg: Any = record.jpeg
        if self.decoding.turned(jpeg) != AS_STORED:
            return None
        try:
            height, width = jpeg_size(jpeg)
            box = self._box(height, width, index, epoch)
            if record.has_restarts:
                region = record.region(box.top, box.left, box.height, box.width)
                jpeg, height, width = region.jpeg, region.height, region.width
                box = replace(box, top=region.top, left=region.left)
            need = max(self.size / box.height, self.size / box.width)
            pixels = self.decoding.reduced(jpeg, height, width, need)
        except Exception:  # no JPEG, a damaged header or scan: decoding the whole says what it is
            return None
        return pixels, _scaled(box, pixels.shape[0] / height, pixels.shape[1] / width)


def _scaled(box: Box, down: float, across: float) -> Box:
    if down == across == 1:
        return box
    top, left = round(box.top * down), round(box.left * across)
    height, width = round(box.height * down), round(box.width * across)
    return Box(top, left, max(1, height), max(1, width), box.flip)
