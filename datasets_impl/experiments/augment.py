"""One augmentation in three places: on each item, on a whole batch, on the device (C05, C08).

The usual end of a training pipeline: turn half of the images left to right, then to float32,
channel first, normalised with ImageNet's mean and standard deviation
(https://docs.pytorch.org/vision/stable/models.html). What an image gets depends on seed, epoch and
index alone, so the three places give equal batches.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import torch

from datasets_impl import arguments
from datasets_impl.errors import BadArgument
from datasets_impl.loaders.crops import random_numbers

PLACES = ("per-item", "per-batch", "on-device")
MEAN, SPREAD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)


class FlipAndNormalise:
    """Uint8 images x height x width x 3 to float32 images x 3 x height x width.

    Args:
        device: where the work is done; images are moved there as uint8, a quarter of the bytes.

    Raises:
        BadArgument: an argument that cannot be meant; no such device; other images than these.
    """

    def __init__(self, seed: int = 0, device: str | torch.device = "cpu") -> None:
        self.seed, self.device = arguments.seed(seed), _usable(device)
        mean, spread = (torch.tensor(each).view(1, 3, 1, 1) * 255 for each in (MEAN, SPREAD))
        self.mean, self.spread = mean.to(self.device), spread.to(self.device)
        self.copied: Any = None
        if self.device.type == "cuda":
            self.copied = torch.cuda.Event()  # type: ignore[no-untyped-call]

    def turned(self, indices: Sequence[int], epoch: int) -> torch.Tensor:
        """Which images are turned: bool, one for each index."""
        return torch.tensor(
            [random_numbers(f"{self.seed} {epoch} {index} flip")[0] < 0.5 for index in indices]
        )

    def __call__(self, images: torch.Tensor, indices: Sequence[int], epoch: int) -> torch.Tensor:
        if images.dtype != torch.uint8 or images.ndim != 4 or images.shape[3] != 3:
            raise BadArgument(
                f"images are {images.dtype} of shape {tuple(images.shape)}; give torch.uint8, "
                "images x height x width x 3."
            )
        if len(indices) != len(images):
            raise BadArgument(f"{len(images)} images have {len(indices)} indices; give one each.")
        moved = images.to(self.device, non_blocking=True).permute(0, 3, 1, 2)
        if self.copied is not None:
            self.copied.record()
        turned = self.turned(indices, epoch).to(self.device)
        moved = torch.where(turned.view(-1, 1, 1, 1), moved.flip(-1), moved)
        return moved.to(torch.float32).sub_(self.mean).div_(self.spread).contiguous()


def _usable(device: str | torch.device) -> torch.device:
    try:
        found = torch.device(device)
        torch.empty(0, device=found)
    except (RuntimeError, AssertionError, TypeError, NotImplementedError) as error:
        why = str(error).strip().partition("\n")[0].rstrip(".")
        raise BadArgument(f"device is {device!r}, which cannot be used: {why}.") from error
    return found


class AugmentedBatches:
    """Batches of an iterable of (uint8 images, their indices), augmented image by image or whole.

    Args:
        each: True for one image at a time, as a transform of a dataset does it.
    """

    def __init__(
        self,
        batches: Iterable[tuple[torch.Tensor, Sequence[int]]],
        transform: FlipAndNormalise,
        each: bool = False,
    ) -> None:
        self.batches, self.transform = batches, transform
        self.each = arguments.flag("each", each)
        self.epoch = 0

    def __iter__(self) -> Iterator[torch.Tensor]:
        epoch = self.epoch
        self.epoch += 1
        for images, indices in self.batches:
            if self.each:
                yield torch.cat(
                    [
                        self.transform(images[at : at + 1], indices[at : at + 1], epoch)
                        for at in range(len(images))
                    ]
                )
            else:
                yield self.transform(images, indices, epoch)
            if self.transform.copied is not None:
                # The loader may write into these images again, while the device still reads them.
                self.transform.copied.synchronize()
