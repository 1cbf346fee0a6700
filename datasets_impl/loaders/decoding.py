"""How the datasets decode: by the fastest decoder there is, at a reduced scale where that will do,
the right way up where that is asked for, and by Pillow what the decoder refuses."""

from __future__ import annotations

import io
import math
import threading
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from PIL import Image

from datasets_impl.decoders import (
    DECODERS,
    EMPTY,
    FOUR_COLOURS,
    OtherShape,
    Pixels,
    decode_or_pillow,
    decoder,
    default_decoder,
    require_bytes,
)
from datasets_impl.files.jpeg import AS_STORED, CMYK, TURNED_BY_90, frame, orientation, upright
from datasets_impl.files.pictures import reason

SCALED = "simplejpeg"  # the one that decodes at a reduced scale, into memory it is given
FAST_SCALES = (1 / 8, 1 / 4, 1 / 2)
Refused = Callable[[Exception], None]
_local = threading.local()


@dataclass(frozen=True)
class Decoding:
    """
    Args:
        name: of a decoder.
        turn: turn pictures as their Exif says.
        scaled: decode at reduced DCT scale where the size that is needed allows it.
        fast: libjpeg-turbo's fast DCT and plain chroma upsampling.

    The last two need simplejpeg and are without effect where another decoder stands in for it.
    """

    name: str
    turn: bool = False
    scaled: bool = False
    fast: bool = False

    @classmethod
    def by(cls, name: str | None, **options: bool) -> Decoding:
        """
        Raises:
            BadArgument, MissingPackage: no such decoder, or its package is not installed.
        """
        return cls((default_decoder() if name is None else decoder(name)).name, **options)

    @property
    def scales(self) -> bool:
        return self.name == SCALED

    def turned(self, data: Any) -> int:
        """Exif's orientation of the picture where it is to be turned, else 1."""
        return orientation(data) if self.turn else AS_STORED

    def size(self, data: Any) -> tuple[int, int]:
        """Height and width of what `whole` makes of the picture.

        Raises:
            ValueError: it is no picture.
        """
        height, width = image_size(data)
        return (width, height) if self.turned(data) in TURNED_BY_90 else (height, width)

    def whole(self, data: Any, refused: Refused, out: Pixels | None = None) -> Pixels:
        """All of the picture, in `out` where that is given.

        Raises:
            OtherShape: it does not fit `out`.
            ValueError: nothing can decode it; says why.
        """
        turned, decode = self.turned(data), DECODERS[self.name].decode
        if turned == AS_STORED:
            return decode_or_pillow(decode, data, out, refused)
        pixels = upright(decode_or_pillow(decode, data, None, refused), turned)
        if out is None:
            return np.ascontiguousarray(pixels)
        if out.shape != pixels.shape:
            raise OtherShape(pixels.shape, out.shape)
        out[...] = pixels
        return out

    def reduced(self, jpeg: Any, height: int, width: int, need: float) -> Pixels:
        """A JPEG of `height` x `width`, in memory that this thread's next call uses again.

        Args:
            need: the part of its height and width that is needed; 1/8, 1/4 and 1/2 are what
                libjpeg-turbo has fast code for, and 7/8 takes longer than the whole.
        """
        import simplejpeg

        scale = next((each for each in FAST_SCALES if self.scaled and each >= need), 1.0)
        least = (math.ceil(height * scale), math.ceil(width * scale)) if scale < 1 else (0, 0)
        pixels: Pixels = simplejpeg.decode_jpeg(
            jpeg,
            "RGB",
            fastdct=self.fast,
            fastupsample=self.fast,
            min_height=least[0],
            min_width=least[1],
            buffer=_place(3 * height * width),
        )
        return pixels


def jpeg_size(jpeg: Any) -> tuple[int, int]:
    """Height and width of a JPEG as it is stored.

    Raises:
        ValueError: it is none, too short to have that size, or CMYK, which Pillow has to convert.
    """
    height, width, components = frame(jpeg)
    require_bytes(jpeg, height, width)
    if components == CMYK:
        raise ValueError(FOUR_COLOURS)
    return height, width


def image_size(data: Any) -> tuple[int, int]:
    """The same of any picture that Pillow knows.

    Raises:
        ValueError: it is no picture; says why.
    """
    if not len(data):
        raise ValueError(EMPTY)
    try:
        return jpeg_size(data)
    except ValueError:
        pass
    try:
        with Image.open(io.BytesIO(data)) as picture:
            return picture.height, picture.width
    except Exception as error:  # each of Pillow's readers has errors of its own
        raise ValueError(reason(error)) from error


def _place(size: int) -> Pixels:
    """Memory of the calling thread for `size` bytes, which the next call uses again."""
    held: Pixels | None = getattr(_local, "place", None)
    if held is None or held.size < size:
        held = _local.place = np.empty(size, np.uint8)
    return held
