"""Per-item transforms of three weights, for the tensors of the naive dataset and for PIL images.

Both take and return uint8; the light one flips, the heavy one is a usual training recipe
(random resized crop with antialiasing, colour jitter, flip). Classes at module level, so that
spawn and forkserver workers can unpickle them.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torchvision.transforms import v2

TRANSFORMS = ("none", "light", "heavy")


class OnChannelsLast:
    """Run a torchvision v2 transform on a height x width x channel uint8 tensor."""

    def __init__(self, transform: Callable[[torch.Tensor], torch.Tensor]) -> None:
        self.transform = transform

    def __call__(self, pixels: torch.Tensor) -> torch.Tensor:
        return self.transform(pixels.permute(2, 0, 1)).permute(1, 2, 0).contiguous()


def make_transform(name: str, px: int) -> Callable[[torch.Tensor], torch.Tensor] | None:
    """The transform called `name`, keeping images at `px` x `px` pixels; None for "none"."""
    if name == "none":
        return None
    if name == "light":
        return OnChannelsLast(v2.RandomHorizontalFlip())
    if name == "heavy":
        return OnChannelsLast(
            v2.Compose(
                [
                    v2.RandomResizedCrop(px, antialias=True),
                    v2.RandomHorizontalFlip(),
                    v2.ColorJitter(0.4, 0.4, 0.4),
                ]
            )
        )
    raise ValueError(f"unknown transform {name!r}; known: {', '.join(TRANSFORMS)}")
