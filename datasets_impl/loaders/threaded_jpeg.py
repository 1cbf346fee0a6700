"""Threads that decode JPEG images straight into the batch (X06, X07, X08).

A batch is a uint8 tensor, images x height x width x 3, 0-255. Decoding releases the GIL, so threads
use every core, and no image array lies between the encoded bytes and the batch. Construction lists
the folder; memory holds the paths, or the index of a pack, and `ahead + 2` batches.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from datasets_impl.decoders import Decode, decoder
from datasets_impl.loaders.threaded import ThreadedLoader
from datasets_impl.restart_jpeg import whole_jpeg
from datasets_impl.sources import Source, as_source


class ThreadedJpegLoader(ThreadedLoader):
    """Batches of equally shaped images, from a folder or a `Source`.

    `decode_with` is a name from `datasets_impl.decoders`; Pillow reads what it refuses.
    The other arguments are those of `ThreadedLoader`.

    Raises (while iterating):
        ValueError: an image cannot be decoded, or differs in shape from the first; names it.
    """

    def __init__(
        self,
        source: Source | str | Path,
        batch_size: int = 64,
        *,
        decode_with: str = "simplejpeg",
        **options: Any,
    ) -> None:
        super().__init__(as_source(source), batch_size, **options)
        self.decode_with = decode_with
        self._decode: Decode | None = None
        self._shape: tuple[int, ...] | None = None

    def __getstate__(self) -> dict[str, Any]:
        return {**super().__getstate__(), "_decode": None}

    def image_shape(self, first: int) -> tuple[int, ...]:
        if self._shape is None:
            self._shape = decoder("pil").decode(whole_jpeg(self.source.read(first)), None).shape
        return self._shape

    def fill(self, row: Any, index: int, epoch: int) -> None:
        if self._decode is None:
            self._decode = decoder(self.decode_with).decode
        data = whole_jpeg(self.source.read(index))
        try:
            self._decode(data, row)
        except (OSError, RuntimeError, ValueError) as error:
            decoder("pil").decode(data, row)
            self.left_to_pillow(index, error)
