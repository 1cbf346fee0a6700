"""Pictures that the user's code decodes, seen by standing in for the functions that decode them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
from PIL import Image

from datasets_impl.doctor.probes import clock
from datasets_impl.doctor.probes.raised import RAISED
from datasets_impl.doctor.probes.reads import reads
from datasets_impl.doctor.probes.samples import leaves
from datasets_impl.doctor.probes.target import Subject


@contextmanager
def standing_in(open_picture: Callable[..., Any]) -> Iterator[None]:
    """`PIL.Image.open` is another function inside the block, in this process."""
    original = Image.open
    Image.open = open_picture
    try:
        yield
    finally:
        Image.open = original


class Sizes:
    """Notes the size, in pixels, and the format of every picture that Pillow or OpenCV opens."""

    def __init__(self) -> None:
        self.seen: list[tuple[int, int, str]] = []
        self.original = Image.open

    def __call__(self, *arguments: Any, **options: Any) -> Any:
        picture = self.original(*arguments, **options)
        self.seen.append((picture.width, picture.height, picture.format or ""))
        return picture


@contextmanager
def noting_sizes() -> Iterator[Sizes]:
    import sys

    sizes = Sizes()
    opencv = sys.modules.get("cv2")
    originals = {name: getattr(opencv, name) for name in ("imread", "imdecode")} if opencv else {}

    def noting(function: Callable[..., Any]) -> Callable[..., Any]:
        def noted(*arguments: Any, **options: Any) -> Any:
            made = function(*arguments, **options)
            if made is not None:
                sizes.seen.append((made.shape[1], made.shape[0], "OpenCV"))
            return made

        return noted

    for name, function in originals.items():
        setattr(opencv, name, noting(function))
    try:
        with standing_in(sizes):
            yield sizes
    finally:
        for name, function in originals.items():
            setattr(opencv, name, function)


def used_size(sample: Any) -> tuple[int, int] | None:
    """Width and height of the largest picture in a sample; None where there is none."""
    best: tuple[int, int] | None = None
    for leaf in leaves(sample):
        size = _size(leaf.value, leaf.array)
        if size and (best is None or size[0] * size[1] > best[0] * best[1]):
            best = size
    return best


def _size(value: Any, array: np.ndarray[Any, Any] | None) -> tuple[int, int] | None:
    if isinstance(value, Image.Image):
        return value.size
    if array is None or array.ndim not in (2, 3):
        return None
    height, width = array.shape[:2]
    if array.ndim == 3 and array.shape[0] in (1, 3, 4) and array.shape[2] not in (1, 3, 4):
        height, width = array.shape[1:]
    return width, height


def pictures(subject: Subject, seconds: float) -> dict[str, Any]:
    """Pixels of the pictures that are decoded for a sample, and of the one that it holds."""
    until = clock.perf_counter() + seconds
    decoded, used, sample = [], None, None
    for _, read in reads(subject, 32):
        with noting_sizes() as sizes:
            try:
                sample = read()
            except StopIteration:
                break
            except RAISED:
                continue
        decoded += sizes.seen
        used = used_size(sample) or used
        if clock.perf_counter() > until:
            break
    if not decoded or used is None:
        return {}
    decoded.sort(key=lambda one: one[0] * one[1])
    width, height, kind = decoded[len(decoded) // 2]
    return {"decoded": [width, height], "format": kind, "used": list(used)}
