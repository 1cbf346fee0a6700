"""Where encoded images come from, by index: what loaders and datasets that decode read from."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Protocol

from datasets_impl.variants.files import jpeg_files


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
        with open(self.paths[index], "rb", buffering=0) as file:  # noqa: PTH123 - half the time
            return file.read()

    def name(self, index: int) -> str:
        return self.paths[index]


class JpegBytes:
    """The same, read into memory once: what decoding costs when reading is free."""

    def __init__(self, source: Source) -> None:
        self.contents = [bytes(source.read(index)) for index in range(len(source))]

    def __len__(self) -> int:
        return len(self.contents)

    def read(self, index: int) -> bytes:
        return self.contents[index]

    def name(self, index: int) -> str:
        return f"image {index}"


def as_source(source: Source | str | Path) -> Source:
    """A folder becomes its JPEG files; anything else is taken as it is."""
    return JpegFiles(source) if isinstance(source, str | Path) else source
