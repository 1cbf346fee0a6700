"""One file of raw pixels for each image, read whole on access (C11, X05).

The fair opponent of JPEG files: one file each, no decoding, more bytes. A sample is a uint8
tensor, height x width x channel, 0-255. The first construction decodes every image once into the
folder `<root>.raw` beside the images; later ones open nothing but its index. Memory holds paths
and shapes.
"""

from __future__ import annotations

import json
import math
import shutil
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch.utils.data import Dataset

from datasets_impl.atomic import describe_write_error
from datasets_impl.errors import StudyError
from datasets_impl.variants.files import fingerprint, jpeg_files

INDEX = "index.json"


class RawFileDataset(Dataset[torch.Tensor]):
    """Pixels of each image in a file of its own; images may differ in shape.

    Raises:
        StudyError: an image cannot be read, or the folder cannot be written; nothing is left then.
    """

    def __init__(self, root_dir: str | Path) -> None:
        root = Path(root_dir)
        folder = root.with_name(root.name + ".raw")
        images = jpeg_files(root)
        index = {"fingerprint": fingerprint(images)}
        self.files = [str(folder / _name(n, image)) for n, image in enumerate(images)]
        found = _read_index(folder)
        if found.get("fingerprint") != index["fingerprint"] or not _are_whole(self.files, found):
            found = _build(images, folder, index)
        self.shapes = [tuple(shape) for shape in found["shapes"]]

    def __len__(self) -> int:
        return len(self.files)

    def __getitem__(self, index: int) -> torch.Tensor:
        pixels = np.fromfile(self.files[index], dtype=np.uint8)
        return torch.from_numpy(pixels.reshape(self.shapes[index]))


def _read_index(folder: Path) -> dict[str, Any]:
    try:
        index = json.loads((folder / INDEX).read_text())
    except (OSError, ValueError):
        return {}  # absent or unreadable: the pixels are written anew
    return index if isinstance(index, dict) else {}


def _are_whole(files: list[str], index: dict[str, Any]) -> bool:
    """Whether every file has the size that the index promises."""
    try:
        return all(
            Path(file).stat().st_size == math.prod(shape)
            for file, shape in zip(files, index["shapes"], strict=True)
        )
    except (OSError, KeyError, TypeError, ValueError):
        return False


def _build(images: list[str], folder: Path, index: dict[str, Any]) -> dict[str, Any]:
    """Decode `images` into a folder of another name, and rename it when it is complete."""
    try:
        temporary = Path(tempfile.mkdtemp(dir=folder.parent, prefix=f".{folder.name}."))
    except OSError as error:
        raise describe_write_error(error, folder) from error
    try:
        shapes = [_write(image, temporary / _name(n, image)) for n, image in enumerate(images)]
        index = {**index, "shapes": [list(shape) for shape in shapes]}
        (temporary / INDEX).write_text(json.dumps(index))
        temporary.chmod(0o755)
        shutil.rmtree(folder, ignore_errors=True)
        temporary.rename(folder)
    except OSError as error:
        raise describe_write_error(error, folder) from error
    finally:
        shutil.rmtree(temporary, ignore_errors=True)
    return index


def _name(number: int, image: str) -> str:
    """Images of several folders may share a name."""
    return f"{number:07}-{Path(image).name}.raw"


def _write(image: str, target: Path) -> tuple[int, ...]:
    try:
        with Image.open(image) as picture:
            pixels = np.array(picture.convert("RGB"))
    except OSError as error:  # said here, or it would pass for an error of writing
        raise StudyError(
            f"{image} could not be read ({error.strerror or error}); mend or remove it."
        ) from error
    pixels.tofile(target)
    return pixels.shape
