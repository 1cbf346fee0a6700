"""The naive item made stage by stage, with a clock between the stages.

An item of example 1 reads a file, decodes it, makes an array of the picture and wraps the array in
a tensor. Here one item is made so, and its stages and the whole are timed in the same pass: a share
of the whole then lies between 0 and 100 %. What is left of the whole is giving back what the stages
made. The clock is read five times an item; `clock_seconds` says how long that takes.
"""

from __future__ import annotations

import io
import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np
import torch
from PIL import Image

STAGES = ("read", "decode", "convert")
READINGS = 1000


@dataclass(frozen=True)
class Times:
    """Seconds of one item and of its stages."""

    read: float
    decode: float
    convert: float
    whole: float


def read_file(path: str) -> bytes:
    """Open, read and close the file."""
    with open(path, "rb") as handle:  # noqa: PTH123 - as PIL opens it, without building a Path
        return handle.read()


def decode(encoded: bytes) -> Image.Image:
    """Bytes to a PIL image in RGB."""
    return Image.open(io.BytesIO(encoded)).convert("RGB")


def convert(picture: Image.Image) -> torch.Tensor:
    """PIL image to NumPy array to tensor."""
    return torch.from_numpy(np.array(picture))


def staged_item(place: Any, read: Callable[[Any], bytes] = read_file) -> tuple[torch.Tensor, Times]:
    """The sample at `place`, height x width x channel uint8, and what each stage of it took."""
    clock = time.perf_counter
    begun = clock()
    encoded = read(place)
    was_read = clock()
    picture = decode(encoded)
    was_decoded = clock()
    sample = convert(picture)
    was_converted = clock()
    del encoded, picture  # as when the item returns
    ended = clock()
    return sample, Times(
        was_read - begun, was_decoded - was_read, was_converted - was_decoded, ended - begun
    )


def clock_seconds() -> float:
    """Seconds of an item that pass in reading the clock: four readings lie inside the whole."""
    clock = time.perf_counter
    readings = [clock() for _ in range(READINGS)]
    steps = [after - before for before, after in pairwise(readings)]
    return 4 * statistics.median(steps)
