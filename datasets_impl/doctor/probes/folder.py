"""A folder of pictures as a dataset, for users who have pictures and no code yet."""

from __future__ import annotations

import numpy as np
import torch
from PIL import Image
from torch.utils.data import Dataset

from datasets_impl.errors import BadImage
from datasets_impl.files.pictures import files_of, opened

SUFFIXES = (".jpg", ".jpeg", ".png", ".bmp", ".webp", ".tif", ".tiff", ".gif")
SIDE = 224


class FolderImages(Dataset[torch.Tensor]):
    """Every picture below a folder, decoded by Pillow when it is read.

    A sample is uint8, height x width x channel. Pictures of several sizes are resized to 224 pixels
    a side, as one would for a batch.

    Raises:
        StudyError: there is no picture in the folder, or what would be waited for.
    """

    def __init__(self, root: str) -> None:
        self.paths = files_of(root, SUFFIXES, "picture")
        self.resized = len({self._size(path) for path in self.paths[:64]}) > 1
        self.doctors_note = (
            f"These pictures have several sizes, so each is resized to {SIDE} x {SIDE} here, as "
            "one would for a batch; name your own dataset to have that measured."
            if self.resized else ""
        )  # fmt: skip

    @staticmethod
    def _size(path: str) -> tuple[int, int]:
        try:
            with opened(path) as picture:
                return picture.size
        except BadImage:  # told when the sample is read
            return (0, 0)

    def __len__(self) -> int:
        return len(self.paths)

    def __getitem__(self, index: int) -> torch.Tensor:
        with Image.open(self.paths[index]) as picture:
            shown = picture.convert("RGB")
            if self.resized:
                shown = shown.resize((SIDE, SIDE), Image.Resampling.BILINEAR)
            return torch.from_numpy(np.array(shown))
