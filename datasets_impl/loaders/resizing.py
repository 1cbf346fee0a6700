"""Antialiased resizing of decoded pixels, as torchvision's v2 transforms do it to uint8 tensors."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch

from datasets_impl.loaders.crops import Box

Pixels = np.ndarray[Any, np.dtype[np.uint8]]
# What `torch.nn.functional.interpolate(…, antialias=True)` calls, which takes no place for the
# result: to write it in channels-last memory costs a second pass there, several times as long.
_resize = torch.ops.aten._upsample_bilinear2d_aa.out


def write_resized(pixels: Pixels, box: Box, row: Pixels) -> None:
    """The box of `pixels` (height x width x 3), antialiased, into `row`: 3 x h x w, any strides."""
    part = pixels[box.top : box.top + box.height, box.left : box.left + box.width]
    if not part.flags.writeable:  # as Pillow's, of which PyTorch makes no tensor without a warning
        part = part.copy()
    image = torch.from_numpy(part).permute(2, 0, 1)[None]  # PyTorch's kernel takes it as it is
    place = torch.from_numpy(row)[None]
    if not box.flip:
        _resize(image, row.shape[1:], False, None, None, out=place)
        return
    resized = torch.empty_like(place)
    _resize(image, row.shape[1:], False, None, None, out=resized)
    place.copy_(resized.flip(-1))


def resized(pixels: Pixels, height: int, width: int) -> Pixels:
    """All of `pixels` (height x width x 3) in another size; themselves where it is their own."""
    if pixels.shape[:2] == (height, width):
        return pixels
    made = np.empty((height, width, 3), np.uint8)
    whole = Box(0, 0, pixels.shape[0], pixels.shape[1], False)
    write_resized(pixels, whole, made.transpose(2, 0, 1))
    return made
