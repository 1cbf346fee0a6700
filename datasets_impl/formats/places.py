"""Where a set of shards is written: a folder, or whatever fsspec knows by an address (`s3://…`).

A place is plain data, so that it travels to the workers. What an unfinished set has written stays
for the next try; the header, which makes it a set, comes last.
"""

from __future__ import annotations

import shutil
import tempfile
from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from datasets_impl.errors import StudyError
from datasets_impl.files.atomic import atomic_write, describe_write_error
from datasets_impl.files.records import text_of
from datasets_impl.files.replacing import (
    check_replaceable,
    put_in_place,
    remove_ours,
)
from datasets_impl.files.whole import locked, sync
from datasets_impl.formats.stored import (
    HEADER,
    INDEX,
    JOURNAL,
    Header,
    is_stored_set,
    read_header,
    shard_name,
)
from datasets_impl.formats.unfinished import SHARDS as DATA
from datasets_impl.formats.unfinished import (
    WHAT,
    is_unfinished_set,
    is_unfinished_shard,
    naming,
)

SCRATCH = "dataset-study-shard-"


class Place(ABC):
    """All names are relative to the set, with slashes."""

    @abstractmethod
    def current(self) -> Header | None:
        """Of the whole set that stands there, if one does."""

    @abstractmethod
    @contextmanager
    def mine(self) -> Iterator[None]:
        """Alone here, where that can be had; others who ask wait."""

    @abstractmethod
    def begun(self) -> str:
        """The key of the unfinished set that stands there, as `begin` got it; "" without one."""

    @abstractmethod
    def begin(self, key: str) -> None:
        """Throw away what is no part of the set that `key` names.

        Raises:
            StudyError: what stands there is somebody else's.
        """

    @abstractmethod
    def sizes(self) -> dict[str, int]:
        """Bytes of each file of the unfinished set."""

    @abstractmethod
    def read(self, names: Sequence[str], *, whole: bool = False) -> list[bytes]:
        """Files of the unfinished set, or of the whole one."""

    @abstractmethod
    @contextmanager
    def scratch(self) -> Iterator[Path]:
        """An empty folder for one worker to make a shard in; gone afterwards."""

    @abstractmethod
    def has(self, number: int) -> bool:
        """Whether a shard was put, or is there from before and was not dropped."""

    @abstractmethod
    def put(self, made: Path, number: int) -> None:
        """Have a whole shard where it belongs; one that is there already has the same bytes."""

    @abstractmethod
    def drop(self, number: int) -> None:
        """Delete what is left of a shard that is not whole."""

    @abstractmethod
    def finish(self, index: bytes, header: str) -> None: ...


@dataclass(frozen=True)
class Folder(Place):
    """A folder that every worker sees under the same path.

    Attributes:
        sources: what is read and must survive.
    """

    path: Path
    sources: tuple[Path, ...] = ()

    @property
    def partial(self) -> Path:
        return self.path.with_name(f".{self.path.name}.partial")

    def __str__(self) -> str:
        return str(self.path)

    def current(self) -> Header | None:
        try:
            return read_header(self.path)
        except StudyError:
            return None

    @contextmanager
    def mine(self) -> Iterator[None]:
        check_replaceable(self.path, is_stored_set, sources=self.sources, what=WHAT)
        with ExitStack() as held:
            with naming(self.path):
                self.path.parent.mkdir(parents=True, exist_ok=True)
                held.enter_context(locked(self.path))
            yield  # what fails meanwhile is no fault of the place

    def begun(self) -> str:
        try:
            return text_of(self.partial / JOURNAL).removesuffix("\n")
        except (OSError, ValueError):
            return ""

    def begin(self, key: str) -> None:
        check_replaceable(self.partial, is_unfinished_set, sources=self.sources, what=WHAT)
        with naming(self.path):
            self._begin(key)

    def _begin(self, key: str) -> None:
        journal = self.partial / JOURNAL
        if not journal.is_file() or journal.read_text() != f"{key}\n":
            remove_ours(self.partial, is_unfinished_set, sources=self.sources, what=WHAT)
            self.partial.mkdir()
            atomic_write(journal, f"{key}\n")  # first: it says whose the folder is
        (self.partial / DATA).mkdir(exist_ok=True)
        for left in self.partial.glob(f".{SCRATCH}*"):  # of a worker that was killed
            # Or of one that still writes: half deleted, a shard would be taken for a whole one.
            with suppress(FileNotFoundError):  # it has just ended
                aside = left.rename(left.with_name(f"{left.name}.old.tmp"))
                shutil.rmtree(aside, ignore_errors=True)

    def sizes(self) -> dict[str, int]:
        root = self.partial / DATA
        found = (path for path in root.rglob("*") if path.is_file())
        return {path.relative_to(root).as_posix(): path.stat().st_size for path in found}

    def read(self, names: Sequence[str], *, whole: bool = False) -> list[bytes]:
        root = self.path if whole else self.partial / DATA
        return [(root / name).read_bytes() for name in names]

    @contextmanager
    def scratch(self) -> Iterator[Path]:
        """Beside the shards, so that one rename moves what was made."""
        try:
            folder = tempfile.TemporaryDirectory(
                dir=self.partial, prefix=f".{SCRATCH}", suffix=".tmp", ignore_cleanup_errors=True
            )
        except OSError as error:  # the set is whole, or this host does not see the place
            raise describe_write_error(error, self.partial) from error
        with folder as name:
            yield Path(name)

    def has(self, number: int) -> bool:
        return (self.partial / DATA / shard_name(number) / HEADER).is_file()

    def put(self, made: Path, number: int) -> None:
        target = self.partial / DATA / shard_name(number)
        try:
            made.rename(target)
            sync(target.parent)
        except OSError as error:
            if not (target / HEADER).is_file():  # or another worker has made it meanwhile
                raise describe_write_error(error, target) from error

    def drop(self, number: int) -> None:
        remove_ours(self.partial / DATA / shard_name(number), is_unfinished_shard, what=WHAT)

    def finish(self, index: bytes, header: str) -> None:
        new = self.partial / DATA
        atomic_write(new / INDEX, index)
        atomic_write(new / HEADER, header)
        put_in_place(new, self.path, is_stored_set, sources=self.sources, what=WHAT)
        with naming(self.path):
            sync(self.path.parent)
        remove_ours(self.partial, is_unfinished_set, what=WHAT)
