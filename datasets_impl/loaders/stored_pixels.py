"""Pixels that are decoded already, copied or gathered from a stored set into the batch (X06, X08).

What is left of loading when decoding, collating and page faults are gone: one copy of each image.
Pixels live in the page cache. A copy from 4 KiB pages spends a part of its time on looking up
addresses, hence the mapping of a pack asks for large pages (madvise(2), MADV_HUGEPAGE), which a
kernel that knows them for the file system (ext4 from Linux 6.16 on, xfs earlier) gives to what is
read through it.
"""

from __future__ import annotations

import contextlib
import math
import mmap
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import torch

from datasets_impl import arguments
from datasets_impl.errors import StudyError
from datasets_impl.formats import open_stored
from datasets_impl.formats.images import StoredImages
from datasets_impl.formats.pack import PackImages
from datasets_impl.indexing import position
from datasets_impl.loaders.images import ImageDataset


class StoredPixels(ImageDataset):
    """Images of a stored set of pixels, in any format; from a pack a whole batch is gathered.

    Args:
        source: the set, or its folder.
        targets: see `ImageDataset`.
        preload: read the whole pack into memory of this process first, which has large pages on
            any file system.

    Raises:
        BadArgument: an argument that cannot be meant, or `preload` for another format than a pack.
        StudyError: it is no stored set, or holds JPEG bytes; or (on access) an image is damaged.
    """

    def __init__(self, source: Any, targets: Any = None, *, preload: bool = False) -> None:
        held = arguments.flag("preload", preload)
        images = open_stored(source) if isinstance(source, str | Path) else source
        right = 'what ensure_stored(folder, "pixels", format) returns, or its folder'
        if not isinstance(images, StoredImages):
            raise arguments.refused("source", source, right)
        if images.header.kind != "pixels":
            raise StudyError(f"{images.folder} holds JPEG bytes; store the pixels: give {right}.")
        super().__init__(images, targets)
        self.shape = tuple(images.header.shape)
        self.rows: PackRows | None = None
        if isinstance(images, PackImages):
            self.rows = PackRows(images, held)
        elif held:
            raise arguments.refused("preload", preload, f"False for the format {images.format!r}")

    def image_size(self, index: int) -> tuple[int, int]:
        height, width, _ = self.shape
        return height, width

    def write(self, index: int, row: np.ndarray[Any, Any]) -> None:
        pixels = np.frombuffer(self.source.read(index), np.uint8).reshape(self.shape)
        row.transpose(1, 2, 0)[...] = pixels

    def read_many_into(self, indices: Sequence[int], into: Any) -> None:
        """Write many samples; arrays of `into` have a leading dimension of as many rows.

        Raises:
            StudyError: an image is damaged, or the pack was cut short.
        """
        indices = [position(index, len(self)) for index in indices]
        images, targets = (into, None) if self._targets is None else into
        rows = images.transpose(0, 2, 3, 1)
        if self.rows is not None and rows.flags.c_contiguous:
            self.rows.gather(indices, torch.from_numpy(rows))
        else:
            for index, row in zip(indices, images, strict=True):
                self.write(index, row)
        if targets is not None:
            targets[...] = self._targets[indices]  # type: ignore[index]


class PackRows:
    """The images of a pack of pixels as rows of bytes; opened in each process on first use.

    Args:
        preload: hold them in memory of this process, and not in a mapping of each shard.
    """

    def __init__(self, pack: PackImages, preload: bool = False) -> None:
        self.pack, self.preload = pack, preload
        self._held: list[_Rows] | None = None

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_held": None}  # a mapped tensor would be pickled by value

    def gather(self, indices: Sequence[int], batch: torch.Tensor) -> None:
        """The images at `indices` into `batch`, uint8 and contiguous; by PyTorch's own threads.

        Raises:
            StudyError: an image is damaged, or the pack was cut short or converted anew.
        """
        held, each = self.held, self.pack.header.shard or len(self.pack)
        out = batch.view(len(indices), -1)
        if len(held) == 1:
            held[0].require_whole()
            self._check(indices, lambda index: held[0].rows[index])
            order = torch.from_numpy(np.array(indices, np.int64))  # 5 times as fast as torch.tensor
            torch.index_select(held[0].rows, 0, order, out=out)
            return
        for number in {index // each for index in indices}:
            held[number].require_whole()
        self._check(indices, lambda index: held[index // each].rows[index % each])
        for row, index in zip(out, indices, strict=True):
            row.copy_(held[index // each].rows[index % each])

    def _check(self, indices: Sequence[int], row: Callable[[int], torch.Tensor]) -> None:
        for index in self.pack.unchecked(indices):
            self.pack.require_intact(index, row(index).numpy())

    @property
    def held(self) -> list[_Rows]:
        """Every image as a row of bytes, a shard after the other; preloaded, all are one."""
        if self._held is None:
            shards = self.pack.shards
            if self.preload:
                self._held = [_Rows.read(self.pack, shards)]
            else:
                self._held = [_Rows.mapped(shard) for shard in shards]
        return self._held


class _Rows:
    """Some images, each a row of bytes; nothing written there reaches the file."""

    def __init__(self, pack: PackImages, held: torch.Tensor, mapping: mmap.mmap | None) -> None:
        """
        Raises:
            StudyError: there are not as many bytes as the pack has.
        """
        if held.numel() != len(pack) * math.prod(pack.header.shape):
            raise StudyError(f"{pack.folder} was converted anew; open it again.")
        self.pack, self.mapping = pack, mapping
        self.rows = held.view(len(pack), -1)

    @classmethod
    def read(cls, pack: PackImages, shards: Sequence[PackImages]) -> _Rows:
        """
        Raises:
            StudyError: they do not fit into memory, or cannot be read.
        """
        files = [shard.data_file for shard in shards]
        with _named(pack.folder):
            size, available = sum(file.stat().st_size for file in files), _available()
            if size > available:
                raise StudyError(
                    f"{files[0] if len(files) == 1 else pack.folder} has {size:,} bytes and "
                    f"{available:,} bytes of memory are free; leave out preload, and the pack is "
                    "mapped instead."
                )
            held = np.empty(size, np.uint8)
            rest = held.data
            for file in files:
                with file.open("rb", buffering=0) as opened:
                    while count := opened.readinto(rest):
                        rest = rest[count:]
        return cls(pack, torch.from_numpy(held), None)

    @classmethod
    def mapped(cls, pack: PackImages) -> _Rows:
        """
        Raises:
            StudyError: the pack cannot be read.
        """
        with _named(pack.data_file), pack.data_file.open("rb") as opened:
            mapped = mmap.mmap(opened.fileno(), 0, access=mmap.ACCESS_COPY)
        # A large page is read whole. Where the pack does not fit into memory, it would be read
        # many times over.
        if hasattr(mmap, "MADV_HUGEPAGE") and len(mapped) < _available():
            with contextlib.suppress(OSError):  # a kernel without large pages
                mapped.madvise(mmap.MADV_HUGEPAGE)
        return cls(pack, torch.frombuffer(mapped, dtype=torch.uint8), mapped)

    def require_whole(self) -> None:
        """
        Raises:
            StudyError: the file was cut short: what is read behind its end ends the process.
        """
        if self.mapping is not None and self.mapping.size() < len(self.mapping):
            raise StudyError(
                f"{self.pack.data_file} was cut short while it was in use; delete the stored set "
                "and convert the images again."
            )


def _available() -> int:
    return int(psutil.virtual_memory().available)


@contextlib.contextmanager
def _named(file: Path) -> Iterator[None]:
    try:
        yield
    except (OSError, MemoryError, ValueError) as error:
        raise StudyError(f"{file} cannot be read: {error}.") from error
