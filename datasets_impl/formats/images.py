"""The images of a stored set, by index, whatever its format and however many shards it has."""

from __future__ import annotations

import contextlib
import os
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any, Self

import numpy as np

from datasets_impl.arguments import flag
from datasets_impl.errors import StudyError, require_pickled
from datasets_impl.files.paths import user_path
from datasets_impl.files.pictures import digest
from datasets_impl.formats.stored import (
    HEADER,
    INDEX,
    damaged,
    is_of_the_system,
    mapped,
    read_header,
    read_index,
    shard_name,
    target_column,
    unusable,
)
from datasets_impl.indexing import position


class StoredImages(ABC):
    """The encoded images (or pixels) of a stored set, by index.

    Opened in each process on first use, since handles of these libraries do not survive a fork;
    pickles to its path, whatever the number of images.

    Most formats are read through a mapping. A file that is cut short is named when it is opened,
    and when an epoch of a `ThreadedLoader` begins; in mid-epoch that ends the process, as with any
    mapping (SIGBUS).

    Args:
        folder: the stored set.
        verify: check each image once for each process.

    Raises:
        StudyError: see `read_header`; while reading, when an image's bytes changed.
    """

    format = ""

    def __init__(self, folder: str | Path, verify: bool = True) -> None:
        self.folder, self.verify = user_path(folder), flag("verify", verify)
        self.header = read_header(self.folder)
        if self.header.format != self.format:
            raise StudyError(
                f"{self.folder} is in the format {self.header.format!r}, not {self.format!r}."
            )
        self._index: np.ndarray[Any, Any] | None = read_index(self.folder, self.header)
        self._count = len(self.index)
        self._checked = bytearray(self._count)
        self._handle: Any = None
        self._owner = 0
        self._shards: dict[int, Self] = {}  # opened so far
        self._seen: tuple[int, int] | None = None  # which file the header was in, when it was read

    @abstractmethod
    def open(self) -> Any:
        """Whatever `get` needs, opened in this process; asked of a set without shards."""

    @abstractmethod
    def get(self, handle: Any, index: int) -> Any:
        """The bytes of one image, copied or not; a view stays valid while the set is open."""

    def __getstate__(self) -> dict[str, Any]:
        kept = {**self.__dict__, "_handle": None, "_owner": 0, "_shards": {}, "_seen": None}
        del kept["_checked"], kept["_index"]
        return kept

    def __setstate__(self, state: dict[str, Any]) -> None:
        require_pickled(state, "folder", "verify", "header", "_count")
        self.__dict__.update(state, _index=None, _checked=bytearray(state["_count"]))

    def __len__(self) -> int:
        return self._count

    @property
    def index(self) -> np.ndarray[Any, Any]:
        """One `INDEX_TYPE` for each image, and its target where the set has targets."""
        if self._index is None:
            self.require_same()
            self._index = read_index(self.folder, self.header)
        return self._index

    @property
    def targets(self) -> np.ndarray[Any, Any] | None:
        """A number for each image, or a row of them; None where the set has no targets."""
        return target_column(self.index)

    @property
    def classes(self) -> list[str] | None:
        """Names of what the targets number; None where they number none."""
        return self.header.classes

    @property
    def files(self) -> list[Path]:
        """The files an epoch reads."""
        names = [Path(name) for name in self.header.files]
        return [self.folder / name for name in names if name.name not in (INDEX, HEADER)]

    @property
    def shards(self) -> list[Self]:
        """The sets that this one is made of, in order: its shards, or itself."""
        if self.header.shard is None:
            return [self]
        return [self._shard(number) for number in range(-(-self._count // self.header.shard))]

    def _shard(self, number: int) -> Self:
        found = self._shards.get(number)
        if found is None:
            self.require_same()
            found = type(self)(self.folder / shard_name(number), verify=False)  # checked in `read`
            first = number * (self.header.shard or 0)
            found._index = self.index[first : first + len(found)]  # so that it is in memory once
            self._shards[number] = found
        return found

    def name(self, index: int) -> str:
        return f"image {index} of {self.folder}"

    @property
    def handle(self) -> Any:
        if self._handle is None or self._owner != os.getpid():
            self._seen = None  # a fork looks at the sizes for itself
            self.require_same()
            self._handle, self._owner = self.open(), os.getpid()
        return self._handle

    def read(self, index: int) -> Any:
        """The bytes of one image.

        Raises:
            NoSuchItem: there are fewer.
            StudyError: they are not what was written, or cannot be read.
        """
        index = position(index, self._count, str(self.folder))
        try:
            data = self._got(index)
        except (MemoryError, StudyError):
            raise
        except Exception as error:  # each library has errors of its own for a damaged file
            self.require_same()
            if isinstance(error, OSError) or is_of_the_system(error):
                raise unusable(self.folder, error) from error
            raise damaged(self.folder, f"cannot be read at image {index} ({error})") from error
        if self.verify and not self._checked[index]:
            self.require_intact(index, data)
        return data

    def _got(self, index: int) -> Any:
        if self.header.shard is None:
            return self.get(self.handle, index)
        number, index = divmod(index, self.header.shard)
        shard = self._shard(number)
        return shard.get(shard.handle, index)

    def require_intact(self, index: int, data: Any) -> None:
        """Check the bytes of one image, and remember that they were.

        Raises:
            StudyError: they are not what was written.
        """
        if digest(data) != int(self.index["digest"][index]):
            self.require_same()
            raise damaged(self.folder, f"is damaged at image {index}")
        self._checked[index] = True

    def require_same(self) -> None:
        """That the folder holds the set that was opened; asked before any file of it is opened.

        Raises:
            StudyError: it was converted anew since, or is gone or damaged.
        """
        try:
            status = (self.folder / HEADER).stat()
        except OSError:
            found = None
        else:
            found = status.st_ino, status.st_mtime_ns
        if found is None or found != self._seen:
            if read_header(self.folder).seal != self.header.seal:
                raise StudyError(f"{self.folder} was converted anew; open it again.")
            self._seen = found

    def require_whole(self) -> None:
        """That no file was cut short that this process has open.

        Of a set that was converted anew, or deleted, what is open stays as it was.

        Raises:
            StudyError: one was; names it.
        """
        try:
            status = (self.folder / HEADER).stat()
        except OSError:
            return
        if self._seen != (status.st_ino, status.st_mtime_ns):
            return
        for name, size in self.header.files.items():
            path = self.folder / name
            with contextlib.suppress(FileNotFoundError):
                if path.stat().st_size < size:
                    raise damaged(path, "was cut short while it was in use")

    def unchecked(self, indices: Iterable[int]) -> list[int]:
        """Those of `indices` that this process has not checked yet."""
        if not self.verify:
            return []
        return [index for index in indices if not self._checked[index]]


class PartedImages(StoredImages):
    """Images one after the other in a file for each chunk; a subclass says what `part` is called.

    `read` returns a view into the mapped file.
    """

    part: Callable[[int], str]

    def open(self) -> dict[int, memoryview]:
        return {}

    def get(self, handle: dict[int, memoryview], index: int) -> memoryview:
        number = index // self.header.chunk
        if number not in handle:
            self.require_same()
            handle[number] = mapped(self.folder / self.part(number))
        start = int(self.index["offset"][index])
        return handle[number][start : start + int(self.index["length"][index])]
