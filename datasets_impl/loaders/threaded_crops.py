"""Threads for the usual training input: decode, random resized crop, flip, into the batch (X08).

A batch is a uint8 tensor, images x 3 x size x size, 0-255; normalising belongs to the trainer.
Images may differ in shape. Each is decoded, the box of `random_box` is cut out, resized with
antialiasing by PyTorch's uint8 kernel, and written to its place. With `scaled` the decoder works at
the smallest DCT scale that still has the output's size inside the box, which is faster and not the
same pixels; a test bounds the difference.
"""

from __future__ import annotations

import math
import threading
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch.nn.functional import interpolate

from datasets_impl import arguments
from datasets_impl.decoders import decoder, require_bytes
from datasets_impl.formats.restart.jpeg import Record, whole_jpeg
from datasets_impl.loaders.crops import RATIO, SCALE, Box, checked_ranges, random_box
from datasets_impl.loaders.threaded import ThreadedLoader
from datasets_impl.sources import Source

DECODER = "simplejpeg"  # the one that decodes at a reduced scale into memory it is given
MOST_SIDE = 65_535  # of a JPEG
FAST_SCALES = (1 / 8, 1 / 4, 1 / 2)
_local = threading.local()


class ThreadedCropsLoader(ThreadedLoader):
    """Random resized crops of JPEG images, from a folder or a `Source`.

    Args:
        source: a folder of JPEG files, or a stored set of them.
        batch_size: images in a batch.
        size: side of the square output.
        scaled: decode at reduced DCT scale where the box is large enough.
        fast: libjpeg-turbo's fast DCT and plain chroma upsampling.
        scale, ratio: ranges of the box's area (as a part of the image's) and aspect ratio.
        sampler, seed, threads, ahead, drop_last, pinned: see `ThreadedLoader`.

    Pillow reads what the decoder refuses, whole.

    Raises:
        BadArgument: an argument that cannot be meant.
        MissingPackage: simplejpeg is not installed.
        BadImage (while iterating): an image cannot be decoded; names it.
    """

    def __init__(
        self,
        source: Source | str | Path,
        batch_size: int = 64,
        *,
        size: int = 224,
        scale: tuple[float, float] = SCALE,
        ratio: tuple[float, float] = RATIO,
        scaled: bool = False,
        fast: bool = False,
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
        self.size = arguments.positive_int("size", size, MOST_SIDE)
        self.scale, self.ratio = checked_ranges(scale, ratio)
        self.scaled, self.fast = arguments.flag("scaled", scaled), arguments.flag("fast", fast)
        decoder(DECODER)

    def image_shape(self, first: int) -> tuple[int, ...]:
        return (3, self.size, self.size)

    def fill(self, row: Any, index: int, epoch: int) -> None:
        data = self.source.read(index)
        try:
            pixels, box = self._decoded(Record(data), index, epoch)
        except Exception as error:  # no JPEG, a damaged header or scan: Pillow reads more
            pixels = decoder("pil").decode(whole_jpeg(data), None)
            box = self._box(pixels.shape[0], pixels.shape[1], index, epoch)
            self.left_to_pillow(index, error)
        write_resized(pixels, box, row)

    def _box(self, height: int, width: int, index: int, epoch: int) -> Box:
        return random_box(height, width, self.seed, epoch, index, self.scale, self.ratio)

    def _decoded(self, record: Record, index: int, epoch: int) -> tuple[np.ndarray[Any, Any], Box]:
        """Pixels of the image or the part that is needed, perhaps made smaller; the box in them."""
        import simplejpeg

        jpeg: Any = record.jpeg
        if record.has_restarts:
            height, width = record.height, record.width
        else:
            height, width = image_size(jpeg)
            require_bytes(jpeg, height, width)
        box = self._box(height, width, index, epoch)
        if record.has_restarts:
            region = record.region(box.top, box.left, box.height, box.width)
            jpeg, height, width = region.jpeg, region.height, region.width
            box = replace(box, top=region.top, left=region.left)
        scale = self._scale(box)
        least = (math.ceil(height * scale), math.ceil(width * scale)) if scale < 1 else (0, 0)
        pixels = simplejpeg.decode_jpeg(
            jpeg,
            "RGB",
            fastdct=self.fast,
            fastupsample=self.fast,
            min_height=least[0],
            min_width=least[1],
            buffer=self._place(3 * height * width),
        )
        return pixels, _scaled(box, pixels.shape[0] / height, pixels.shape[1] / width)

    def _scale(self, box: Box) -> float:
        """The smallest DCT scale at which the box still has the output's size.

        Of the scales that libjpeg-turbo has fast code for; 7/8 takes longer than the whole.
        """
        least = max(self.size / box.height, self.size / box.width) if self.scaled else 1.0
        return next((scale for scale in FAST_SCALES if scale >= least), 1.0)

    @staticmethod
    def _place(size: int) -> np.ndarray[Any, Any]:
        """Memory of the calling thread for `size` bytes, which the next call uses again."""
        held: np.ndarray[Any, Any] | None = getattr(_local, "place", None)
        if held is None or held.size < size:
            held = _local.place = np.empty(size, np.uint8)
        return held


def image_size(jpeg: Any) -> tuple[int, int]:
    """Height and width.

    Raises:
        ValueError: it is no JPEG.
    """
    import simplejpeg

    height, width, *_ = simplejpeg.decode_jpeg_header(jpeg)
    return height, width


def _scaled(box: Box, down: float, across: float) -> Box:
    if down == across == 1:
        return box
    top, left = round(box.top * down), round(box.left * across)
    height, width = round(box.height * down), round(box.width * across)
    return Box(top, left, max(1, height), max(1, width), box.flip)


def write_resized(pixels: np.ndarray[Any, Any], box: Box, row: np.ndarray[Any, Any]) -> None:
    """The box of `pixels` (height x width x 3), antialiased into `row` (3 x s x s)."""
    part = pixels[box.top : box.top + box.height, box.left : box.left + box.width]
    # A channels-last view: PyTorch's uint8 kernel takes it as it is.
    view = torch.from_numpy(part).permute(2, 0, 1)[None]
    resized = interpolate(view, size=row.shape[1:], mode="bilinear", antialias=True)[0]
    if box.flip:
        resized = resized.flip(-1)
    torch.from_numpy(row).copy_(resized)
