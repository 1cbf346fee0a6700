"""Random crops: which part of an image an epoch sees, decided by seed, epoch and index alone."""

from __future__ import annotations

import functools
import hashlib
import math
import struct
from dataclasses import dataclass

from datasets_impl import arguments

SCALE = (0.08, 1.0)
RATIO = (3 / 4, 4 / 3)
TRIES = 10
MOST_RATIO = 65_535  # of the sides of a JPEG
Range = tuple[float, float]


@dataclass(frozen=True)
class Box:
    """Part of an image in pixels, and whether it is turned left to right afterwards."""

    top: int
    left: int
    height: int
    width: int
    flip: bool


def random_box(
    height: int,
    width: int,
    seed: int,
    epoch: int,
    index: int,
    scale: Range = SCALE,
    ratio: Range = RATIO,
) -> Box:
    """The box of torchvision's `RandomResizedCrop`, and a flip in half the cases.

    The same distribution (a test compares them), drawn so that any process, thread and loader gives
    the same box for an image in an epoch: area uniform in `scale`, aspect ratio uniform on the log
    scale in `ratio`, the whole image cut to the nearest allowed ratio after ten boxes that do not
    fit.

    Raises:
        BadArgument: an image without a pixel, or a range that is none.
    """
    if height < 1 or width < 1:
        raise arguments.refused("the image's size", (height, width), "at least one pixel each way")
    scale, ratio = _ranges(tuple(scale), tuple(ratio))
    low, high = math.log(ratio[0]), math.log(ratio[1])
    for attempt in range(TRIES):
        area, aspect, down, across, turn = random_numbers(f"{seed} {epoch} {index} {attempt}")
        area = height * width * (scale[0] + area * (scale[1] - scale[0]))
        aspect = math.exp(low + aspect * (high - low))
        w, h = round(math.sqrt(area * aspect)), round(math.sqrt(area / aspect))
        if 0 < w <= width and 0 < h <= height:
            top, left = int(down * (height - h + 1)), int(across * (width - w + 1))
            return Box(top, left, h, w, turn < 0.5)
    flip = turn < 0.5
    h, w = height, width
    if width / height < ratio[0]:
        h = max(1, min(height, round(width / ratio[0])))
    elif width / height > ratio[1]:
        w = max(1, min(width, round(height * ratio[1])))
    return Box((height - h) // 2, (width - w) // 2, h, w, flip)


def checked_ranges(scale: Range, ratio: Range) -> tuple[Range, Range]:
    """
    Raises:
        BadArgument: one of them is no range of positive numbers, or an area above the image's.
    """
    low, high = arguments.interval("ratio", ratio)
    if low < 1 / MOST_RATIO or high > MOST_RATIO:
        raise arguments.refused("ratio", ratio, f"numbers from 1/{MOST_RATIO:,} to {MOST_RATIO:,}")
    return arguments.interval("scale", scale, 1.0), (low, high)


_ranges = functools.lru_cache(maxsize=16)(checked_ranges)  # asked for every image


def random_numbers(name: str) -> tuple[float, ...]:
    """Five independent numbers, uniform in [0, 1), of a name.

    From a hash: making a generator for every image would take longer than drawing from it.
    """
    words = struct.unpack("<5Q", hashlib.blake2b(name.encode(), digest_size=40).digest())
    return tuple((word >> 11) * 2.0**-53 for word in words)
