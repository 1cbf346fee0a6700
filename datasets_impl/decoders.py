"""JPEG decoders in one table: bytes in, height x width x 3 uint8 RGB out (X07).

`decode(data, out)` fills `out` when it is given (an array of the image's own shape) and returns it;
without it the decoder allocates. All release the GIL while they decode. "exact" decoders give the
pixels that Pillow gives; `-fastdct` uses libjpeg-turbo's fast DCT, `-fast` plain chroma upsampling
too, which costs fidelity (a test bounds it).
"""

from __future__ import annotations

import importlib.util
import io
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from PIL import Image

Pixels = np.ndarray[Any, np.dtype[np.uint8]]
Decode = Callable[[Any, Pixels | None], Pixels]


@dataclass(frozen=True)
class Decoder:
    """`package` is what has to be installed; `exact` says whether pixels equal Pillow's."""

    name: str
    decode: Decode
    package: str
    exact: bool = True

    @property
    def available(self) -> bool:
        return importlib.util.find_spec(self.package) is not None


def _unlike(pixels: Pixels, out: Pixels) -> str:
    return (
        f"the image has shape {pixels.shape}, its place {out.shape}; images of a batch need one "
        "size (ThreadedCropsLoader crops them to one)"
    )


def _kept(pixels: Pixels, out: Pixels | None) -> Pixels:
    if out is None:
        return pixels
    if out.shape != pixels.shape:
        raise ValueError(_unlike(pixels, out))
    out[...] = pixels
    return out


def _pil(data: Any, out: Pixels | None) -> Pixels:
    with Image.open(io.BytesIO(data)) as picture:
        return _kept(np.asarray(picture.convert("RGB")), out)


def _torchvision(data: Any, out: Pixels | None) -> Pixels:
    from torchvision.io import ImageReadMode, decode_jpeg

    encoded = torch.frombuffer(bytearray(data), dtype=torch.uint8)
    pixels: torch.Tensor = decode_jpeg(encoded, mode=ImageReadMode.RGB)
    # Decoded in this order and handed out as a channel-first view; taken back, nothing is copied.
    return _kept(pixels.permute(1, 2, 0).numpy(), out)


def _opencv(data: Any, out: Pixels | None) -> Pixels:
    import cv2

    flags = cv2.IMREAD_COLOR_RGB | cv2.IMREAD_IGNORE_ORIENTATION  # Pillow does not turn either
    try:
        pixels: Any = cv2.imdecode(np.frombuffer(data, np.uint8), flags)
    except cv2.error as error:
        raise ValueError(f"OpenCV cannot decode the image: {error.err}") from error
    if pixels is None:
        raise ValueError("OpenCV cannot decode the image")
    return _kept(pixels, out)


def _simplejpeg(dct: bool, upsample: bool) -> Decode:
    def decode(data: Any, out: Pixels | None) -> Pixels:
        import simplejpeg

        pixels: Pixels = simplejpeg.decode_jpeg(
            data, "RGB", fastdct=dct, fastupsample=upsample, buffer=out
        )
        if out is not None and pixels.shape != out.shape:
            raise ValueError(_unlike(pixels, out))
        return pixels

    return decode


_ROWS = (
    Decoder("pil", _pil, "PIL"),
    Decoder("torchvision", _torchvision, "torchvision"),
    Decoder("opencv", _opencv, "cv2"),
    Decoder("simplejpeg", _simplejpeg(False, False), "simplejpeg"),
    Decoder("simplejpeg-fastdct", _simplejpeg(True, False), "simplejpeg", exact=False),
    Decoder("simplejpeg-fast", _simplejpeg(True, True), "simplejpeg", exact=False),
)
DECODERS: dict[str, Decoder] = {row.name: row for row in _ROWS}


def decoder(name: str) -> Decoder:
    """Look up `name`.

    Raises:
        KeyError: no such decoder.
        ModuleNotFoundError: its package is not installed; the message names it.
    """
    row = DECODERS[name]
    if not row.available:
        raise ModuleNotFoundError(f"the decoder {name!r} needs the package {row.package!r}")
    return row
