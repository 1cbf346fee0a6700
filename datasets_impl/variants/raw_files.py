"""One file of raw pixels for each image, read whole on access (C11, X05).

The fair opponent of JPEG files: one file each, no decoding, more bytes. A sample is a uint8
tensor, height x width x channel, 0-255. The first construction decodes every image once into the
folder `<root>.raw` beside the images; later ones decode nothing: they read its index, and a few
bytes of each picture to see that it is the same. Memory holds paths, shapes and digests.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch.utils.data import Dataset

from datasets_impl.errors import StudyError, require_pickled
from datasets_impl.files.paths import user_path
from datasets_impl.files.pictures import (
    beside,
    decoded,
    digest,
    fingerprint,
    jpeg_files,
    seal,
)
from datasets_impl.files.whole import whole_folder
from datasets_impl.indexing import position

INDEX = "index.json"
WHAT = "raw pixels"


class RawFileDataset(Dataset[torch.Tensor]):
    """Pixels of each image in a file of its own; images may differ in shape.

    Raises:
        StudyError: an image cannot be read, `<root>.raw` is something else, or it cannot be
            written; nothing is left then. While reading: an image's pixels changed on disk.
    """

    def __init__(self, root_dir: str | Path) -> None:
        root = user_path(root_dir)
        folder = beside(root, "raw")
        images = jpeg_files(root)
        found = fingerprint(images, root)
        self.files = [str(folder / _name(number)) for number in range(len(images))]

        def index() -> dict[str, Any] | None:
            known = _read_index(folder)
            current = known.get("fingerprint") == found and _is_sealed(known)
            return known if current and _are_whole(self.files, known) else None

        known = index()
        if known is None:
            _build(images, root, folder, found, lambda: index() is None)
            known = index()
        if known is None:
            raise StudyError(f"{folder} was changed while it was written; open it again.")
        self.shapes = [tuple(shape) for shape in known["shapes"]]
        self.digests = np.array(known["digests"], np.uint64)
        self._checked = bytearray(len(self.files))

    def __setstate__(self, state: dict[str, Any]) -> None:
        require_pickled(state, "files", "shapes", "digests")
        self.__dict__.update(state, _checked=bytearray(len(state["files"])))  # by each process

    def __len__(self) -> int:
        return len(self.files)

    def __getitem__(self, index: int) -> torch.Tensor:
        index = position(index, len(self))
        file = self.files[index]
        try:
            pixels = np.fromfile(file, dtype=np.uint8)
        except OSError as error:
            raise StudyError(f"{file} cannot be read ({error.strerror}); open it again.") from error
        if not self._checked[index]:
            if digest(pixels) != int(self.digests[index]):
                raise StudyError(
                    f"{file} is damaged, or was made anew; open it again, or delete its folder."
                )
            self._checked[index] = True
        return torch.from_numpy(pixels.reshape(self.shapes[index]))


def _read_index(folder: Path) -> dict[str, Any]:
    try:
        index = json.loads((folder / INDEX).read_text())
    except (OSError, ValueError):
        return {}  # absent or unreadable
    return index if isinstance(index, dict) else {}


def _is_sealed(index: dict[str, Any]) -> bool:
    return index.get("seal") == seal({name: index[name] for name in index if name != "seal"})


def _is_ours(folder: Path) -> bool:
    """Whether this class wrote it, and nobody else's file is in it."""
    if not folder.is_dir():
        return False
    index = _read_index(folder)
    shapes = index.get("shapes")
    if not {"fingerprint", "digests"} <= set(index) or not isinstance(shapes, list):
        return False
    known = {INDEX, *map(_name, range(len(shapes)))}
    return all(path.name in known and path.is_file() for path in folder.iterdir())


def _are_whole(files: list[str], index: dict[str, Any]) -> bool:
    """Whether every file has the size that the index promises."""
    try:
        return len(index["digests"]) == len(files) and all(
            Path(file).stat().st_size == math.prod(shape)
            for file, shape in zip(files, index["shapes"], strict=True)
        )
    except (OSError, KeyError, TypeError, ValueError):
        return False


def _build(
    images: list[str], root: Path, folder: Path, found: str, needed: Callable[[], bool]
) -> None:
    """Decode `images` into files, and an index of them."""
    with whole_folder(folder, _is_ours, needed=needed, sources=(root,), what=WHAT) as new:
        if new is None:
            return
        shapes, digests = [], []
        for number, image in enumerate(images):
            pixels = decoded(image)
            pixels.tofile(new / _name(number))
            shapes.append(list(pixels.shape))
            digests.append(digest(pixels))
        index = {"fingerprint": found, "shapes": shapes, "digests": digests}
        (new / INDEX).write_text(json.dumps({**index, "seal": seal(index)}))


def _name(number: int) -> str:
    return f"{number:07}.raw"
