"""Where encoded images come from, by index: what loaders and datasets that decode read from."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Protocol

from datasets_impl.arguments import refused
from datasets_impl.errors import BadArgument
from datasets_impl.files.paths import user_path
from datasets_impl.files.pictures import unreadable
from datasets_impl.indexing import position
from datasets_impl.labelled import FORMS, as_files, targets_of

STORED = ("header.json", "index.npy")  # what a folder with a stored set holds


class Source(Protocol):
    """`read` returns the bytes of one image; `name` says which one it is in an error.

    A source with labels has `targets`, an array with a row for each image, and may have `classes`.
    """

    def __len__(self) -> int: ...
    def read(self, index: int) -> Any: ...
    def name(self, index: int) -> str: ...


class JpegBytes:
    """The same, read into memory once: what decoding costs when reading is free."""

    def __init__(self, source: Source | str | Path) -> None:
        source = as_source(source)
        self.contents = []
        for index in range(len(source)):
            try:
                self.contents.append(bytes(source.read(index)))
            except OSError as error:
                raise unreadable(source.name(index), error) from error
        self.targets, self.classes = targets_of(source), getattr(source, "classes", None)

    def __len__(self) -> int:
        return len(self.contents)

    def read(self, index: int) -> bytes:
        return self.contents[position(index, len(self.contents), "the source")]

    def name(self, index: int) -> str:
        return f"image {index}"


def as_source(source: Any) -> Source:
    """Encoded images: the stored set in a folder, what `as_files` knows, or a `Source` as it is.

    Raises:
        BadArgument: it is no source, holds no image, or holds pixels.
        StudyError: the folder has no JPEG file, or its stored set is damaged.
    """
    if isinstance(source, str | Path) and is_stored(source):
        source = _stored(user_path(source))
    found: Any = source
    if not all(hasattr(source, name) for name in ("__len__", "read", "name")):
        found = as_files(source)
    if found is None:
        raise refused(
            "source",
            source,
            f"{FORMS}; or a stored set, or an object with `len`, `read` and `name`",
        )
    if getattr(getattr(found, "header", None), "kind", "jpeg") != "jpeg":
        raise BadArgument(
            f"{getattr(found, 'folder', found)} holds decoded pixels and nothing to decode; give "
            "a folder of JPEG files or a set stored as 'jpeg', or read it with StoredPixels."
        )
    if not len(found):
        raise refused("source", source, "one that holds at least one image")
    return found  # type: ignore[no-any-return]


def is_stored(folder: str | Path) -> bool:
    return all((user_path(folder) / name).is_file() for name in STORED)


def _stored(folder: Path) -> Source:
    from datasets_impl.formats import open_stored

    return open_stored(folder)
