"""Remedies that decode pictures in another way, tried by standing in for `PIL.Image.open`."""

from __future__ import annotations

import io
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from datasets_impl.doctor.probes.pictures import used_size
from datasets_impl.doctor.remedies.remedy import Context, Inapplicable, Patched, Remedy, alike
from datasets_impl.errors import importable

AS_ARRAY = """# in place of np.array(Image.open(path).convert("RGB"))
with open(path, "rb") as file:
    array = simplejpeg.decode_jpeg(file.read(), "RGB")"""
AS_PICTURE = """with open(path, "rb") as file:
    picture = Image.fromarray(simplejpeg.decode_jpeg(file.read(), "RGB"))"""


class Decoded(Image.Image):
    """A picture whose array is there already: it becomes Pillow's own, which copies it, only where
    more is done with it than to turn it into an array or tensor."""

    format = "JPEG"

    def __init__(self, array: np.ndarray[Any, Any], used: list[str]) -> None:
        """`used` is told when it becomes a picture."""
        super().__init__()
        array.flags.writeable = False  # as an array of Pillow's
        self.array, self.used, self.loaded = array, used, False
        self._mode, self._size = "RGB", (array.shape[1], array.shape[0])

    def load(self) -> Any:
        if not self.loaded:
            self.used.append("picture")
            self.im, self.loaded = Image.fromarray(self.array).im, True
        return super().load()

    @property
    def __array_interface__(self) -> dict[str, Any]:
        return super().__array_interface__ if self.loaded else self.array.__array_interface__

    def copy(self) -> Image.Image:
        return super().copy() if self.loaded else Decoded(self.array, self.used)

    def convert(self, mode: str | None = None, *more: Any, **options: Any) -> Image.Image:
        if mode == "RGB" and not more and not options:
            return self.copy()
        return super().convert(mode, *more, **options)


def open_by_simplejpeg(used: list[str]) -> Callable[..., Any]:
    """`PIL.Image.open` that decodes colour JPEG pictures with simplejpeg; others as before.

    `used` is told of every one whose array alone was not enough.
    """
    import simplejpeg

    original = Image.open

    def opened(source: Any, *arguments: Any, **options: Any) -> Any:
        if hasattr(source, "read"):
            data = source.read()
        else:
            with Path(source).open("rb") as file:
                data = file.read()
        try:
            if not simplejpeg.is_jpeg(data):
                raise ValueError("not a JPEG picture")
            return Decoded(simplejpeg.decode_jpeg(data, "RGB"), used)
        except ValueError:
            used.append("another format")
            return original(io.BytesIO(data), *arguments, **options)

    return opened


def another_decoder(at: Context) -> list[Remedy]:
    if not at.decoded or at.decoded[2] != "JPEG" or not importable("simplejpeg"):
        return []
    used: list[str] = []
    if not alike(at, Patched(at.part, partial(open_by_simplejpeg, used))):
        raise Inapplicable(
            "Decoding with simplejpeg was not tried: it gives other samples, or they cannot be "
            "compared"
        )
    return [
        Remedy(
            "simplejpeg",
            "Decode with simplejpeg",
            AS_PICTURE if used else AS_ARRAY,
            Patched(at.part, partial(open_by_simplejpeg, [])),
            at.subject.workers,
            "X07",
            cost="one more package",
            mends=("decoding",),
        )
    ]


def open_drafted(width: int, height: int) -> Callable[..., Any]:
    """`PIL.Image.open` that lets JPEG pictures be decoded at a reduced size, at least this one."""
    original = Image.open

    def opened(*arguments: Any, **options: Any) -> Any:
        picture = original(*arguments, **options)
        if picture.format == "JPEG":
            picture.draft(None, (width, height))
        return picture

    return opened


def reduced_size(at: Context) -> list[Remedy]:
    used = used_size(at.samples[0]) if at.samples else None
    if not at.decoded or at.decoded[2] != "JPEG" or not used:
        return []
    if at.decoded[0] < 2 * used[0] or at.decoded[1] < 2 * used[1]:
        return []
    if not alike(at, Patched(at.part, partial(open_drafted, *used))):
        return []
    return [
        Remedy(
            "reduced-size",
            "Decode at a reduced size",
            f"picture = Image.open(path)\npicture.draft('RGB', ({used[0]}, {used[1]}))",
            Patched(at.part, partial(open_drafted, *used)),
            at.subject.workers,
            "X07",
            mends=("decoded-larger", "decoding", "resizing"),
            caution="pixels differ a little from those that are resized from the whole picture",
        )
    ]
