"""Write the images of a corpus with threads, and put a finished folder in place under a lock.

Threads, not processes: nothing is orphaned when the builder is killed.
"""

from __future__ import annotations

import hashlib
import io
import os
import re
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import FIRST_EXCEPTION, wait
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import NamedTuple

import numpy as np
from PIL import Image

from datasets_impl.corpus.photographs import (
    Picture,
    Pixels,
    assign_sources,
    cut,
    source_of,
    window_of,
)
from datasets_impl.errors import StudyError
from datasets_impl.files.records import json_of
from datasets_impl.files.whole import is_unfinished, locked, remove_unfinished, whole_folder
from datasets_impl.system.cores import cores
from datasets_impl.system.threads import ThreadPool

# Also the number of a user's decoded pictures in memory at once, at 7 bytes per pixel while one is
# being read (Pillow's copy and NumPy's).
THREADS = min(4, cores())
MAX_DRAWS = 32
FLAT = 24  # a crop whose channels span fewer levels shows nothing, and soon repeats itself
MANIFEST, IMAGES = "manifest.json", "images"
NAME = re.compile(r"(\d{5})\.jpg")


def file_name(index: int) -> str:
    """The name of image `index`; five digits, so that sorting by name is sorting by index."""
    return f"{index:05d}.jpg"


def content_hash(file_hashes: Sequence[bytes]) -> str:
    """SHA-256 over each file's name and SHA-256, in order of name."""
    digest = hashlib.sha256()
    for index, file_hash in enumerate(file_hashes):
        digest.update(file_name(index).encode() + file_hash)
    return digest.hexdigest()


def is_flat(pixels: Pixels) -> bool:
    """Whether no channel of a height x width x 3 crop spans `FLAT` levels."""
    flat = pixels.reshape(-1, 3)
    return int((flat.max(axis=0) - flat.min(axis=0)).max()) < FLAT


def encode(pixels: Pixels, quality: int, source: Picture | None = None) -> bytes:
    """A baseline JPEG of `pixels`, 4:2:0, or with the tables and subsampling of `source`.

    Encoded in memory: Pillow, when it writes to a file itself, does not notice a short write on a
    full disk and would leave a truncated file.
    """
    buffer = io.BytesIO()
    image = Image.fromarray(pixels)
    if source is not None and source.tables is not None:
        tables = [list(table) for table in source.tables]
        image.save(buffer, "JPEG", qtables=tables, subsampling=source.subsampling)
    else:
        image.save(buffer, "JPEG", quality=quality, subsampling="4:2:0")
    return buffer.getvalue()


class Written(NamedTuple):
    """SHA-256 of an image's pixels and of its file, the file's bytes, and if it equals another."""

    pixels_hash: bytes
    file_hash: bytes
    size: int
    repeated: bool


@dataclass
class Writer:
    """Writes `count` images of `side` x `side` pixels into `folder`; `images` says what came out.

    Crops are encoded at `quality`, or with their source's tables if `own_tables`; `advance` is
    called once per image.
    """

    count: int
    side: int
    seed: int
    folder: Path
    quality: int
    own_tables: bool
    advance: Callable[[], None]
    stop: threading.Event = field(default_factory=threading.Event)
    images: dict[int, Written] = field(default_factory=dict)

    def run(self, pictures: list[Picture]) -> None:
        """Write crops of `pictures`, or uniform noise if there are none; one source per task.

        Raises:
            StudyError: a picture cannot be read.
            OSError: a file cannot be written. On any error, Ctrl-C included, no thread is left.
        """
        if pictures:
            groups = assign_sources(self.seed, self.count, len(pictures))
            pairs = zip(pictures, groups, strict=True)
            tasks = [partial(self._cut_group, picture, group) for picture, group in pairs if group]
        else:
            tasks = [partial(self._noise, range(n, self.count, THREADS)) for n in range(THREADS)]
        pool = ThreadPool(THREADS)
        try:
            for future in wait([pool.submit(task) for task in tasks], None, FIRST_EXCEPTION).done:
                future.result()
        finally:
            self.stop.set()
            pool.shutdown(cancel_futures=True)
        self._settle(pictures)

    def _cut_group(self, picture: Picture, indices: list[int]) -> None:
        pixels = picture.load()
        seen: set[bytes] = set()
        for index in indices:
            if self.stop.is_set():
                return
            self._write_crop(index, picture, pixels, seen)
            self.advance()

    def _settle(self, pictures: list[Picture]) -> None:
        """Redraw what equals a crop of another picture (a copy of a file, say), in index order.

        Each image still depends on lower indices alone, so a smaller corpus stays a prefix.
        """
        seen: set[bytes] = set()
        for index in range(self.count):
            image = self.images[index]
            if pictures and image.pixels_hash in seen and not image.repeated:
                picture = pictures[source_of(self.seed, index, len(pictures))]
                self._write_crop(index, picture, picture.load(), seen)
            seen.add(self.images[index].pixels_hash)

    def _write_crop(self, index: int, picture: Picture, pixels: Pixels, seen: set[bytes]) -> None:
        """Write image `index` as its first draw that shows something and is not in `seen`.

        When no draw is both, the first one not in `seen` will do, and then the first one of all.
        """
        fallback: tuple[bool, Pixels, bytes] | None = None
        for draw in range(MAX_DRAWS):
            window = window_of(self.seed, index, draw, self.side, *pixels.shape[:2])
            crop = cut(pixels, window, self.side)
            digest = hashlib.sha256(crop.data).digest()
            repeated = digest in seen
            if not repeated and not is_flat(crop):
                break
            if fallback is None or (fallback[0] and not repeated):
                fallback = (repeated, crop, digest)
        else:
            assert fallback is not None
            repeated, crop, digest = fallback
        seen.add(digest)
        self._write(index, crop, digest, repeated, picture)

    def _noise(self, indices: range) -> None:
        for index in indices:
            if self.stop.is_set():
                return
            numbers = np.random.default_rng([self.seed, index, self.side])
            pixels = np.frombuffer(numbers.bytes(self.side * self.side * 3), np.uint8)
            digest = hashlib.sha256(pixels.data).digest()
            self._write(index, pixels.reshape(self.side, self.side, 3), digest, False, None)
            self.advance()

    def _write(
        self, index: int, pixels: Pixels, digest: bytes, repeated: bool, picture: Picture | None
    ) -> None:
        encoded = encode(pixels, self.quality, picture if self.own_tables else None)
        path = self.folder / file_name(index)
        with path.open("wb") as handle:
            handle.write(encoded)
            handle.flush()
            os.fsync(handle.fileno())
        file_hash = hashlib.sha256(encoded).digest()
        self.images[index] = Written(digest, file_hash, len(encoded), repeated)


@contextmanager
def replacing(
    folder: Path, needed: Callable[[], bool], waiting: Callable[[], None]
) -> Iterator[Path | None]:
    """Under `folder`'s lock, yield a new empty folder that becomes `folder` at the end.

    Yields None when `needed()`, asked under the lock, says no. `waiting` is called when another
    process holds the lock. On any error, Ctrl-C included, nothing is left behind; what killed
    builders left is swept here by the next one.

    Raises:
        StudyError: the cache cannot be written, the disk is full, or something else stands there.
    """
    _sweep(folder)
    with whole_folder(
        folder, is_corpus, needed=needed, waiting=waiting, what="a whole corpus"
    ) as new:
        yield new


def is_corpus(folder: Path) -> bool:
    """Whether `folder` is a corpus of ours, of whatever version, and holds no other file."""
    try:
        manifest = json_of(folder / MANIFEST)
        count = int(manifest["count"])
    except (OSError, OverflowError, ValueError, KeyError, TypeError):
        return False
    ours = {"generator", "content_hash"} <= set(manifest)
    return ours and all(_is_of_corpus(path, folder, count) for path in folder.rglob("*"))


def _is_of_corpus(path: Path, folder: Path, count: int) -> bool:
    if path.parent == folder:
        return path.name in (MANIFEST, IMAGES)
    found = NAME.fullmatch(path.name)
    return path.parent == folder / IMAGES and found is not None and int(found[1]) < count


def _sweep(folder: Path) -> None:
    """Remove what killed builders of other corpora left, where nobody builds now."""
    for leftover in folder.parent.glob(".*.partial"):
        name = leftover.name.removeprefix(".").removesuffix(".partial")
        if name == folder.name or not is_unfinished(leftover):
            continue
        try:
            with locked(folder.with_name(name), waiting=_skip):
                remove_unfinished(leftover)
        except (OSError, StudyError):
            continue


def _skip() -> None:
    raise BlockingIOError
