"""Where a set of shards is written: a folder, or whatever fsspec knows by an address (`s3://…`).

A place is plain data, so that it travels to the workers. What an unfinished set has written stays
for the next try; the header, which makes it a set, comes last.
"""

from __future__ import annotations

import re
import shutil
import tempfile
from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from datasets_impl.errors import StudyError
from datasets_impl.files.atomic import atomic_write, describe_write_error
from datasets_impl.files.replacing import (
    check_replaceable,
    put_in_place,
    remove_ours,
    somebody_elses,
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
from datasets_impl.formats.unfinished import WHAT, is_key, is_unfinished_set

DATA = "data"  # in the folder of an unfinished set: what is going to be the set
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
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            with locked(self.path):
                yield
        except OSError as error:
            raise describe_write_error(error, self.path) from error

    def begin(self, key: str) -> None:
        check_replaceable(self.partial, is_unfinished_set, sources=self.sources, what=WHAT)
        journal = self.partial / JOURNAL
        if not journal.is_file() or journal.read_text() != f"{key}\n":
            remove_ours(self.partial, is_unfinished_set, sources=self.sources, what=WHAT)
            self.partial.mkdir()
            atomic_write(journal, f"{key}\n")  # first: it says whose the folder is
        (self.partial / DATA).mkdir(exist_ok=True)
        for left in self.partial.glob(f".{SCRATCH}*"):
            shutil.rmtree(left, ignore_errors=True)  # of a worker that was killed

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
        """All within the folder of the unfinished set is this project's."""
        remove_ours(self.partial / DATA / shard_name(number), Path.is_dir, what=WHAT)

    def finish(self, index: bytes, header: str) -> None:
        new = self.partial / DATA
        atomic_write(new / INDEX, index)
        atomic_write(new / HEADER, header)
        put_in_place(new, self.path, is_stored_set, sources=self.sources, what=WHAT)
        sync(self.path.parent)
        remove_ours(self.partial, is_unfinished_set, what=WHAT)


@dataclass(frozen=True)
class Address(Place):
    """Objects under an address of fsspec. Nobody is alone there: who writes at the same time
    writes the same bytes.

    Attributes:
        options: arguments of the file system, as pandas and Dask call `storage_options`.
    """

    url: str
    options: dict[str, Any] = field(default_factory=dict)

    @property
    def system(self) -> Any:
        import fsspec

        protocol = self.url.partition("://")[0]
        system = fsspec.filesystem(protocol, **self.options)
        system.invalidate_cache()
        return system

    @property
    def root(self) -> str:
        return str(self.system._strip_protocol(self.url)).rstrip("/")

    def __str__(self) -> str:
        return self.url

    def at(self, name: str) -> str:
        return f"{self.root}/{name}"

    def current(self) -> Header | None:
        sizes = self.sizes()
        if HEADER not in sizes:
            return None
        try:
            header = Header.model_validate_json(self.read([HEADER])[0])
        except ValidationError:
            return None
        whole = header.is_intact() and header.files.items() <= sizes.items()
        return header if whole else None

    @contextmanager
    def mine(self) -> Iterator[None]:
        yield

    def begin(self, key: str) -> None:
        sizes = self.sizes()
        if not sizes:
            pass
        elif JOURNAL in sizes and HEADER not in sizes:
            first = self.read([JOURNAL])[0].decode(errors="replace")
            if not is_key(first) or not all(_is_of_a_set(name) for name in sizes):
                raise somebody_elses(self, WHAT)
            if first == key:
                return
        elif self._others(sizes):
            raise somebody_elses(self, WHAT)
        for name in sorted(sizes, key=lambda name: name != HEADER):  # no reader finds a half
            self.system.rm_file(self.at(name))
        self.system.pipe_file(self.at(JOURNAL), key.encode())

    def _others(self, sizes: dict[str, int]) -> set[str]:
        """What stands there and is in no header of a set."""
        try:
            header = Header.model_validate_json(self.read([HEADER])[0])
        except (ValidationError, FileNotFoundError):
            return set(sizes)
        return set(sizes) - {HEADER, JOURNAL, *header.files}

    def sizes(self) -> dict[str, int]:
        root = self.root
        try:
            found = self.system.find(root, detail=True)
        except FileNotFoundError:
            return {}
        return {path[len(root) + 1 :]: int(facts["size"]) for path, facts in found.items()}

    def read(self, names: Sequence[str], *, whole: bool = False) -> list[bytes]:
        system, paths = self.system, [self.at(name) for name in names]
        return [system.cat_file(paths[0])] if len(paths) == 1 else _in_order(system, paths)

    @contextmanager
    def scratch(self) -> Iterator[Path]:
        """Among the worker's own temporary files."""
        with tempfile.TemporaryDirectory(prefix=SCRATCH, ignore_cleanup_errors=True) as name:
            yield Path(name)

    def has(self, number: int) -> bool:
        return bool(self.system.exists(self.at(f"{shard_name(number)}/{HEADER}")))

    def put(self, made: Path, number: int) -> None:
        files = sorted(path for path in made.rglob("*") if path.is_file())
        system, shard = self.system, shard_name(number)
        for path in sorted(files, key=lambda path: path == made / HEADER):  # the marker last
            system.put_file(str(path), self.at(f"{shard}/{path.relative_to(made).as_posix()}"))

    def drop(self, number: int) -> None:
        """Its marker; the rest is written over: each shard has the same files whoever makes it."""
        if self.has(number):
            self.system.rm_file(self.at(f"{shard_name(number)}/{HEADER}"))

    def finish(self, index: bytes, header: str) -> None:
        system = self.system
        system.pipe_file(self.at(INDEX), index)
        system.pipe_file(self.at(HEADER), header.encode())
        system.rm_file(self.at(JOURNAL))


def _in_order(system: Any, paths: Sequence[str]) -> list[bytes]:
    found = system.cat(list(paths)) if paths else {}
    return [found[path] for path in paths]


def _is_of_a_set(name: str) -> bool:
    return name in (JOURNAL, INDEX, HEADER) or bool(re.match(r"shard-\d{6}/", name))
