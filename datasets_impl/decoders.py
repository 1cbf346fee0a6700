"""JPEG decoders in one table: bytes in, height x width x 3 uint8 RGB out (X07).

`decode(data, out)` fills `out` when it is given (an array of the image's own shape) and returns it;
without it the decoder allocates. All release the GIL while they decode. "exact" decoders give the
pixels that Pillow gives; `-fastdct` uses libjpeg-turbo's fast DCT, `-fast` plain chroma upsampling
too, which costs fidelity (a test bounds it). None turns a picture as its Exif says; see
`datasets_impl.files.jpeg`. What a decoder refuses (a PNG under another name, a truncated scan)
`decode_or_pillow` leaves to Pillow, which reads more.

torchvision's decoders are deprecated since 0.29, and TorchCodec's take their place
(https://docs.pytorch.org/vision/0.29/io.html).
"""

from __future__ import annotations

import importlib
import io
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np
import torch
from PIL import Image

from datasets_impl.arguments import one_of
from datasets_impl.errors import MissingPackage, importing, installed
from datasets_impl.files.jpeg import CMYK, frame, without_exif
from datasets_impl.files.pictures import reason, rgb

EXTRA = "loaders"  # what pip installs them by
MOST_PIXELS_PER_BYTE = 1024
EMPTY = "the file is empty"
FOUR_COLOURS = "it is CMYK, which Pillow alone converts as Pillow does"
Pixels = np.ndarray[Any, np.dtype[np.uint8]]
Decode = Callable[[Any, Pixels | None], Pixels]


@dataclass(frozen=True)
class Decoder:
    """`package` is what has to be installed; `exact` says whether pixels equal Pillow's; `note` is
    what else is to be said of it."""

    name: str
    decode: Decode
    package: str
    exact: bool = True
    note: str = ""

    @property
    def available(self) -> bool:
        return installed(self.package)


class OtherShape(ValueError):
    """An image does not fit the place it is decoded to."""

    def __init__(self, shape: tuple[int, ...], place: tuple[int, ...]) -> None:
        super().__init__(f"the image has shape {shape}, its place {place}")
        self.shape, self.place = shape, place


def two_sizes(name: str, first: str, error: OtherShape) -> str:
    """The sentence for two images that one batch cannot hold, of which `first` was there before."""
    (height, width, _), (down, across, _) = error.shape, error.place
    return (
        f"{name} has {width} x {height} pixels and {first} {across} x {down}; images of a batch "
        "need one size (RandomCrops crops them to one)."
    )


def _kept(pixels: Pixels, out: Pixels | None) -> Pixels:
    if out is None:
        return pixels
    if out.shape != pixels.shape:
        raise OtherShape(pixels.shape, out.shape)
    out[...] = pixels
    return out


def _pil(data: Any, out: Pixels | None) -> Pixels:
    if not len(data):
        raise ValueError(EMPTY)
    try:
        with Image.open(io.BytesIO(data)) as picture:
            pixels = np.asarray(rgb(picture))
    except Exception as error:  # each of Pillow's readers has errors of its own for damaged data
        raise ValueError(reason(error)) from error
    return _kept(pixels, out)


def _torchvision(data: Any, out: Pixels | None) -> Pixels:
    from torchvision.io import ImageReadMode, decode_jpeg

    encoded = torch.frombuffer(bytearray(data), dtype=torch.uint8)
    pixels: torch.Tensor = decode_jpeg(encoded, mode=ImageReadMode.RGB)
    # Decoded in this order and handed out as a channel-first view; taken back, nothing is copied.
    return _kept(pixels.permute(1, 2, 0).numpy(), out)


def _torchcodec(data: Any, out: Pixels | None) -> Pixels:
    from torchcodec.decoders import decode_jpeg

    # It always turns a picture as its Exif says, and takes a tensor over memory it may write to.
    encoded = torch.frombuffer(without_exif(data), dtype=torch.uint8)
    pixels: torch.Tensor = decode_jpeg(encoded, mode="RGB")
    return _kept(pixels.permute(1, 2, 0).numpy(), out)  # channels last already: nothing is copied


def _opencv(data: Any, out: Pixels | None) -> Pixels:
    import cv2

    if frame(data).components == CMYK:  # which it converts otherwise than Pillow, as other kinds
        raise ValueError(FOUR_COLOURS)
    flags = cv2.IMREAD_COLOR_RGB | cv2.IMREAD_IGNORE_ORIENTATION  # Pillow does not turn either
    try:
        pixels: Any = cv2.imdecode(np.frombuffer(data, np.uint8), flags)
    except cv2.error as error:
        raise ValueError(f"OpenCV cannot decode the image: {error.err}") from error
    if pixels is None:
        raise ValueError("OpenCV cannot decode the image")
    return _kept(pixels, out)


def require_bytes(data: Any, height: int, width: int) -> None:
    """That a JPEG can have the size it claims: a block of 64 pixels takes a bit at least.

    Raises:
        ValueError: it cannot, and decoding would only fill gigabytes with grey.
    """
    if height * width > MOST_PIXELS_PER_BYTE * len(data):
        raise ValueError(f"{len(data):,} bytes are too few for {width} x {height} pixels")


def _simplejpeg(dct: bool, upsample: bool) -> Decode:
    def decode(data: Any, out: Pixels | None) -> Pixels:
        import simplejpeg

        height, width, colours, _ = simplejpeg.decode_jpeg_header(data)
        if colours in ("CMYK", "YCCK"):
            raise ValueError(FOUR_COLOURS)
        if out is None:
            require_bytes(data, height, width)
        pixels: Pixels = simplejpeg.decode_jpeg(
            data, "RGB", fastdct=dct, fastupsample=upsample, buffer=out
        )
        if out is not None and pixels.shape != out.shape:
            raise OtherShape(pixels.shape, out.shape)
        return pixels

    return decode


_ROWS = (
    Decoder("pil", _pil, "PIL"),
    Decoder("torchvision", _torchvision, "torchvision", note="deprecated there since 0.29"),
    Decoder("torchcodec", _torchcodec, "torchcodec"),
    Decoder("opencv", _opencv, "cv2"),
    Decoder("simplejpeg", _simplejpeg(False, False), "simplejpeg"),
    Decoder("simplejpeg-fastdct", _simplejpeg(True, False), "simplejpeg", exact=False),
    Decoder("simplejpeg-fast", _simplejpeg(True, True), "simplejpeg", exact=False),
)
DECODERS: dict[str, Decoder] = {row.name: row for row in _ROWS}
BY_SPEED = ("simplejpeg", "torchcodec", "opencv", "torchvision", "pil")  # of the exact ones


def decoder(name: str) -> Decoder:
    """Look up `name`.

    Raises:
        BadArgument: no such decoder.
        MissingPackage: its package is not installed, or cannot be imported.
    """
    row = DECODERS[one_of("decoder", name, DECODERS)]
    whose = f"The decoder {name!r}"
    if not row.available:
        others = ", ".join(each.name for each in DECODERS.values() if each.available)
        other = f", or choose another decoder ({others})"
        raise MissingPackage.of(whose, row.package, EXTRA, other)
    with importing(whose, row.package, EXTRA):
        importlib.import_module(row.package)
    return row


def fastest_decoder() -> Decoder:
    """The fastest exact decoder that can be imported.

    Raises:
        MissingPackage: none can be imported.
    """
    for name in BY_SPEED:
        try:
            return decoder(name)
        except MissingPackage as error:
            missing = error
    raise missing


@cache
def default_decoder() -> Decoder:
    """The same; a warning, once, where it is not the first.

    Raises:
        MissingPackage: none can be imported.
    """
    found = fastest_decoder()
    if found.name != BY_SPEED[0]:
        warnings.warn(
            f"{BY_SPEED[0]} cannot be used, and {found.name} decodes in its place, which takes "
            f"longer; pip install '<this folder>[{EXTRA}]'.",
            RuntimeWarning,
            stacklevel=3,
        )
    return found


def decode_or_pillow(
    decode: Decode,
    data: Any,
    out: Pixels | None,
    refused: Callable[[Exception], None] = lambda error: None,
) -> Pixels:
    """Decode with `decode`, or with Pillow what that refuses; `refused` is told its reason then.

    Raises:
        OtherShape: the image does not fit `out`.
        ValueError: Pillow refuses it too; says why.
    """
    try:
        return decode(data, out)
    except OtherShape:
        raise
    except Exception as error:  # each library has errors of its own
        pixels = _pil(data, out)
        refused(error)
        return pixels
