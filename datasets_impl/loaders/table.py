"""Every loader in one table; the contract test covers each row (tests/test_loaders.py).

`build(root, **options)` takes a folder of equally shaped JPEG files and the options that all share:
batch_size, sampler, seed, drop_last. What a loader reads from is built beside the folder first.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from datasets_impl.formats import ensure_stored
from datasets_impl.loaders.gathered_pixels import GatheredPixelsLoader
from datasets_impl.loaders.threaded_jpeg import ThreadedJpegLoader


@dataclass(frozen=True)
class Loader:
    """`exact`: its pixels equal Pillow's; `reads`: what stands on disk for it."""

    name: str
    build: Callable[..., Any]
    reads: str
    claims: tuple[str, ...]
    exact: bool = True


def _from_pack(root: Path, **options: Any) -> ThreadedJpegLoader:
    return ThreadedJpegLoader(ensure_stored(root, "jpeg", "pack"), **options)


def _gathered(root: Path, **options: Any) -> GatheredPixelsLoader:
    pack: Any = ensure_stored(root, "pixels", "pack")
    return GatheredPixelsLoader(pack, **options)


def _preloaded(root: Path, **options: Any) -> GatheredPixelsLoader:
    return _gathered(root, preload=True, **options)


def _fast(root: Path, **options: Any) -> ThreadedJpegLoader:
    return ThreadedJpegLoader(root, decode_with="simplejpeg-fast", **options)


_ROWS = (
    Loader("threaded-files", ThreadedJpegLoader, "JPEG files", ("X06", "X07", "X08")),
    Loader("threaded-files-fast", _fast, "JPEG files", ("X07", "X08"), exact=False),
    Loader("threaded-pack", _from_pack, "JPEG bytes in one file", ("X08",)),
    Loader("gathered-pixels", _gathered, "decoded pixels in one mapped file", ("X06", "X08")),
    Loader("gathered-preloaded", _preloaded, "decoded pixels in memory", ("X08",)),
)
LOADERS: dict[str, Loader] = {row.name: row for row in _ROWS}
