"""Which files of a folder are its images, whether they changed, and how one is read: one rule for
every variant."""

from __future__ import annotations

import errno
import hashlib
import heapq
import json
import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import xxhash
from PIL import Image, UnidentifiedImageError

from datasets_impl.errors import BadImage, StudyError, closed
from datasets_impl.files.paths import user_path
from datasets_impl.files.records import require_file

JPEG_SUFFIXES = (".jpg", ".jpeg")
SAMPLE = 4096  # bytes read at three places of a file, for its fingerprint
LACKS = (errno.EMFILE, errno.ENFILE, errno.ENOMEM)  # no fault of a file
SAMPLED_FILES = 10_000  # of a folder with more, only so many, evenly spread
Pixels = np.ndarray[Any, np.dtype[np.uint8]]


def jpeg_files(root: str | Path) -> list[str]:
    """Sorted paths of the JPEG files in `root` and below; see `files_of`."""
    return files_of(root, JPEG_SUFFIXES, "JPEG file")


def files_of(root: str | Path, suffixes: tuple[str, ...], what: str) -> list[str]:
    """Sorted paths of the files in `root` and below with one of `suffixes`, in any case.

    Hidden folders are left out. Links to folders are followed, but each folder is taken once, under
    its own name rather than a link's where it has both.

    Raises:
        StudyError: there is none, a folder cannot be listed, or one is a named pipe or the like,
            which a reader would wait for.
    """
    root = user_path(root)
    found: list[str] = []
    folders, links = [str(root)], list[str]()
    seen: set[tuple[int, int]] = set()
    while folders or links:
        folder = folders.pop() if folders else heapq.heappop(links)
        try:
            status = os.stat(folder)  # noqa: PTH116 - many folders
            if (status.st_dev, status.st_ino) in seen:
                continue
            seen.add((status.st_dev, status.st_ino))
            with os.scandir(folder) as entries:
                for entry in entries:
                    if is_folder(entry):
                        if entry.name.startswith("."):
                            continue
                        if entry.is_symlink():
                            heapq.heappush(links, entry.path)
                        else:
                            folders.append(entry.path)
                    elif entry.name.lower().endswith(suffixes):
                        if os.path.exists(entry.path) and not entry.is_file():  # noqa: PTH110
                            raise BadImage(f"{entry.path} is no regular file; remove it.")
                        found.append(entry.path)  # also a link that leads nowhere: it is missed
        except OSError as error:
            raise StudyError(
                f"{error.filename} cannot be listed ({error.strerror or error}); name a folder of "
                f"{what}s that may be read."
            ) from error
    if not found:
        raise StudyError(f"{root} has no {what}; name a folder that holds some.")
    return sorted(found)


def is_folder(entry: os.DirEntry[str]) -> bool:
    """Whether a folder, or a link to one, may be entered."""
    try:
        return entry.is_dir()
    except OSError:  # a link that leads in a circle, or to where one may not look
        return False


def beside(root: Path, ending: str) -> Path:
    """`<root>.<ending>`, where what is made of a folder goes unless another place is named.

    Raises:
        StudyError: nothing stands beside the root of the file system.
    """
    if not root.name:
        raise StudyError(f"Nothing can be written beside {root}; name a folder below it.")
    return root.with_name(f"{root.name}.{ending}")


def fingerprint(paths: Sequence[str], root: str | Path) -> str:
    """Changes whenever a file below `root` is added, removed, moved or rewritten.

    Of each file it takes the path below `root`, size and time, and of up to `SAMPLED_FILES` also
    some content: all of a small one, else `SAMPLE` bytes at its beginning, in its middle and at its
    end. That is about 10 microseconds a file in the page cache, and up to three reads if it is not.

    Raises:
        BadImage: a file is missing or cannot be read.
    """
    prefix = f"{user_path(root)}{os.sep}"
    step = max(1, -(-len(paths) // SAMPLED_FILES))
    whole = hashlib.sha256()
    for number, path in enumerate(paths):
        try:
            status = os.stat(path)  # noqa: PTH116 - many files
            require_file(status, path)
            some = 0 if number % step else sample(path, status.st_size)
        except OSError as error:
            raise unreadable(path, error) from error
        facts = f"\0{status.st_size}\0{status.st_mtime_ns}\0{some:x}\n"
        whole.update(os.fsencode(path.removeprefix(prefix)) + facts.encode())
    return whole.hexdigest()


def digest(data: Any) -> int:
    """xxHash3, 64 bits: some 10 GB/s, so that checking costs little beside reading."""
    return xxhash.xxh3_64_intdigest(data)


def seal(fields: Any) -> str:
    """A digest of what a header says, to stand in it: a header that was edited is none."""
    return f"{digest(json.dumps(fields, sort_keys=True).encode()):016x}"


def sample(path: str | Path, size: int) -> int:
    """A digest of some content of a file of `size` bytes."""
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        if size <= 4 * SAMPLE:
            return digest(os.read(descriptor, 4 * SAMPLE))
        places = (0, size // 2, size - SAMPLE)
        return digest(b"".join(os.pread(descriptor, SAMPLE, place) for place in places))
    finally:
        os.close(descriptor)


@contextmanager
def opened(path: Any, name: str | None = None) -> Iterator[Image.Image]:
    """A picture, opened by Pillow, for what Pillow does with it.

    Args:
        path: a path or a file.
        name: what it is called in an error, when `path` is no path.

    Raises:
        BadImage: it cannot be read, or not be decoded inside the block.
    """
    try:
        if isinstance(path, str | os.PathLike):
            require_file(os.stat(path), os.fspath(path))  # noqa: PTH116 - many files
        with Image.open(path) as picture:
            yield picture
    except (MemoryError, StudyError):
        raise
    except Exception as error:  # Pillow's readers raise many kinds on broken files
        raise unreadable(name or path, error) from error


def decoded(path: Any, name: str | None = None) -> Pixels:
    """Pixels of a picture by Pillow, height x width x 3, in an array of their own.

    Raises:
        BadImage: it cannot be read; the sentence names it (see `opened`).
    """
    with opened(path, name) as picture:
        return np.array(rgb(picture))


def rgb(picture: Image.Image) -> Image.Image:
    """`picture` with 8 bits for each of red, green and blue.

    Of 16 bits the higher 8 are kept; Pillow's own conversion would make nearly all of it white.

    Raises:
        ValueError: its numbers have 32 bits, and nothing says which of them is white.
    """
    if picture.mode.startswith("I;16"):
        return Image.fromarray((np.asarray(picture) >> 8).astype(np.uint8)).convert("RGB")
    if picture.mode in ("I", "F"):
        raise ValueError("its numbers have 32 bits and do not fit into 8")
    return picture.convert("RGB")


def unreadable(path: str | Path, error: Exception) -> BadImage:
    """What to raise for a picture that is there and no picture, or that may not be read."""
    lacks = isinstance(error, MemoryError) or getattr(error, "errno", None) in LACKS
    what = "free or allow more of that; the picture may be whole" if lacks else "mend or remove it"
    if isinstance(error, PermissionError) and isinstance(error.filename, str):
        what = f"mend the rights of {closed(error.filename)}"
    return BadImage(f"{path} could not be read ({reason(error)}); {what}.")


def reason(error: Exception) -> str:
    """Why a picture could not be read, without its path."""
    if isinstance(error, MemoryError):
        return "there is not enough memory for it"
    if isinstance(error, UnidentifiedImageError):
        return "it is no picture that Pillow knows"
    if isinstance(error, Image.DecompressionBombError):
        return f"it has more than the {2 * (Image.MAX_IMAGE_PIXELS or 0):,} pixels Pillow decodes"
    return getattr(error, "strerror", None) or str(error).rstrip(".") or type(error).__name__


def require_shape(path: str, shape: Sequence[int], first: str, wanted: Sequence[int]) -> None:
    """That an image has the shape of the first one, where all stand in one array.

    Raises:
        BadImage: it has another; both are named, since either may be the odd one.
    """
    if tuple(shape) != tuple(wanted):
        raise BadImage(
            f"{path} is {shape[1]}x{shape[0]} pixels and the first image, {first}, is "
            f"{wanted[1]}x{wanted[0]}; pixels in one array need one shape: resize or crop them "
            "first, or keep the JPEG files."
        )
