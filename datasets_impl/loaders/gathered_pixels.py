"""Decoded pixels in one mapped file, gathered row by row into a batch that was used before (X08).

What is left of loading when decoding, collating, moving between processes and page faults are gone:
one copy of each image. A batch is a uint8 tensor, images x height x width x 3, 0-255. Construction
opens a pack of pixels (see `datasets_impl.formats`); pixels live in the page cache.
PyTorch's own threads share the copy; `torch.set_num_threads` says how many.

A copy from 4 KiB pages spends a part of its time on looking up addresses, hence the mapping asks
for large pages (madvise(2), MADV_HUGEPAGE), which a kernel that knows them for the file system
(ext4 from Linux 6.16 on, xfs earlier) gives to what is read through it.
"""

from __future__ import annotations

import contextlib
import math
import mmap
import os
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import torch

from datasets_impl import arguments
from datasets_impl.errors import StudyError
from datasets_impl.files.paths import user_path
from datasets_impl.formats.pack import PackImages
from datasets_impl.loaders.order import IndexBatches
from datasets_impl.loaders.recycled import LentMemory
from datasets_impl.loaders.threads import require_process


class _Process:
    """Whether this process was forked after this module was imported."""

    forked = False


_process = _Process()
os.register_at_fork(after_in_child=lambda: setattr(_process, "forked", True))


class GatheredPixelsLoader(IndexBatches):
    """Shuffled batches from a pack of pixels.

    Args:
        pack: the folder of the pack, or the pack opened.
        batch_size: images in a batch.
        sampler: the order of the next epoch; a true shuffle by `seed` when it is left out.
        drop_last: leave out the last batch where it is smaller.
        pinned: batches in page-locked memory, for a CUDA device; they may be copied there with
            `non_blocking=True`, see `RecycledBatches`.
        overwrite: every batch in the same memory, which stays in the processor's cache. A batch is
            then valid only until the next one is asked for; copy what you keep.
        preload: read the whole pack into memory of this process first, which has large pages on
            any file system.

    Raises:
        BadArgument: an argument that cannot be meant.
        StudyError: the folder is no pack of pixels, or (while iterating) an image is damaged, or
            the epoch is to go on in a process that was forked in its middle.
    """

    def __init__(
        self,
        pack: PackImages | str | Path,
        batch_size: int = 64,
        *,
        sampler: Iterable[int] | None = None,
        seed: int = 0,
        drop_last: bool = False,
        pinned: bool = False,
        overwrite: bool = False,
        preload: bool = False,
    ) -> None:
        self.pack = _opened(pack)
        super().__init__(len(self.pack), batch_size, sampler, seed, drop_last)
        self.overwrite = arguments.flag("overwrite", overwrite)
        self.memory = LentMemory(pinned, self.overwrite)
        self.preload = arguments.flag("preload", preload)
        self._rows: torch.Tensor | None = None
        self._mapping: mmap.mmap | None = None

    def __getstate__(self) -> dict[str, Any]:
        return {
            **self.__dict__,
            "_rows": None,
            "_mapping": None,
        }  # a mapped tensor would be pickled by value

    def __iter__(self) -> Iterator[torch.Tensor]:
        if _process.forked:
            # PyTorch's threads did not come along, and waiting for them never ends.
            torch.set_num_threads(1)
        rows = self._rows = self._all_rows() if self._rows is None else self._rows
        if self._mapping is not None and self._mapping.size() < len(self._mapping):
            raise StudyError(  # what is read behind a file's end ends the process
                f"{self.pack.data_file} was cut short while it was in use; delete the stored set "
                "and convert the images again."
            )
        shape, owner = tuple(self.pack.header.shape), os.getpid()
        with self.memory.lent() as memory:
            for indices in self.index_batches():
                for index in self.pack.unchecked(indices):
                    self.pack.require_intact(index, rows[index].numpy())
                batch = memory.take((len(indices), *shape))
                order = torch.tensor(indices, device="cpu")
                torch.index_select(rows, 0, order, out=batch.view(len(indices), -1))
                yield batch
                del batch  # or this frame would hold it while the trainer asks for the next
                require_process(owner)

    def _all_rows(self) -> torch.Tensor:
        """Every image as a row of bytes; nothing written there reaches the file."""
        try:
            held = self._read() if self.preload else self._mapped()
        except (OSError, MemoryError, ValueError) as error:
            raise StudyError(f"{self.pack.data_file} cannot be read: {error}.") from error
        if held.numel() != len(self.pack) * math.prod(self.pack.header.shape):
            raise StudyError(f"{self.pack.folder} was converted anew; open it again.")
        return held.view(len(self.pack), -1)

    def _read(self) -> torch.Tensor:
        file, available = self.pack.data_file, psutil.virtual_memory().available
        if file.stat().st_size > available:
            raise StudyError(
                f"{file} has {file.stat().st_size:,} bytes and {available:,} bytes of memory are "
                "free; leave out preload, and the pack is mapped instead."
            )
        return torch.from_numpy(np.fromfile(file, np.uint8))

    def _mapped(self) -> torch.Tensor:
        with self.pack.data_file.open("rb") as opened:
            mapped = mmap.mmap(opened.fileno(), 0, access=mmap.ACCESS_COPY)
        # A large page is read whole. Where the pack does not fit into memory, it would be read
        # many times over.
        if hasattr(mmap, "MADV_HUGEPAGE") and len(mapped) < psutil.virtual_memory().available:
            with contextlib.suppress(OSError):  # a kernel without large pages
                mapped.madvise(mmap.MADV_HUGEPAGE)
        self._mapping = mapped
        return torch.frombuffer(mapped, dtype=torch.uint8)


def _opened(pack: Any) -> PackImages:
    """
    Raises:
        BadArgument, StudyError: it is no pack of pixels; says what would be one.
    """
    if isinstance(pack, str | Path):
        pack = PackImages(user_path(pack))
    right = 'what ensure_stored(folder, "pixels", "pack") returns, or its folder'
    if not isinstance(pack, PackImages):
        raise arguments.refused("pack", getattr(pack, "folder", pack), right)
    if pack.header.kind != "pixels":
        raise StudyError(f"{pack.folder} holds JPEG bytes; store the pixels: give {right}.")
    return pack
