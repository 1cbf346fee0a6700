"""What a stored set will be before its first byte is written, and what a format has to provide."""

from __future__ import annotations

import io
import math
import os
from abc import ABC, abstractmethod
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from datasets_impl.arguments import refused
from datasets_impl.errors import StudyError
from datasets_impl.files.jpeg import ends_whole
from datasets_impl.files.packed import PackedPaths
from datasets_impl.files.pictures import (
    Pixels,
    decoded,
    digest,
    fingerprint,
    require_shape,
    seal,
    unreadable,
)
from datasets_impl.files.records import bytes_of
from datasets_impl.formats.stored import Kind
from datasets_impl.labelled import ImageFiles, targets_of

CHUNK = 64  # images


@dataclass
class Plan:
    """Everything about a set that is known before its first byte is written."""

    paths: Sequence[str]
    kind: Kind
    fingerprint: str
    shape: tuple[int, ...]  # of an image's pixels; of JPEG bytes empty
    lengths: np.ndarray[Any, np.dtype[np.uint64]]  # bytes of each image, as it will be stored
    chunk_size: int = field(default_factory=lambda: CHUNK)  # images written together
    targets: np.ndarray[Any, Any] | None = None  # of each image
    classes: list[str] | None = None
    first: str = ""  # the image that gave the shape
    digests: np.ndarray[Any, np.dtype[np.uint64]] = field(init=False)

    def __post_init__(self) -> None:
        self.first = self.first or self.paths[0]
        self.digests = np.zeros(len(self.paths), np.uint64)

    @classmethod
    def of(cls, files: ImageFiles, kind: Kind) -> Plan:
        """
        Raises:
            StudyError: there is no file, or one cannot be read.
        """
        paths = files.paths
        if not paths:
            raise refused("root_dir", [], "at least one picture")
        found = fingerprint(paths, files.root or os.sep)
        shape = decoded(paths[0]).shape if kind == "pixels" else ()
        try:
            lengths: Any = [
                math.prod(shape) if shape else Path(path).stat().st_size for path in paths
            ]
        except OSError as error:
            raise unreadable(str(error.filename), error) from error
        lengths = np.array(lengths, np.uint64)
        more: Any = {"targets": targets_of(files), "classes": _printable(files.classes)}
        return cls(paths, kind, found, shape, lengths, **more)

    def part(self, indices: range) -> Plan:
        """The same for some of the images, which is a set of its own: a shard."""
        some = slice(indices.start, indices.stop)
        return replace(
            self,
            paths=PackedPaths(self.paths[some]),
            fingerprint=self.fingerprint_of(indices),
            lengths=self.lengths[some],
            targets=None if self.targets is None else self.targets[some],
            classes=None,  # the whole set has them
        )

    def fingerprint_of(self, indices: range) -> str:
        """Of a part: its header has it."""
        targets = b"" if self.targets is None else self.targets[indices.start : indices.stop]
        return seal([self.fingerprint, indices.start, indices.stop, digest(targets)])

    @property
    def offsets(self) -> np.ndarray[Any, np.dtype[np.uint64]]:
        """Where each image starts when all stand one after the other; one more for the end."""
        return np.concatenate([[0], np.cumsum(self.lengths)]).astype(np.uint64)

    @property
    def chunks(self) -> int:
        return -(-len(self.paths) // self.chunk_size)

    def chunk(self, number: int) -> range:
        """Indices of the images of a chunk."""
        first = number * self.chunk_size
        return range(first, min(first + self.chunk_size, len(self.paths)))

    def contents(self, indices: range) -> Iterable[bytes]:
        """What is stored of some images, one after the other.

        Raises:
            StudyError: see `content`.
        """
        return map(self.content, indices)

    def content(self, index: int) -> bytes:
        """What is stored of an image.

        Raises:
            StudyError: it cannot be read or decoded, changed meanwhile, or (pixels) differs in
                shape.
        """
        path = self.paths[index]
        if self.kind == "pixels":
            return self.pixels(decoded(path), path)
        try:
            return self.encoded(bytes_of(path), index)
        except (OSError, MemoryError) as error:
            raise unreadable(path, error) from error

    def pixels(self, found: Pixels, path: str) -> bytes:
        require_shape(path, found.shape, self.first, self.shape)
        return found.tobytes()

    def encoded(self, data: bytes, index: int) -> bytes:
        if len(data) != self.lengths[index]:
            path = self.paths[index]
            raise StudyError(f"{path} changed while it was converted; convert again.")
        if not ends_whole(data):
            decoded(io.BytesIO(data), self.paths[index])
        return data


class Writer(Protocol):
    """How a format writes: opened on the partial folder, which may hold chunks already.

    `write` is called by several threads at once, for chunks in any order.
    """

    def write(self, number: int, indices: range, pieces: Sequence[bytes]) -> None: ...
    def read_back(self, number: int, indices: range) -> list[bytes]:
        """What stands there now; may raise anything when it does not."""

    def offsets(self) -> np.ndarray[Any, np.dtype[np.uint64]] | None:
        """Where each image starts in its file, for formats read that way; called at the end."""

    def close(self) -> None: ...


class Format(ABC):
    """A storage format: its name, what it can hold, and how it writes."""

    name: str
    kinds: tuple[Kind, ...] = ("jpeg", "pixels")

    @abstractmethod
    def writer(self, folder: Path, plan: Plan) -> Writer: ...

    def encode(self, content: bytes) -> bytes:
        """What is stored of an image; most formats store it as it is."""
        return content


def _printable(names: list[str] | None) -> list[str] | None:
    """Names of folders that are no UTF-8 with their bytes escaped, since a header is text."""
    return names and [os.fsencode(name).decode("utf-8", "backslashreplace") for name in names]
