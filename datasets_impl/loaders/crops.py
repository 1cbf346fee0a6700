"""Random crops: which part of an image an epoch sees, decided by seed, epoch and index alone."""

from __future__ import annotations

import hashlib
import math
import struct
from dataclasses import dataclass

SCALE = (0.08, 1.0)
RATIO = (3 / 4, 4 / 3)
TRIES = 10


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
    scale: tuple[float, float] = SCALE,
    ratio: tuple[float, float] = RATIO,
) -> Box:
    """The box of torchvision's `RandomResizedCrop`, and a flip in half the cases.

    The same distribution (a test compares them), drawn so that any process, thread and loader gives
    the same box for an image in an epoch: area uniform in `scale`, aspect ratio uniform on the log
    scale in `ratio`, the whole image cut to the nearest allowed ratio after ten boxes that do not
    fit.
    """
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
        h = min(height, round(width / ratio[0]))
    elif width / height > ratio[1]:
        w = min(width, round(height * ratio[1]))
    return Box((height - h) // 2, (width - w) // 2, h, w, flip)


def random_numbers(name: str) -> tuple[float, ...]:
    """Five independent numbers, uniform in [0, 1), of a name.

    From a hash: making a generator for every image would take longer than drawing from it.
    """
    words = struct.unpack("<5Q", hashlib.blake2b(name.encode(), digest_size=40).digest())
    return tuple((word >> 11) * 2.0**-53 for word in words)
