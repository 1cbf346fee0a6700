"""Image sets in one of several formats: what every format promises its reader.

A stored set is a folder: the format's own files, `index.npy` (for each image its offset where the
format has such, its length, its digest, and its target if the set has targets), and `header.json`
(what it is, of which sources, the size of every other file). The folder gets its name only when it
is whole; see `conversion.py`. Opening checks header, index and sizes; each image is checked against
its digest the first time this process reads it.
"""

from __future__ import annotations

import errno
import io
import os
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from pydantic import BaseModel, ValidationError

from datasets_impl.errors import StudyError, require_pickled
from datasets_impl.files.paths import user_path
from datasets_impl.files.pictures import digest, seal
from datasets_impl.indexing import position

HEADER, INDEX, JOURNAL = "header.json", "index.npy", "journal"
INDEX_TYPE = np.dtype([("offset", "<u8"), ("length", "<u8"), ("digest", "<u8")])
TARGET = "target"  # the column of the index behind these, in a set that has targets
OF_THE_SYSTEM = (errno.EACCES, errno.EPERM, errno.EMFILE, errno.ENFILE, errno.ENOMEM)
Kind = Literal["jpeg", "pixels"]


class Header(BaseModel):
    """What a stored set is. `files` holds the size of every file, in bytes, by relative path."""

    format: str
    kind: Kind
    shape: list[int]  # of an image, height x width x 3; of JPEG bytes empty
    fingerprint: str  # of the source files, see `datasets_impl.files.pictures`
    chunk: int  # images that are written, and in some formats stored, together
    index_digest: str
    files: dict[str, int]
    classes: list[str] | None = None  # names of what targets number
    seal: str = ""  # over all other fields

    def sealed(self) -> Header:
        return self.model_copy(update={"seal": self._seal()})

    def is_intact(self) -> bool:
        return self.seal == self._seal()

    def _seal(self) -> str:
        fields = self.model_dump(exclude={"seal"}, exclude_none=True)  # sets of before have fewer
        return seal(fields)


def read_header(folder: Path) -> Header:
    """The header of a whole stored set, after checking that every file has its size.

    Raises:
        StudyError: there is no such set, or it is unfinished, cut short or damaged.
    """
    try:
        if (folder / HEADER).exists() and not (folder / HEADER).is_file():  # a pipe is waited for
            raise _damaged(folder, f"has a damaged {HEADER}")
        header = Header.model_validate_json((folder / HEADER).read_bytes())
        if not header.is_intact():
            raise _damaged(folder, f"has a damaged {HEADER}")
        for name, size in header.files.items():
            found = (folder / name).stat().st_size
            if found != size:
                raise _damaged(folder / name, f"has {found:,} bytes and should have {size:,}")
    except ValidationError:
        raise _damaged(folder, f"has a damaged {HEADER}") from None
    except FileNotFoundError as error:
        if not folder.exists():
            raise StudyError(
                f"There is no stored set {folder}; convert the images first."
            ) from None
        if not (folder / HEADER).exists() and not (folder / INDEX).exists():
            raise StudyError(
                f"{folder} is no stored set; make one of a folder of images with "
                "datasets_impl.formats.ensure_stored, and give what that returns."
            ) from None
        name = Path(error.filename).name
        raise _damaged(folder, f"is no whole stored set: {name} is missing") from None
    except OSError as error:
        raise _unusable(folder, error) from error
    return header


def is_stored_set(folder: Path) -> bool:
    """Whether `folder` is a stored set, even a damaged one, and nobody else's file is in it."""
    try:
        header = Header.model_validate_json((folder / HEADER).read_bytes())
    except (OSError, ValueError):
        return False
    known = {Path(name) for name in (HEADER, INDEX, JOURNAL, *header.files)}
    known |= {parent for name in known for parent in name.parents}
    return all(path.relative_to(folder) in known for path in folder.rglob("*"))


def mapped(path: Path) -> memoryview:
    """The bytes of a file that is not empty, mapped.

    PyTorch's mapping, and not Python's, which keeps a descriptor for as long as it lives: a set of
    many files would need more than a process may have.
    """
    with path.open("rb") as file:
        name, size = f"/dev/fd/{file.fileno()}", os.fstat(file.fileno()).st_size
        rows = torch.from_file(name, shared=False, size=size, dtype=torch.uint8, device="cpu")
    return memoryview(rows.numpy().data).toreadonly()


def read_index(folder: Path, header: Header) -> np.ndarray[Any, Any]:
    """The index, one `INDEX_TYPE` for each image, and its target where the set has targets.

    Raises:
        StudyError: it is damaged.
    """
    try:
        content = (folder / INDEX).read_bytes()
    except OSError as error:
        raise _unusable(folder, error) from error
    if f"{digest(content):016x}" != header.index_digest:
        raise _damaged(folder / INDEX, "is damaged")
    return np.asarray(np.load(io.BytesIO(content), allow_pickle=False))


def target_column(index: np.ndarray[Any, Any]) -> np.ndarray[Any, Any] | None:
    """The targets in an index, in memory of their own; None where it has none."""
    return np.ascontiguousarray(index[TARGET]) if TARGET in (index.dtype.names or ()) else None


def _unusable(folder: Path, error: Exception) -> StudyError:
    """A set that may not be read is not to be deleted for it."""
    why = getattr(error, "strerror", None) or str(error)
    if _is_of_the_system(error):
        return StudyError(f"{folder} cannot be read ({why}); mend that and open it again.")
    return _damaged(folder, f"cannot be read ({why})")


def _is_of_the_system(error: Exception) -> bool:
    """Whether rights, descriptors or memory lack; some libraries say so in their text alone."""
    number = getattr(error, "errno", None)
    return number in OF_THE_SYSTEM or any(os.strerror(each) in str(error) for each in OF_THE_SYSTEM)


def _damaged(path: Path, what: str) -> StudyError:
    return StudyError(f"{path} {what}; delete the stored set and convert the images again.")


class StoredImages(ABC):
    """The encoded images (or pixels) of a stored set, by index.

    Opened in each process on first use, since handles of these libraries do not survive a fork;
    pickles to its path, whatever the number of images.

    Args:
        folder: the stored set.
        verify: check each image once for each process.

    Raises:
        StudyError: see `read_header`; while reading, when an image's bytes changed.
    """

    format = ""

    def __init__(self, folder: str | Path, verify: bool = True) -> None:
        self.folder, self.verify = user_path(folder), verify
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
        self._seen: tuple[int, int] | None = None  # which file the header was in, when it was read

    @abstractmethod
    def open(self) -> Any:
        """Whatever `get` needs, opened in this process."""

    @abstractmethod
    def get(self, handle: Any, index: int) -> Any:
        """The bytes of one image, copied or not; a view stays valid while the set is open."""

    def __getstate__(self) -> dict[str, Any]:
        kept = {**self.__dict__, "_handle": None, "_owner": 0, "_seen": None}
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
        return [self.folder / name for name in self.header.files if name != INDEX]

    def name(self, index: int) -> str:
        return f"image {index} of {self.folder}"

    @property
    def handle(self) -> Any:
        if self._handle is None or self._owner != os.getpid():
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
            data = self.get(self.handle, index)
        except (MemoryError, StudyError):
            raise
        except Exception as error:  # each library has errors of its own for a damaged file
            self.require_same()
            if isinstance(error, OSError) or _is_of_the_system(error):
                raise _unusable(self.folder, error) from error
            raise _damaged(self.folder, f"cannot be read at image {index} ({error})") from error
        if self.verify and not self._checked[index]:
            self.require_intact(index, data)
        return data

    def require_intact(self, index: int, data: Any) -> None:
        """Check the bytes of one image, and remember that they were.

        Raises:
            StudyError: they are not what was written.
        """
        if digest(data) != int(self.index["digest"][index]):
            self.require_same()
            raise _damaged(self.folder, f"is damaged at image {index}")
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
