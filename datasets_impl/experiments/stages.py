"""The stages of the naive item, each runnable alone on inputs prepared beforehand.

An item of example 1 reads a file, decodes it, makes an array of the picture and wraps the array
in a tensor. Timing a stage alone, on what the stage before it produced, leaves no clock inside the
item, and the sum of the stages can be held against the whole.
"""

from __future__ import annotations

import io
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image

STAGES = ("read", "decode", "convert")


def _read(path: str) -> bytes:
    with open(path, "rb") as handle:  # noqa: PTH123 - as PIL opens it, without building a Path
        return handle.read()


def _decode(encoded: bytes) -> Image.Image:
    return Image.open(io.BytesIO(encoded)).convert("RGB")


def _convert(picture: Image.Image) -> torch.Tensor:
    return torch.from_numpy(np.array(picture))


def stage(name: str, paths: Sequence[Path]) -> tuple[Callable[[Any], Any], list[Any]]:
    """The function of stage `name` and its inputs, one for each file.

    "read": open, read and close the file; "decode": bytes to RGB PIL image; "convert": PIL image
    to NumPy array to tensor.

    Raises:
        ValueError: no such stage.
    """
    names = [str(path) for path in paths]
    if name == "read":
        return _read, names
    if name == "decode":
        return _decode, [_read(path) for path in names]
    if name == "convert":
        return _convert, [_decode(_read(path)) for path in names]
    raise ValueError(f"unknown stage {name!r}; known: {', '.join(STAGES)}")
