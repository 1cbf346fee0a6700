"""A place for a set of shards that fsspec knows by an address (`s3://…`)."""

from __future__ import annotations

import functools
import posixpath
import re
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ParamSpec, TypeVar

from pydantic import ValidationError

from datasets_impl.errors import MissingPackage, StudyError
from datasets_impl.files.replacing import inside, somebody_elses
from datasets_impl.formats.places import SCRATCH, Place
from datasets_impl.formats.stored import HEADER, INDEX, JOURNAL, Header, shard_name
from datasets_impl.formats.unfinished import WHAT, is_key, is_of_shards

P = ParamSpec("P")
T = TypeVar("T")
LOCAL = ("file", "local")
SHORT_OF_SLASHES = re.compile(r"(s3|gs|gcs|az|abfss?|https?|s?ftp|hdfs|memory|file|local):(?!//)")


def is_address(given: Any) -> bool:
    """Whether it is text with a protocol that is no local one."""
    return isinstance(given, str) and "://" in given and given.partition("://")[0] not in LOCAL


def local_part(given: Any) -> Any:
    """A path where `file://` stands before it, with `localhost` or no host; all else as it is.

    Raises:
        StudyError: it names another host, or is an address with one slash or none.
    """
    if isinstance(given, str) and (short := SHORT_OF_SLASHES.match(given)):
        raise StudyError(
            f"{given} is no address, which begins with {short[0]}//; for a folder of that name "
            f"give ./{given}."
        )
    known = isinstance(given, str) and given.partition("://")[0] in LOCAL and "://" in given
    if not known:
        return given
    path = given.partition("://")[2]
    path = path.removeprefix("localhost") if path.startswith("localhost/") else path
    if not path.startswith(("/", "~")):
        raise StudyError(
            f"{given} names another host or a relative path; give a full one, file:///folder."
        )
    return path


def file_system(url: str, options: dict[str, Any]) -> Any:
    """fsspec's file system for `url`.

    Raises:
        MissingPackage: fsspec does not know it, or its package is not installed.
        StudyError: it takes no such options, or does not answer.
    """
    import fsspec

    protocol = url.partition("://")[0]
    try:
        return fsspec.filesystem(protocol, **options)
    except (ImportError, ValueError) as error:
        raise MissingPackage(
            f"{url} cannot be used ({error}); mend its protocol, or install what it asks for."
        ) from error
    except TypeError as error:
        raise StudyError(
            f"{url} cannot be used with these storage options ({error}); mend them."
        ) from error
    except Exception as error:  # some connect at once, and have errors of their own
        raise StudyError(
            f"{url} cannot be reached ({str(error) or type(error).__name__}); mend its address or "
            "its storage options."
        ) from error


def check_apart(target: str, source: str, options: dict[str, Any]) -> None:
    """Whether what is written to the one is not found by the next look into the other.

    Raises:
        StudyError: `target` is below `source`.
        MissingPackage: see `file_system`.
    """
    to, of = file_system(target, options), file_system(source, options)
    below, above = (
        f"{posixpath.normpath(str(system._strip_protocol(url)))}/"
        for system, url in ((to, target), (of, source))
    )
    if type(to) is type(of) and below != above and below.startswith(above):
        raise inside(target, source, WHAT)


def _named(method: Callable[P, T]) -> Callable[P, T]:
    """Each file system has errors of its own; they become one sentence."""

    @functools.wraps(method)
    def wrapped(*args: P.args, **kwargs: P.kwargs) -> T:
        try:
            return method(*args, **kwargs)
        except (MemoryError, StudyError):
            raise
        except Exception as error:
            raise StudyError(
                f"{args[0]} could not be read or written ({str(error) or type(error).__name__}); "
                "mend its address, its rights or the connection, and run it again."
            ) from error

    return wrapped


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
        system = file_system(self.url, self.options)
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

    @_named
    def begun(self) -> str:
        there = JOURNAL in self.sizes()
        return self.read([JOURNAL])[0].decode(errors="replace") if there else ""

    @_named
    def begin(self, key: str) -> None:
        sizes = self.sizes()
        if not sizes:
            pass
        elif JOURNAL in sizes and HEADER not in sizes:
            first = self.read([JOURNAL])[0].decode(errors="replace")
            if not is_key(first) or not all(map(is_of_shards, sizes)):
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
        if HEADER not in sizes:
            return set(sizes)
        try:
            header = Header.model_validate_json(self.read([HEADER])[0])
        except ValidationError:
            return set(sizes)
        return set(sizes) - {HEADER, JOURNAL, *header.files}

    @_named
    def sizes(self) -> dict[str, int]:
        root = self.root
        try:
            found = self.system.find(root, detail=True)
        except FileNotFoundError:
            return {}
        return {path[len(root) + 1 :]: int(facts["size"]) for path, facts in found.items()}

    @_named
    def read(self, names: Sequence[str], *, whole: bool = False) -> list[bytes]:
        found = read_all(self.system, [self.at(name) for name in names])
        for content in found:
            if isinstance(content, Exception):
                raise content
        return found

    @contextmanager
    def scratch(self) -> Iterator[Path]:
        """Among the worker's own temporary files."""
        try:
            folder = tempfile.TemporaryDirectory(prefix=SCRATCH, ignore_cleanup_errors=True)
        except OSError as error:
            raise StudyError(
                f"A worker can make no temporary file ({error.strerror or error}); set its TMPDIR "
                "to a folder that may be written."
            ) from error
        with folder as name:
            yield Path(name)

    @_named
    def has(self, number: int) -> bool:
        return bool(self.system.exists(self.at(f"{shard_name(number)}/{HEADER}")))

    @_named
    def put(self, made: Path, number: int) -> None:
        files = sorted(path for path in made.rglob("*") if path.is_file())
        system, shard = self.system, shard_name(number)
        for path in sorted(files, key=lambda path: path == made / HEADER):  # the marker last
            system.put_file(str(path), self.at(f"{shard}/{path.relative_to(made).as_posix()}"))

    @_named
    def drop(self, number: int) -> None:
        """Its marker; the rest is written over: each shard has the same files whoever makes it."""
        if self.has(number):
            self.system.rm_file(self.at(f"{shard_name(number)}/{HEADER}"))

    @_named
    def finish(self, index: bytes, header: str) -> None:
        system = self.system
        system.pipe_file(self.at(INDEX), index)
        system.pipe_file(self.at(HEADER), header.encode())
        system.rm_file(self.at(JOURNAL))


def read_all(system: Any, paths: Sequence[str]) -> list[Any]:
    """What objects hold, or why they cannot be read, at the same time where a system can.

    Not by `cat`, which takes brackets and stars in a name for a pattern.
    """
    return list(system.cat_ranges(list(paths), None, None, on_error="return"))
