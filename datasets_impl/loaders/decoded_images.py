"""Pictures as they are, decoded straight into the batch (X06, X07, X08).

Construction lists the folder or opens the stored set; memory holds packed paths, or an index.
"""

from __future__ import annotations

from functools import partial
from typing import Any

import numpy as np

from datasets_impl import arguments
from datasets_impl.decoders import OtherShape, two_sizes
from datasets_impl.errors import BadImage
from datasets_impl.formats.restart.jpeg import whole_jpeg
from datasets_impl.loaders.decoding import Decoding
from datasets_impl.loaders.images import ImageDataset
from datasets_impl.loaders.layout import writes_what_it_makes
from datasets_impl.sources import as_source


class DecodedImages(ImageDataset):
    """Images in their own size; those of a batch need one.

    Args:
        source: a folder of JPEG files with the folders in it, a `LabelledFolder`, torchvision's
            `ImageFolder`, a part of one of the two as `random_split` makes it, a list of paths or
            of (path, target), or a stored set of JPEG bytes.
        targets: see `ImageDataset`.
        decode_with: a name from `datasets_impl.decoders`, by default the fastest that is exact and
            installed. Pillow reads what it refuses, so pictures of other kinds too.
        apply_exif_orientation: turn pictures as their Exif says, whatever decodes them. By default
            they stay as they are stored, as torchvision's `ImageFolder` has them.

    Raises:
        BadArgument, MissingPackage: an argument that cannot be meant, or a decoder whose package is
            not installed.
        BadImage (on access): a picture cannot be decoded, or its size is not that of the batch.
    """

    def __init__(
        self,
        source: Any,
        targets: Any = None,
        *,
        decode_with: str | None = None,
        apply_exif_orientation: bool = False,
    ) -> None:
        super().__init__(as_source(source), targets)
        turn = arguments.flag("apply_exif_orientation", apply_exif_orientation)
        self.decoding = Decoding.by(decode_with, turn=turn)
        self._firsts: dict[tuple[int, int], int] = {}  # an image of each size a batch was made for

    def image_size(self, index: int) -> tuple[int, int]:
        size = self.decoding.size(whole_jpeg(self.source.read(index)))
        self._firsts.setdefault(size, index)
        return size

    def write(self, index: int, row: np.ndarray[Any, Any]) -> None:
        try:
            self._decoded(index, row.transpose(1, 2, 0))
        except OtherShape as error:
            first = self._firsts.get((error.place[0], error.place[1]))
            names = self.name(index), "the batch" if first is None else self.name(first)
            raise BadImage(two_sizes(*names, error)) from None

    def made(self, index: int) -> np.ndarray[Any, Any]:
        if not writes_what_it_makes(self):  # a class that derives from this one writes otherwise
            return super().made(index)
        pixels = self._decoded(index, None)  # Pillow's own is read-only
        return np.require(pixels, requirements="W").transpose(2, 0, 1)

    def _decoded(self, index: int, out: Any) -> np.ndarray[Any, Any]:
        data, refused = self.source.read(index), partial(self.left_to_pillow, index)
        return self.decoding.whole(whole_jpeg(data), refused, out)
