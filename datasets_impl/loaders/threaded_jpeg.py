"""Threads that decode JPEG images straight into the batch (X06, X07, X08).

A batch is a uint8 tensor, images x height x width x 3, 0-255. Decoding releases the GIL, so threads
use every core, and no image array lies between the encoded bytes and the batch. Construction lists
the folder; memory holds the paths, or the index of a pack, and `ahead + 2` batches.
"""

from __future__ import annotations

from collections.abc import Iterable
from functools import partial
from pathlib import Path
from typing import Any

from datasets_impl.decoders import (
    Decode,
    OtherShape,
    decode_or_pillow,
    decoder,
    default_decoder,
    two_sizes,
)
from datasets_impl.errors import BadImage
from datasets_impl.formats.restart.jpeg import whole_jpeg
from datasets_impl.loaders.threaded import ThreadedBatches
from datasets_impl.sources import Source


class ThreadedJpegLoader(ThreadedBatches):
    """Batches of equally shaped images, from a folder or a `Source`.

    Args:
        source: a folder of JPEG files, or a stored set of them.
        batch_size: images in a batch.
        decode_with: a name from `datasets_impl.decoders`, by default the fastest that is exact and
            installed; Pillow reads what it refuses.
        sampler, seed, threads, ahead, drop_last, pinned: see `ThreadedBatches`.

    Raises:
        BadArgument, MissingPackage: no such decoder, or its package is not installed.
        BadImage (while iterating): an image cannot be decoded, or two differ in size; names them.
    """

    def __init__(
        self,
        source: Source | str | Path,
        batch_size: int = 64,
        *,
        decode_with: str | None = None,
        sampler: Iterable[int] | None = None,
        seed: int = 0,
        threads: int | None = None,
        ahead: int = 2,
        drop_last: bool = False,
        pinned: bool = False,
    ) -> None:
        super().__init__(
            source,
            batch_size,
            sampler=sampler,
            seed=seed,
            threads=threads,
            ahead=ahead,
            drop_last=drop_last,
            pinned=pinned,
        )
        chosen = default_decoder() if decode_with is None else decoder(decode_with)
        self.decode_with = chosen.name
        self._decode: Decode | None = chosen.decode
        self._shape: tuple[int, ...] | None = None
        self._first = 0  # the image that the shape is from

    def __getstate__(self) -> dict[str, Any]:
        return {**super().__getstate__(), "_decode": None}

    def image_shape(self, first: int) -> tuple[int, ...]:
        if self._shape is None:
            self._first, self._shape = first, self._decoded(first, None).shape
        return self._shape

    def fill(self, row: Any, index: int, epoch: int) -> None:
        try:
            self._decoded(index, row)
        except OtherShape as error:
            name = self.source.name
            raise BadImage(two_sizes(name(index), name(self._first), error)) from None

    def _decoded(self, index: int, out: Any) -> Any:
        if self._decode is None:  # after unpickling
            self._decode = decoder(self.decode_with).decode
        data = whole_jpeg(self.source.read(index))
        return decode_or_pillow(self._decode, data, out, partial(self.left_to_pillow, index))
