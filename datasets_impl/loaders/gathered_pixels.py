"""Decoded pixels in one mapped file, gathered row by row into a batch that was used before (X08).

What is left of loading when decoding, collating, moving between processes and page faults are gone:
one copy of each image. A batch is a uint8 tensor, images x height x width x 3, 0-255. Construction
opens a pack of pixels (see `datasets_impl.formats`); pixels live in the page cache.
PyTorch's own threads share the copy; `torch.set_num_threads` says how many.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import torch

from datasets_impl import arguments
from datasets_impl.errors import StudyError
from datasets_impl.files.paths import user_path
from datasets_impl.formats.pack import PackImages
from datasets_impl.loaders.order import IndexBatches
from datasets_impl.loaders.recycled import LentMemory
from datasets_impl.loaders.stored_pixels import PackRows
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
        self.rows = PackRows(self.pack, arguments.flag("preload", preload))

    def __iter__(self) -> Iterator[torch.Tensor]:
        if _process.forked:
            # PyTorch's threads did not come along, and waiting for them never ends.
            torch.set_num_threads(1)
        shape, owner = tuple(self.pack.header.shape), os.getpid()
        with self.memory.lent() as memory:
            for indices in self.index_batches():
                batch = memory.take((len(indices), *shape))
                self.rows.gather(indices, batch)
                yield batch
                del batch  # or this frame would hold it while the trainer asks for the next
                require_process(owner)


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
