"""Where encoded images come from, by index: what loaders and datasets that decode read from."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Protocol

from datasets_impl.arguments import refused
from datasets_impl.errors import BadArgument
from datasets_impl.files.paths import user_path
from datasets_impl.files.pictures import jpeg_files
from datasets_impl.indexing import position

STORED = ("header.json", "index.npy")  # what a folder with a stored set holds


class Source(Protocol):
    """`read` returns the bytes of one image; `name` says which one it is in an error."""

    def __len__(self) -> int: ...
    def read(self, index: int) -> Any: ...
    def name(self, index: int) -> str: ...


class JpegFiles:
    """The JPEG files of a folder, sorted."""

    def __init__(self, root_dir: str | Path) -> None:
        self.paths = jpeg_files(root_dir)

    def __len__(self) -> int:
        return len(self.paths)

    def read(self, index: int) -> bytes:
        path = self.paths[position(index, len(self.paths), "the folder")]
        with open(path, "rb", buffering=0) as file:  # noqa: PTH123 - half the time
            return file.read()

    def name(self, index: int) -> str:
        return self.paths[index]


class JpegBytes:
    """The same, read into memory once: what decoding costs when reading is free."""

    def __init__(self, source: Source | str | Path) -> None:
        source = as_source(source)
        self.contents = [bytes(source.read(index)) for index in range(len(source))]

    def __len__(self) -> int:
        return len(self.contents)

    def read(self, index: int) -> bytes:
        return self.contents[position(index, len(self.contents), "the source")]

    def name(self, index: int) -> str:
        return f"image {index}"


def as_source(source: Source | str | Path) -> Source:
    """Encoded images: a folder's JPEG files, the stored set in it, or a `Source` as it is.

    Raises:
        BadArgument: it is no source, holds no image, or holds pixels.
        StudyError: the folder has no JPEG file, or its stored set is damaged.
    """
    if isinstance(source, str | Path):
        folder = user_path(source)
        if not all((folder / name).is_file() for name in STORED):
            return JpegFiles(folder)
        source = _stored(folder)
    if not all(hasattr(source, name) for name in ("__len__", "read", "name")):
        raise refused(
            "source",
            source,
            "a folder of JPEG files, a stored set, or an object with `len`, `read` and `name`",
        )
    if getattr(getattr(source, "header", None), "kind", "jpeg") != "jpeg":
        raise BadArgument(
            f"{getattr(source, 'folder', source)} holds decoded pixels and nothing to decode; give "
            "a folder of JPEG files or a set stored as 'jpeg', or read it with "
            "GatheredPixelsLoader (a pack) or StoredPixelsDataset."
        )
    if not len(source):
        raise refused("source", source, "one that holds at least one image")
    return source


def _stored(folder: Path) -> Source:
    from datasets_impl.formats import open_stored

    return open_stored(folder)
