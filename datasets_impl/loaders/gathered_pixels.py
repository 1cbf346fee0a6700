"""Decoded pixels in one mapped file, gathered row by row into a batch that was used before (X08).

What is left of loading when decoding, collating, moving between processes and page faults are gone:
one copy of each image. A batch is a uint8 tensor, images x height x width x 3, 0-255. Construction
opens a pack of pixels (see `datasets_impl.storage.formats`); pixels live in the page cache.
PyTorch's own threads share the copy; `torch.set_num_threads` says how many.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import torch

from datasets_impl.errors import StudyError
from datasets_impl.loaders.order import ShardedShuffle, batch_count, batched
from datasets_impl.loaders.recycled import RecycledBatches
from datasets_impl.storage.formats.pack import PackImages


class _Process:
    """Whether this process was forked after this module was imported."""

    forked = False


_process = _Process()
os.register_at_fork(after_in_child=lambda: setattr(_process, "forked", True))


class GatheredPixelsLoader:
    """Shuffled batches from a pack of pixels.

    Args:
        pack: the folder of the pack, or the pack opened.
        sampler: the order of the next epoch; a true shuffle by `seed` when it is left out.
        pinned: batches in page-locked memory, for a CUDA device.
        overwrite: every batch in the same memory, which stays in the processor's cache. A batch is
            then valid only until the next one is asked for; copy what you keep.

    Raises:
        StudyError: the folder is no pack of pixels, or (while iterating) an image is damaged.
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
    ) -> None:
        self.pack = pack if isinstance(pack, PackImages) else PackImages(pack)
        if self.pack.header.kind != "pixels":
            raise StudyError(f"{self.pack.folder} holds JPEG bytes; store the pixels instead.")
        self.batch_size, self.drop_last = batch_size, drop_last
        self.sampler = ShardedShuffle(len(self.pack), seed) if sampler is None else sampler
        self.batches = RecycledBatches(pinned, overwrite=overwrite)
        self._rows: torch.Tensor | None = None

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_rows": None}  # a mapped tensor would be pickled by value

    def __len__(self) -> int:
        images = len(self.sampler)  # type: ignore[arg-type]
        return batch_count(images, self.batch_size, self.drop_last)

    def set_epoch(self, epoch: int) -> None:
        """Which epoch's order comes next, for samplers that know epochs."""
        self.sampler.set_epoch(epoch)  # type: ignore[attr-defined]

    def __iter__(self) -> Iterator[torch.Tensor]:
        if _process.forked:
            # PyTorch's threads did not come along, and waiting for them never ends.
            torch.set_num_threads(1)
        rows = self._rows = self._mapped() if self._rows is None else self._rows
        shape = tuple(self.pack.header.shape)
        for indices in batched(self.sampler, self.batch_size, self.drop_last):
            for index in self.pack.unchecked(indices):
                self.pack.require_intact(index, rows[index].numpy())
            batch = self.batches.take((len(indices), *shape))
            torch.index_select(rows, 0, torch.tensor(indices), out=batch.view(len(indices), -1))
            yield batch
            del batch  # or this frame would hold it while the trainer asks for the next

    def _mapped(self) -> torch.Tensor:
        """Every image as a row of bytes; a private mapping, so nothing written reaches the file."""
        file = self.pack.data_file
        size = file.stat().st_size
        mapped = torch.from_file(str(file), shared=False, size=size, dtype=torch.uint8)
        return mapped.view(len(self.pack), -1)
