"""What datasets of images share that write their samples into a batch: source, targets, layout.

A sample is an image, uint8, 3 x height x width, 0-255, in channels-last memory, or with targets the
pair of image and target. A batch of images is then N x 3 x height x width in channels-last memory,
as convolutions like it, and nothing is copied on the way there.
"""

from __future__ import annotations

import warnings
from abc import ABC, abstractmethod
from functools import lru_cache
from typing import Any

import numpy as np
import torch
from torch.utils.data import Dataset

from datasets_impl import optional
from datasets_impl.errors import StudyError
from datasets_impl.files.pictures import reason, unreadable
from datasets_impl.indexing import position
from datasets_impl.labelled import Targets, as_targets, targets_of

MOST_NAMED = 1000  # pictures that are listed as left to Pillow


class ImageDataset(Dataset[Any], ABC):
    """Images of a source by index, made where they are wanted.

    Args:
        source: what the images are read from (see the classes that derive from this one).
        targets: a number for each image, or an array of them; whole numbers become int64. By
            default those of the source; False leaves them out.

    `classes` are the names of the targets where the source has such. `refused` lists pictures that
    were left to Pillow, which takes longer, and why.

    Raises:
        BadArgument: targets that are no numbers, or not as many as there are images.
    """

    def __init__(self, source: Any, targets: Any = None) -> None:
        self.source = source
        self._given: Targets | bool | None = targets if targets is False else None
        if targets is not None and targets is not False:
            self._given = as_targets(targets, len(source))
        self._targets = self._found()
        self.classes: list[str] | None = optional.value(source, "classes")
        self.refused: dict[str, str] = {}

    def _found(self) -> Targets | None:
        if self._given is None:
            return targets_of(self.source)
        return self._given if isinstance(self._given, np.ndarray) else None

    def __getstate__(self) -> dict[str, Any]:
        # Those of the source are not sent a second time.
        return {**self.__dict__, "_targets": None, "refused": dict(self.refused)}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)
        self._targets = self._found()

    def __len__(self) -> int:
        return len(self.source)

    @property
    def targets(self) -> Targets | None:
        """A row for each image, or None."""
        return self._targets

    @property
    def class_to_idx(self) -> dict[str, int]:
        return {name: number for number, name in enumerate(self.classes or ())}

    def name(self, index: int) -> str:
        """What an error calls the image."""
        name: str = self.source.name(index)
        return name

    def require_whole(self) -> None:
        """Raises StudyError where a stored set was cut short since it was opened."""
        check = optional.method(self.source, "require_whole")
        if check is not None:
            check()

    @abstractmethod
    def image_size(self, index: int) -> tuple[int, int]:
        """Height and width of the image as a sample."""

    @abstractmethod
    def write(self, index: int, row: np.ndarray[Any, Any]) -> None:
        """The image into `row`, 3 x height x width, of any strides. Runs in many threads at once.

        Raises:
            StudyError: it cannot be made; names it.
            Exception: any other reason, to which the caller adds the name.
        """

    def sample_layout(self, index: int) -> Any:
        """The structure of sample `index`, with tensors on the meta device.

        Raises:
            BadImage: the image cannot be read; names it.
        """
        height, width = self._checked(self.image_size, position(index, len(self)))
        if self._targets is None:
            return _layout(height, width)
        return _layout(height, width, self._targets.dtype, self._targets.shape[1:])

    def read_into(self, index: int, into: Any) -> None:
        """Write sample `index` to `into`, its structure with NumPy arrays.

        Raises:
            BadImage: the image cannot be read, or has another size; names it.
        """
        index = position(index, len(self))
        if self._targets is None:
            self._checked(self.write, index, into)
            return
        image, target = into
        self._checked(self.write, index, image)
        target[...] = self._targets[index]

    def __getitem__(self, index: int) -> Any:
        index = position(index, len(self))
        image = torch.from_numpy(self._checked(self.made, index))
        if self._targets is None:
            return image
        return image, torch.from_numpy(np.array(self._targets[index]))

    def made(self, index: int) -> np.ndarray[Any, Any]:
        """The image in memory of its own, 3 x height x width. Raises what `write` does."""
        pixels = np.empty((*self.image_size(index), 3), np.uint8).transpose(2, 0, 1)
        self.write(index, pixels)
        return pixels

    def left_to_pillow(self, index: int, error: Exception) -> None:
        """Remember that Pillow had to decode an image, and say so once."""
        if len(self.refused) < MOST_NAMED:
            self.refused[self.name(index)] = reason(error)
        if len(self.refused) == 1:
            warnings.warn(
                f"{self.name(index)}: {reason(error)}; Pillow decodes it, which takes longer. "
                "All such images are listed in `refused`.",
                RuntimeWarning,
                stacklevel=2,
            )

    def _checked(self, function: Any, index: int, *more: Any) -> Any:
        try:
            return function(index, *more)
        except (StudyError, MemoryError):  # which has named it already
            raise
        except Exception as error:  # each library has errors of its own
            raise unreadable(self.name(index), error) from error


@lru_cache(maxsize=64)
def _layout(height: int, width: int, *target: Any) -> Any:
    """The same object each time, by which a loader knows that nothing has changed."""
    image = _empty((height, width, 3), torch.uint8).permute(2, 0, 1)
    if not target:
        return image
    dtype, shape = target
    return image, _empty(shape, torch.from_numpy(np.empty(0, dtype)).dtype)


def _empty(shape: tuple[int, ...], dtype: torch.dtype) -> torch.Tensor:
    return torch.empty(shape, dtype=dtype, device="meta")
