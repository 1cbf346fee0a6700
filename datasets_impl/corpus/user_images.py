"""Find and read a user's own pictures, without ever writing to their folder.

Any tree of .jpg/.jpeg files (in any case) will do: mixed sizes, grey, CMYK, turned by EXIF. A file
that cannot be read is skipped and named in one sentence; only a folder with nothing readable in it
is an error.
"""

from __future__ import annotations

import hashlib
import os
import stat
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
from PIL import Image, ImageOps, JpegImagePlugin, PngImagePlugin, UnidentifiedImageError

from datasets_impl.corpus.photographs import Picture, Pixels, seeded
from datasets_impl.errors import StudyError
from datasets_impl.files.paths import IMAGES_REMEDY, check_images, printable, user_path
from datasets_impl.files.pictures import SAMPLED_FILES, rgb, sample
from datasets_impl.system.threads import ThreadPool

SUFFIXES = (".jpg", ".jpeg")
# JPEG (with the several-in-one files of some cameras), and PNG files named .jpg, as even ImageNet
# has. No other format: some of Pillow's readers start external programs.
FORMATS = (JpegImagePlugin.JpegImageFile.format, PngImagePlugin.PngImageFile.format)
MAX_SOURCES = 256  # pictures used as sources; more would only cost decoding time
MAX_PIXELS = 89_478_485  # where Pillow starts to warn of decompression bombs


@dataclass(frozen=True)
class Listing:
    """What a folder holds: relative names (sorted), and a fingerprint of names, sizes, times and
    some content.

    `skipped` has a sentence for every folder that could not be listed.
    """

    folder: Path
    names: tuple[str, ...]
    fingerprint: str
    skipped: tuple[str, ...]


@dataclass(frozen=True)
class Selection:
    """The pictures used as sources, in order of name, and a sentence per file that was skipped."""

    pictures: list[Picture]
    skipped: list[str]


def list_pictures(folder: Path) -> Listing:
    """List the JPEG files under `folder`, recursively, following links.

    Raises:
        StudyError: the folder is missing, not a folder, not readable, or holds no such file.
    """
    root = user_path(folder).resolve()
    check_images(root)
    skipped: list[str] = []

    def unlisted(error: OSError) -> None:
        where = printable(os.path.relpath(error.filename, root))
        skipped.append(f"The folder {where} was skipped: {error.strerror or error}.")

    names: list[str] = []
    visited: set[tuple[int, int]] = set()
    for parent, folders, files in os.walk(root, onerror=unlisted, followlinks=True):
        try:
            here = Path(parent).stat()
        except OSError as error:  # it went while its parent was listed
            unlisted(error)
            folders.clear()
            continue
        if (here.st_dev, here.st_ino) in visited:  # a link back up the tree would never end
            folders.clear()
            continue
        visited.add((here.st_dev, here.st_ino))
        folders.sort()
        relative = Path(parent).relative_to(root)
        names += [(relative / name).as_posix() for name in files if name.lower().endswith(SUFFIXES)]
    names.sort()
    if not names:
        why = f" ({skipped[0].rstrip('.')})" if skipped else ""
        raise StudyError(f"No .jpg or .jpeg file was found under {folder}{why}; {IMAGES_REMEDY}.")
    return Listing(root, tuple(names), _fingerprint(root, names), tuple(sorted(skipped)))


def _fingerprint(root: Path, names: list[str]) -> str:
    """Changes when a file is added, removed, moved or written; see `files.fingerprint`."""
    digest = hashlib.sha256(os.fsencode(root))
    step = max(1, -(-len(names) // SAMPLED_FILES))
    for number, name in enumerate(names):
        try:
            status = (root / name).stat()
            facts = f"{status.st_size}/{status.st_mtime_ns}"
            if stat.S_ISREG(status.st_mode) and not number % step:
                facts += f"/{sample(root / name, status.st_size):x}"
        except OSError:  # a dangling link, for example; skipped by name when it is opened
            facts = "unreadable"
        digest.update(b"\0" + os.fsencode(name) + b"\0" + facts.encode())
    return digest.hexdigest()


def select_pictures(
    listing: Listing, seed: int, threads: int, advance: Callable[[], None] = lambda: None
) -> Selection:
    """Choose up to `MAX_SOURCES` readable pictures: all of them, or a sample drawn with `seed`.

    Each candidate's whole file is decoded once at reduced scale, which finds truncated ones too.

    Raises:
        StudyError: none can be read.
    """
    waiting = sorted(listing.names, key=lambda name: seeded("sample", seed, printable(name)))
    pictures: list[Picture] = []
    skipped = list(listing.skipped)
    with warnings.catch_warnings(), _threads(threads) as pool:
        warnings.simplefilter("ignore")  # Pillow warns of what is named in `skipped` anyway
        while waiting and len(pictures) < MAX_SOURCES:
            step = max(MAX_SOURCES - len(pictures), 32)
            batch, waiting = waiting[:step], waiting[step:]
            for outcome in pool.map(partial(_examine, listing.folder), batch):
                if isinstance(outcome, str):
                    skipped.append(outcome)
                elif len(pictures) < MAX_SOURCES:
                    pictures.append(outcome)
                advance()
    if not pictures:
        raise StudyError(
            f"None of the {len(listing.names):,} .jpg and .jpeg files under {listing.folder} can "
            f"be read (the first: {sorted(skipped)[0].rstrip('.')}); {IMAGES_REMEDY}."
        )
    return Selection(sorted(pictures, key=lambda picture: picture.name), sorted(skipped))


@contextmanager
def _threads(count: int) -> Iterator[ThreadPool]:
    """A pool that on Ctrl-C drops what waits instead of finishing it."""
    pool = ThreadPool(count)
    try:
        yield pool
    finally:
        pool.shutdown(cancel_futures=True)


def _examine(folder: Path, name: str) -> Picture | str:
    """The picture `name` as a source, or the sentence that says why it is none."""
    path = folder / name
    try:
        _, tables, subsampling = _open(path, reduced=True)
    except Exception as error:  # Pillow's readers raise many kinds on broken files
        return f"{printable(name)} was skipped: {_reason(error)}."
    return Picture(printable(name), partial(read_picture, path), tables, subsampling)


def read_picture(path: Path) -> Pixels:
    """Decode one picture upright (EXIF applied): uint8, height x width x 3, RGB.

    Raises:
        StudyError: the file cannot be read (any more).
    """
    try:
        return np.asarray(_open(path)[0])
    except Exception as error:
        raise StudyError(
            f"{path} could not be read: {_reason(error)}; run again without it."
        ) from error


def _open(
    path: Path, reduced: bool = False
) -> tuple[Image.Image, tuple[tuple[int, ...], ...] | None, int]:
    """The upright RGB picture, its quantization tables per component, and its subsampling."""
    if path.exists() and not path.is_file():  # opening a named pipe would wait for ever
        raise ValueError("it is not a regular file")
    with Image.open(path, formats=FORMATS) as image:
        if image.width * image.height > MAX_PIXELS:
            raise Image.DecompressionBombError(
                f"it has {image.width} x {image.height} pixels, more than the {MAX_PIXELS:,} that "
                "are safe to decode"
            )
        tables, subsampling = None, -1
        if isinstance(image, JpegImagePlugin.JpegImageFile):
            tables = tuple(tuple(image.quantization[part[3]]) for part in image.layer)[:3]
            # With one or four components the sampling says nothing about a chroma of an RGB copy.
            subsampling = JpegImagePlugin.get_sampling(image) if len(image.layer) == 3 else -1
        if reduced:
            image.draft("RGB", (1, 1))
        image.load()
        ImageOps.exif_transpose(image, in_place=True)
        # `convert` copies even what is RGB, and a user's picture may take hundreds of megabytes.
        return image if image.mode == "RGB" else rgb(image), tables, subsampling


def _reason(error: Exception) -> str:
    if isinstance(error, UnidentifiedImageError):
        return "it is not a JPEG picture"
    if isinstance(error, PermissionError):
        return "no permission to read it"
    if isinstance(error, FileNotFoundError):
        return "it is not there"
    if isinstance(error, Image.DecompressionBombError) and "safe to decode" not in str(error):
        return f"it has more than the {MAX_PIXELS:,} pixels that are safe to decode"
    if "truncated" in str(error):
        return "it is truncated"
    return f"{str(error).rstrip('.') or type(error).__name__}"
