"""What stands in front of a JPEG's scan: its segments, and which way up the picture is meant.

Cameras store a picture as its sensor lay and say in Exif how to turn it. Nothing here turns by
itself, as `PIL.Image.open(...).convert("RGB")` and torchvision's `ImageFolder` do not either; who
wants it asks for `orientation` and `upright`.
"""

from __future__ import annotations

import io
import struct
from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np
from PIL import ExifTags, Image

START, END, SOS, APP1, APP15 = b"\xff\xd8", b"\xff\xd9", 0xDA, 0xE1, 0xEF
FRAMES = {*range(0xC0, 0xD0)} - {0xC4, 0xC8, 0xCC}  # markers of the segment with the size
CMYK = 4  # components
AS_STORED, MOST_ORIENTATION = 1, 8
TURNED_BY_90 = range(5, 9)  # orientations that exchange height and width


class NoJpeg(ValueError):
    """No JPEG, or one whose header is damaged."""


def segments(data: Any) -> Iterator[tuple[int, int, Any]]:
    """(marker, position behind the segment, segment with marker) up to the start of the scan.

    Raises:
        NoJpeg: the data begin with something else, or end before the scan.
    """
    if data[:2] != START:
        raise NoJpeg("no JPEG")
    at = 2
    while at + 4 <= len(data):
        if data[at] != 0xFF:
            raise NoJpeg("damaged header")
        marker = data[at + 1]
        if marker == 0xFF:
            at += 1
            continue
        length = int.from_bytes(data[at + 2 : at + 4], "big")
        yield marker, at + 2 + length, data[at : at + 2 + length]
        at += 2 + length
        if marker == SOS:
            return
    raise NoJpeg("no scan")


class Frame(NamedTuple):
    """Size of a JPEG in pixels, as it is stored, and how many components (colours) it has."""

    height: int
    width: int
    components: int


def frame(jpeg: Any) -> Frame:
    """
    Raises:
        NoJpeg: it is none, or its header is damaged.
    """
    for marker, _, segment in segments(jpeg):
        if marker in FRAMES:
            try:
                return Frame(*struct.unpack_from(">HHB", segment, 5))
            except struct.error:
                break
    raise NoJpeg("damaged header")


def ends_whole(data: bytes) -> bool:
    """Whether this begins and ends as a JPEG does, which costs some microseconds.

    A file that was cut short does not; nor do some that can be decoded, such as one with more
    behind its end.
    """
    try:
        markers = {marker for marker, _, _ in segments(data)}
    except NoJpeg:
        return False
    return bool(markers & FRAMES) and data.endswith(END)


def without_exif(data: Any) -> bytearray:
    """A copy for a decoder that always turns by Exif: its segment under a name nobody reads."""
    copy = bytearray(data)
    for marker, behind, segment in segments(data):
        if marker == APP1:
            copy[behind - len(segment) + 1] = APP15
    return copy


def orientation(data: Any) -> int:
    """Exif's orientation of an encoded picture of any kind, 1 to 8; 1 where it says nothing.

    Also 1 of a TIFF, which Pillow turns by itself.
    """
    try:
        if data[:2] == START and all(marker != APP1 for marker, _, _ in segments(data)):
            return AS_STORED
        with Image.open(io.BytesIO(data)) as picture:
            if picture.format == "TIFF":
                return AS_STORED
            found = picture.getexif().get(ExifTags.Base.Orientation, AS_STORED)
    except Exception:  # a damaged picture: decoding it says what is wrong
        return AS_STORED
    return found if found in range(AS_STORED, MOST_ORIENTATION + 1) else AS_STORED


def orientation_segment(turned: int) -> bytes:
    """A segment that says `turned` and nothing else."""
    exif = Image.Exif()
    exif[ExifTags.Base.Orientation] = turned
    content = exif.tobytes()
    return b"\xff" + bytes([APP1]) + (len(content) + 2).to_bytes(2, "big") + content


def upright(pixels: np.ndarray[Any, Any], turned: int) -> np.ndarray[Any, Any]:
    """`pixels` (height x width x channel) as `PIL.ImageOps.exif_transpose` turns them; a view."""
    if turned in TURNED_BY_90:
        pixels = pixels.swapaxes(0, 1)
    if turned in (3, 4, 7, 8):
        pixels = pixels[::-1]
    return pixels[:, ::-1] if turned in (2, 3, 6, 7) else pixels
