"""Per-item transforms of three weights, and the conversion that the preloading dataset is given.

The weighted ones take and return uint8 tensors, height x width x channel: the light one flips, the
heavy one is a usual training recipe (random resized crop with antialiasing, colour jitter, flip).
Classes at module level, so that spawn and forkserver workers can unpickle them.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch
from PIL import Image
from torchvision.transforms import v2

from datasets_impl import arguments

TRANSFORMS = ("none", "light", "heavy")


class ToUint8:
    """PIL image to a uint8 tensor, height x width x channel, contiguous in memory.

    The layout all three documented datasets share in the study. torchvision's `PILToTensor` gives
    a channel-first *view* of the same memory, and collating such views transposes every image:
    that would be charged to preloading, so it is an arm of its own (`preloaded-chw`).
    """

    def __call__(self, picture: Image.Image) -> torch.Tensor:
        return torch.from_numpy(np.array(picture))


class OnChannelsLast:
    """Run a torchvision v2 transform on a height x width x channel uint8 tensor."""

    def __init__(self, transform: Callable[[torch.Tensor], torch.Tensor]) -> None:
        self.transform = transform

    def __call__(self, pixels: torch.Tensor) -> torch.Tensor:
        return self.transform(pixels.permute(2, 0, 1)).permute(1, 2, 0).contiguous()


def make_transform(name: str, px: int) -> Callable[[torch.Tensor], torch.Tensor] | None:
    """The transform called `name`, keeping images at `px` x `px` pixels; None for "none".

    Raises:
        BadArgument: no such transform, or no number of pixels.
    """
    arguments.one_of("transform", name, TRANSFORMS)
    if name == "none":
        return None
    px = arguments.positive_int("px", px)
    if name == "light":
        return OnChannelsLast(v2.RandomHorizontalFlip())
    return OnChannelsLast(
        v2.Compose(
            [
                v2.RandomResizedCrop(px, antialias=True),
                v2.RandomHorizontalFlip(),
                v2.ColorJitter(0.4, 0.4, 0.4),
            ]
        )
    )
