"""Random crops: which part of an image an epoch sees, decided by seed, epoch and index alone."""

from __future__ import annotations

import math
import random
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
    draw = random.Random(f"{seed} {epoch} {index}")
    flip = draw.random() < 0.5
    low, high = math.log(ratio[0]), math.log(ratio[1])
    for _ in range(TRIES):
        area = height * width * draw.uniform(*scale)
        aspect = math.exp(draw.uniform(low, high))
        w, h = round(math.sqrt(area * aspect)), round(math.sqrt(area / aspect))
        if 0 < w <= width and 0 < h <= height:
            top, left = draw.randint(0, height - h), draw.randint(0, width - w)
            return Box(top, left, h, w, flip)
    h, w = height, width
    if width / height < ratio[0]:
        h = min(height, round(width / ratio[0]))
    elif width / height > ratio[1]:
        w = min(width, round(height * ratio[1]))
    return Box((height - h) // 2, (width - w) // 2, h, w, flip)
