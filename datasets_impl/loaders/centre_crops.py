"""The usual evaluation input: resize the shorter side, cut out the centre, into the batch.

The pixels are those of torchvision's `v2.Resize(resize, antialias=True)` and `v2.CenterCrop(size)`
on the decoded picture; a test bounds the difference by 1 of 255 on average.
"""

from __future__ import annotations

from functools import partial
from typing import Any

import numpy as np

from datasets_impl import arguments
from datasets_impl.errors import BadArgument
from datasets_impl.files.jpeg import AS_STORED
from datasets_impl.formats.restart.jpeg import whole_jpeg
from datasets_impl.loaders.decoding import Decoding, jpeg_size
from datasets_impl.loaders.images import ImageDataset
from datasets_impl.loaders.resizing import resized
from datasets_impl.sources import as_source

MOST_SIDE = 65_535  # of a JPEG
MOST_PIXELS = 2**27  # of a picture after resizing, 400 MB


class CentreCrops(ImageDataset):
    """The centre of each picture, the same in each epoch.

    Args:
        source, targets: see `DecodedImages`.
        resize: the shorter side after resizing.
        size: side of the square that is cut out of it, at most `resize`.
        scaled: decode at reduced DCT scale where the picture is large enough, which is faster and
            not the same pixels.
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
        resize: int = 256,
        size: int = 224,
        scaled: bool = False,
        apply_exif_orientation: bool = False,
    ) -> None:
        super().__init__(as_source(source), targets)
        self.resize = arguments.positive_int("resize", resize, MOST_SIDE)
        self.size = arguments.positive_int("size", size, MOST_SIDE)
        if self.size > self.resize:
            raise BadArgument(
                f"size is {size:,} and resize {resize:,}, which would leave a border; give a size "
                "of at most resize."
            )
        self.decoding = Decoding.by(
            None,
            turn=arguments.flag("apply_exif_orientation", apply_exif_orientation),
            scaled=arguments.flag("scaled", scaled),
        )

    def image_size(self, index: int) -> tuple[int, int]:
        return self.size, self.size

    def write(self, index: int, row: np.ndarray[Any, Any]) -> None:
        jpeg = whole_jpeg(self.source.read(index))
        pixels = self._reduced(jpeg) if self.decoding.scales else None
        if pixels is None:
            pixels = self.decoding.whole(jpeg, partial(self.left_to_pillow, index))
            pixels = resized(pixels, *self._resized(pixels.shape[0], pixels.shape[1]))
        top, left = (round((side - self.size) / 2.0) for side in pixels.shape[:2])
        row.transpose(1, 2, 0)[...] = pixels[top : top + self.size, left : left + self.size]

    def _resized(self, height: int, width: int) -> tuple[int, int]:
        """Sides after resizing, as torchvision rounds them.

        Raises:
            ValueError: the picture is so narrow that they would take gigabytes.
        """
        long = int(self.resize * max(height, width) / min(height, width))
        if long * self.resize > max(MOST_PIXELS, height * width):
            raise ValueError(
                f"of its {width} x {height} pixels resizing to {self.resize} would make "
                f"{long:,} x {self.resize:,}"
            )
        return (self.resize, long) if height <= width else (long, self.resize)

    def _reduced(self, jpeg: Any) -> np.ndarray[Any, Any] | None:
        """Resized pixels; None where the picture is to be turned, or cannot be decoded so."""
        if self.decoding.turned(jpeg) != AS_STORED:
            return None
        try:
            height, width = jpeg_size(jpeg)
            need = self.resize / min(height, width)
            pixels = self.decoding.reduced(jpeg, height, width, need)
        except Exception:  # no JPEG, a damaged header or scan: decoding the whole says what it is
            return None
        return resized(pixels, *self._resized(height, width))
