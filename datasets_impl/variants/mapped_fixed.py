"""The smallest repair of example 3: built once, opened read-only, lazily in each process.

Beside `MemoryMappedDataset` (C16, C17, C19, X01, X02). A sample is a uint8 tensor, height x width
x channel, 0-255, a copy of the mapped pixels. The first construction decodes every file once into
a file beside the image folder; later ones open nothing but its header. Memory holds the shape;
pixels live in the page cache, shared by all workers. Pickles to a few hundred bytes.
"""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch.utils.data import Dataset

from datasets_impl.atomic import atomic_file, atomic_write
from datasets_impl.errors import StudyError
from datasets_impl.variants.files import fingerprint, jpeg_files


class ReadOnlyMappedDataset(Dataset[torch.Tensor]):
    """Pixels of equally shaped images in one read-only mapped file.

    Args:
        root_dir: folder of JPEG files.
        data_file: where the pixels go; by default `<root_dir>.pixels` beside the folder.

    Raises:
        StudyError: the folder has no JPEG file, one that cannot be read, or one whose shape
            differs from the first; nothing is written then.
    """

    def __init__(self, root_dir: str | Path, data_file: str | Path | None = None) -> None:
        root = Path(root_dir)
        self.data_file = Path(data_file) if data_file else root.with_name(root.name + ".pixels")
        header_file = self.data_file.with_name(self.data_file.name + ".header")
        paths = jpeg_files(root)
        found = fingerprint(paths)
        header = _read_header(header_file)
        if header.get("fingerprint") != found or not _is_whole(self.data_file, header):
            # The old header goes first and the new one comes last: pixels that a killed build left
            # have no header, and are never read.
            header_file.unlink(missing_ok=True)
            header = {"fingerprint": found, "shape": _write_pixels(paths, self.data_file)}
            atomic_write(header_file, json.dumps(header))
        self.shape: tuple[int, ...] = tuple(header["shape"])
        self._pixels: np.memmap[Any, Any] | None = None

    def __getstate__(self) -> dict[str, Any]:
        # np.memmap pickles by value (numpy#2049); a worker opens the file for itself instead.
        return {**self.__dict__, "_pixels": None}

    def __len__(self) -> int:
        return self.shape[0]

    def __getitem__(self, index: int) -> torch.Tensor:
        if self._pixels is None:
            self._pixels = np.memmap(self.data_file, dtype=np.uint8, mode="r", shape=self.shape)
        return torch.from_numpy(np.array(self._pixels[index]))


def _read_header(header_file: Path) -> dict[str, Any]:
    try:
        header = json.loads(header_file.read_text())
    except (OSError, ValueError):
        return {}  # absent or unreadable: the pixels are built anew
    return header if isinstance(header, dict) else {}


def _is_whole(data_file: Path, header: dict[str, Any]) -> bool:
    """Whether the pixel file has the size that its header promises."""
    try:
        return data_file.stat().st_size == int(math.prod(header["shape"]))
    except (OSError, KeyError, TypeError):
        return False


def _write_pixels(paths: list[str], data_file: Path) -> list[int]:
    shape: tuple[int, ...] | None = None
    with atomic_file(data_file) as handle:
        for path in paths:
            try:
                with Image.open(path) as picture:
                    pixels = np.array(picture.convert("RGB"))
            except OSError as error:  # said here, or it would pass for an error of writing
                raise StudyError(
                    f"{path} could not be read ({error.strerror or error}); mend or remove it."
                ) from error
            shape = shape or pixels.shape
            if pixels.shape != shape:
                raise StudyError(
                    f"{path} is {pixels.shape[1]}x{pixels.shape[0]} pixels and the first image is "
                    f"{shape[1]}x{shape[0]}; one mapped array needs one shape: resize or crop them "
                    "first."
                )
            handle.write(pixels.tobytes())
    assert shape is not None
    return [len(paths), *shape]
