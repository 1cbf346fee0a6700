"""The smallest repair of example 3: built once, opened read-only, lazily in each process.

Beside `MemoryMappedDataset` (C16, C17, C19, X01, X02). A sample is a uint8 tensor, height x width
x channel, 0-255, a copy of the mapped pixels. The first construction decodes every file once into
a file beside the image folder; later ones decode nothing: they read its header, and a few bytes of
each picture to see that it is the same. Memory holds the shape and one digest for each image;
pixels live in the page cache, shared by all workers. Pickles to a few hundred bytes. A file that is
cut short is named when it is opened and, by whoever has it open, when its length is asked for, as
samplers do when an epoch begins; in mid-epoch that ends the process, as with any mapping (SIGBUS).
"""

from __future__ import annotations

import json
import math
import os
from mmap import mmap
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch.utils.data import Dataset

from datasets_impl.arguments import refused
from datasets_impl.errors import StudyError, require_pickled
from datasets_impl.files.atomic import atomic_file
from datasets_impl.files.paths import user_path
from datasets_impl.files.pictures import (
    JPEG_SUFFIXES,
    beside,
    decoded,
    digest,
    fingerprint,
    jpeg_files,
    require_shape,
    seal,
)
from datasets_impl.files.records import json_of
from datasets_impl.files.replacing import check_replaceable
from datasets_impl.indexing import position

# The file: a page that begins with `MAGIC` and holds the header as JSON, padded with spaces; the
# pixels, one image after the other; a digest (xxHash3, 64 bits) of each.
MAGIC = b"mapped-pixels 1\n"
PAGE = 4096
WHAT = "mapped pixels"


class ReadOnlyMappedDataset(Dataset[torch.Tensor]):
    """Pixels of equally shaped images in one read-only mapped file.

    Args:
        root_dir: folder of JPEG files.
        data_file: where the pixels go; by default `<root_dir>.pixels` beside the folder. They are
            decoded anew when a picture's path, size, time or some of its content changed (see
            `files.pictures.fingerprint`); after a change that keeps all of these, delete the file.

    Raises:
        StudyError: the folder has no JPEG file, one that cannot be read, or one whose shape
            differs from the first; or `data_file` is something else than mapped pixels. Nothing
            is written then. While reading: an image's pixels changed on disk.
    """

    def __init__(self, root_dir: str | Path, data_file: str | Path | None = None) -> None:
        root = user_path(root_dir)
        self.data_file = beside(root, "pixels") if data_file is None else user_path(data_file)
        paths = jpeg_files(root)
        found = fingerprint(paths, root)
        header = _read_header(self.data_file)
        if header is None or header["fingerprint"] != found:
            check_replaceable(self.data_file, _is_ours, sources=(root,), what=WHAT)
            if self.data_file.suffix.lower() in JPEG_SUFFIXES:
                raise refused("data_file", str(self.data_file), "a name that is not a picture's")
            header = _write(paths, self.data_file, found)
        self.shape: tuple[int, ...] = tuple(header["shape"])
        self.header = header
        self._pixels: np.memmap[Any, Any] | None = None

    def __getstate__(self) -> dict[str, Any]:
        # np.memmap pickles by value (numpy#2049); a worker opens the file for itself instead.
        kept = {**self.__dict__, "_pixels": None}
        return {name: kept[name] for name in kept if name not in ("_digests", "_checked")}

    def __setstate__(self, state: dict[str, Any]) -> None:
        require_pickled(state, "data_file", "shape", "header", "_pixels")
        self.__dict__.update(state)

    def __len__(self) -> int:
        self.require_whole()
        return self.shape[0]

    def require_whole(self) -> None:
        """That the file was not cut short since this process opened it.

        Raises:
            StudyError: it was.
        """
        mapping = None if self._pixels is None else self._pixels.base
        size = PAGE + math.prod(self.shape) + 8 * self.shape[0]
        if isinstance(mapping, mmap) and mapping.size() < size:
            raise StudyError(
                f"{self.data_file} was cut short while it was in use; delete it, and make the "
                "dataset anew."
            )

    def __getitem__(self, index: int) -> torch.Tensor:
        if self._pixels is None:
            self._pixels = self._open()
        index = position(index, self.shape[0])
        pixels = np.array(self._pixels[index])
        if not self._checked[index]:  # once in each process
            if digest(pixels) != int(self._digests[index]):
                raise _damaged(self.data_file, f" at image {index}")
            self._checked[index] = True
        return torch.from_numpy(pixels)

    def _open(self) -> np.memmap[Any, Any]:
        if _read_header(self.data_file) != self.header:
            raise StudyError(f"{self.data_file} was made anew, or is gone; open it again.")
        end = PAGE + math.prod(self.shape)
        try:
            self._digests = np.memmap(self.data_file, "<u8", "r", end, (len(self),))
            pixels = np.memmap(self.data_file, np.uint8, "r", PAGE, self.shape)
        except (OSError, ValueError) as error:
            raise StudyError(f"{self.data_file} cannot be read: {error}.") from error
        if digest(self._digests) != self.header["digests"]:
            raise _damaged(self.data_file)
        self._checked = bytearray(len(self))
        return pixels


def _damaged(data_file: Path, where: str = "") -> StudyError:
    return StudyError(f"{data_file} is damaged{where}; delete it, and it is made anew.")


def _read_header(data_file: Path) -> dict[str, Any] | None:
    """The header of a whole file of pixels; None if it is absent, cut short, or something else."""
    try:
        if not data_file.is_file():  # a pipe would be waited for
            return None
        with data_file.open("rb") as file:
            first = file.read(PAGE)
            size = os.fstat(file.fileno()).st_size
        header = json.loads(first.removeprefix(MAGIC))
        count, *_ = shape = header["shape"]
        whole = first.startswith(MAGIC) and size == PAGE + math.prod(shape) + 8 * count
        said = header.pop("seal")
        return header if whole and said == seal(header) else None
    except (OSError, ValueError, KeyError, TypeError):
        return None


def _is_ours(data_file: Path) -> bool:
    """Whether this class wrote it; also when it was cut short since."""
    with data_file.open("rb") as file:
        if file.read(len(MAGIC)) == MAGIC:
            return True
    shape = _old_shape(data_file)
    return shape is not None and data_file.stat().st_size == math.prod(shape)


def _old_shape(data_file: Path) -> list[int] | None:
    """Of pixels as they were written before they had a header of their own: what the file beside
    them says. Another's raw bytes may have a file beside them too that says their shape."""
    try:
        header = json_of(_old_header(data_file))
        ours = set(header) == {"fingerprint", "shape"}
        return [int(side) for side in header["shape"]] if ours else None
    except (OSError, ValueError, KeyError, TypeError):
        return None


def _old_header(data_file: Path) -> Path:
    return data_file.with_name(f"{data_file.name}.header")


def _write(paths: list[str], data_file: Path, found: str) -> dict[str, Any]:
    shape: tuple[int, ...] = ()
    digests = np.empty(len(paths), "<u8")
    with atomic_file(data_file) as file:
        file.write(MAGIC.ljust(PAGE))  # says whose the file is while it is written
        for number, path in enumerate(paths):
            pixels = decoded(path)
            shape = shape or pixels.shape
            require_shape(path, pixels.shape, paths[0], shape)
            digests[number] = digest(pixels)
            file.write(pixels.data)
        file.write(digests.tobytes())
        header = {
            "fingerprint": found,
            "shape": [len(paths), *shape],
            "digests": digest(digests),
        }
        file.seek(0)
        file.write((MAGIC + json.dumps({**header, "seal": seal(header)}).encode()).ljust(PAGE))
        check_replaceable(data_file, _is_ours, what=WHAT)  # decoding took its time
        replaced = _old_shape(data_file) is not None and data_file.exists()
    if replaced:
        _old_header(data_file).unlink()
    return header
