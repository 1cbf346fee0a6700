"""Convert a folder of JPEG files into a stored set: parallel, resumable, atomic.

The format writes chunk by chunk into `.<name>.partial` beside the target, and a journal there names
the chunks that are written, with the digests of their images. A conversion that goes on reads back
what the journal claims, so a kill at any moment, even a crash of the machine, costs only chunks.
Index and header come last, everything is synced, and the folder takes the target's name.
"""

from __future__ import annotations

import io
import json
import math
import os
import re
import threading
from abc import ABC, abstractmethod
from collections import deque
from collections.abc import Iterator, Sequence
from concurrent.futures import Future
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from filelock import FileLock
from rich.console import Console
from rich.markup import escape
from rich.progress import Progress

from datasets_impl.arguments import positive_int, refused
from datasets_impl.errors import StudyError
from datasets_impl.files.atomic import atomic_write, describe_write_error
from datasets_impl.files.paths import user_path
from datasets_impl.files.pictures import (
    beside,
    decoded,
    digest,
    fingerprint,
    require_shape,
    unreadable,
)
from datasets_impl.files.replacing import check_replaceable, put_in_place, remove_ours
from datasets_impl.formats.stored import (
    HEADER,
    INDEX,
    INDEX_TYPE,
    JOURNAL,
    TARGET,
    Header,
    Kind,
    is_stored_set,
    read_header,
    read_index,
    target_column,
)
from datasets_impl.labelled import FORMS, ImageFiles, as_files, targets_of
from datasets_impl.system.cores import cores
from datasets_impl.system.threads import ThreadPool

CHUNK = 64  # images
WHAT = "a stored set"
KEY_FIELDS = 5  # of a journal's first line, which says what is being written
# What formats write into a partial folder, which no header lists yet.
WRITTEN = re.compile(r"data(\.\w+)?|(data|shard|part)-\d{6}(\.\w+)?|\..+\.tmp")


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
    digests: np.ndarray[Any, np.dtype[np.uint64]] = field(init=False)

    def __post_init__(self) -> None:
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
        more: Any = {"targets": targets_of(files), "classes": files.classes}
        return cls(paths, kind, found, shape, lengths, **more)

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

    def content(self, index: int) -> bytes:
        """What is stored of an image.

        Raises:
            StudyError: it cannot be read, changed meanwhile, or (pixels) differs in shape.
        """
        path = self.paths[index]
        if self.kind == "pixels":
            pixels = decoded(path)
            require_shape(path, pixels.shape, self.paths[0], self.shape)
            return pixels.tobytes()
        try:
            data = Path(path).read_bytes()
        except (OSError, MemoryError) as error:
            raise unreadable(path, error) from error
        if len(data) != self.lengths[index]:
            raise StudyError(f"{path} changed while it was converted; convert again.")
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


def convert(
    root_dir: Any,
    kind: Kind,
    form: Format,
    target: str | Path | None = None,
    *,
    threads: int | None = None,
    progress: bool = False,
) -> Path:
    """The stored set of `root_dir` (see `as_files`); converted unless it is there and current.

    By default it is `<root_dir>.<kind>.<format>` beside the folder. Targets come along; a set that
    has them is current also when it is asked for without. Two processes may ask at once:
    one converts, the other waits. A set that is current is found without a lock, so also where
    nothing may be written.

    Raises:
        BadArgument: the format does not store that kind, `threads` is no count, `root_dir` is
            nothing that has files, or they are in no folder and there is no target.
        StudyError: an image cannot be converted, the target holds something else than a stored
            set, or it cannot be written. What was written is kept for the next try.
    """
    if kind not in form.kinds:
        stored = f"{' or '.join(form.kinds)}, which is what the format {form.name!r} stores"
        raise refused("kind", kind, stored)
    files = as_files(root_dir)
    if files is None:
        raise refused("root_dir", root_dir, FORMS)
    if target is not None:
        path = user_path(target)
    elif files.root is not None:
        path = beside(files.root, f"{kind}.{form.name}")
    else:
        raise refused("target", None, "where the set goes: a list of files has no folder")
    plan = Plan.of(files, kind)
    sources = [files.root] if files.root else sorted({Path(each).parent for each in files.paths})
    return convert_plan(plan, form, path, sources=sources, threads=threads, progress=progress)


def convert_plan(
    plan: Plan,
    form: Format,
    path: Path,
    *,
    sources: Sequence[Path] = (),
    threads: int | None = None,
    progress: bool = False,
) -> Path:
    """The same for a plan whose `content` may come from elsewhere than from files.

    Raises:
        StudyError: see `convert`.
    """
    threads = cores() if threads is None else positive_int("threads", threads)
    if _is_current(path, form, plan):
        return path
    check_replaceable(path, is_stored_set, sources=sources, what=WHAT)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with FileLock(path.with_name(f".{path.name}.lock")):
            if not _is_current(path, form, plan):
                _convert(plan, form, path, sources, threads, progress)
    except OSError as error:
        raise describe_write_error(error, path) from error
    return path


def _is_current(path: Path, form: Format, plan: Plan) -> bool:
    try:
        header = read_header(path)
        images = (header.format, header.kind, header.fingerprint)
        if images != (form.name, plan.kind, plan.fingerprint):
            return False
        return plan.targets is None or _has_targets(plan, header, read_index(path, header))
    except StudyError:
        return False  # absent, unfinished or damaged: converted anew


def _has_targets(plan: Plan, header: Header, index: np.ndarray[Any, Any]) -> bool:
    found = target_column(index)
    return (
        found is not None
        and header.classes == plan.classes
        and found.dtype == plan.targets.dtype  # type: ignore[union-attr]
        and np.array_equal(found, plan.targets, equal_nan=found.dtype.kind == "f")  # type: ignore[arg-type]
    )


def _convert(
    plan: Plan, form: Format, target: Path, sources: Sequence[Path], threads: int, progress: bool
) -> None:
    partial = target.with_name(f".{target.name}.partial")
    with _writing(plan, form, partial, sources) as (writer, done, journal):
        missing = [number for number in range(plan.chunks) if number not in done]
        lock = threading.Lock()

        def one(number: int) -> None:
            indices = plan.chunk(number)
            pieces = [form.encode(plan.content(index)) for index in indices]
            with _named(partial):
                writer.write(number, indices, pieces)
            digests = [digest(piece) for piece in pieces]
            plan.digests[indices.start : indices.stop] = digests
            plan.lengths[indices.start : indices.stop] = [len(piece) for piece in pieces]
            with lock:  # a whole line, or none that parses
                os.write(journal, f"{json.dumps([number, digests])}\n".encode())

        with Progress(console=Console(stderr=True), disable=not progress, transient=True) as bar:
            task = bar.add_task(f"Writing {escape(target.name)}", total=plan.chunks)
            bar.advance(task, plan.chunks - len(missing))
            for _ in _each(one, missing, threads):
                bar.advance(task)
        offsets = writer.offsets()
    _finish(plan, form, partial, offsets)
    put_in_place(partial, target, is_stored_set, sources=sources, what=WHAT)
    _sync(target.parent)
    (target / JOURNAL).unlink()


@contextmanager
def _named(path: Path) -> Iterator[None]:
    """Each library has errors of its own for what it cannot write; they become one sentence."""
    try:
        yield
    except (MemoryError, StudyError):
        raise
    except Exception as error:
        raise describe_write_error(error, path) from error


def _each(function: Any, inputs: Sequence[int], threads: int) -> Iterator[None]:
    """`function` of each input, by threads, with few in advance; no other begins after an error."""
    waiting: deque[Future[None]] = deque()
    failed = threading.Event()

    def unless_failed(value: int) -> None:
        if failed.is_set():
            return
        try:
            function(value)
        except BaseException:
            failed.set()
            raise

    with ThreadPool(threads) as pool:
        try:
            for value in inputs:
                waiting.append(pool.submit(unless_failed, value))
                if len(waiting) >= 2 * threads:
                    yield waiting.popleft().result()
            while waiting:
                yield waiting.popleft().result()
        except BaseException:
            failed.set()
            pool.shutdown(cancel_futures=True)
            raise


@contextmanager
def _writing(
    plan: Plan, form: Format, partial: Path, sources: Sequence[Path]
) -> Iterator[tuple[Writer, set[int], int]]:
    """The writer, the chunks that an earlier conversion of the same set left, and the journal.

    What is left of another set, or of this one before it changed, is thrown away.
    """
    check_replaceable(partial, _is_unfinished, sources=sources, what=WHAT)
    key = json.dumps([form.name, plan.kind, plan.fingerprint, list(plan.shape), plan.chunk_size])
    lines = _journal(partial, key)
    writer, done = None, set()
    if lines:
        try:
            writer = form.writer(partial, plan)
            done = _trusted(plan, writer, lines)
        except Exception:  # a kill can leave files that their library refuses; they are remade
            writer, done = None, set()
    if writer is None:
        remove_ours(partial, _is_unfinished, sources=sources, what=WHAT)
        partial.mkdir()
        atomic_write(partial / JOURNAL, f"{key}\n")  # first: it says whose the folder is
        with _named(partial):
            writer = form.writer(partial, plan)
    for left in partial.glob(".*.tmp"):  # half a file of a writer that was killed
        left.unlink()
    known = [
        json.dumps([number, [int(plan.digests[index]) for index in plan.chunk(number)]])
        for number in sorted(done)
    ]
    atomic_write(partial / JOURNAL, "".join(f"{line}\n" for line in [key, *known]))
    journal = os.open(partial / JOURNAL, os.O_WRONLY | os.O_APPEND | os.O_CLOEXEC)
    try:
        yield writer, done, journal
    finally:
        os.close(journal)
        with _named(partial):
            writer.close()


def _is_unfinished(partial: Path) -> bool:
    """Whether a conversion that was stopped left this folder, and nobody else's file is in it."""
    names = {path.name for path in partial.iterdir()} if partial.is_dir() else {""}
    if JOURNAL not in names:  # stopped before it was there
        return all(name.startswith(f".{JOURNAL}.") for name in names)
    try:
        key = json.loads((partial / JOURNAL).read_text().split("\n", 1)[0])
    except (OSError, ValueError):
        return False
    own = {JOURNAL, INDEX, HEADER}
    return (
        isinstance(key, list)
        and len(key) == KEY_FIELDS
        and all(isinstance(part, str) for part in key[:3])
        and all(name in own or WRITTEN.fullmatch(name) for name in names)
    )


def _journal(partial: Path, key: str) -> list[tuple[int, list[int]]]:
    """Chunks that an earlier conversion of the same set says it wrote."""
    try:
        first, *lines = (partial / JOURNAL).read_text().splitlines()
    except (OSError, ValueError):
        return []
    found = []
    for line in lines if first == key else []:
        try:
            number, digests = json.loads(line)
        except (TypeError, ValueError):
            continue  # the line that a kill cut short
        found.append((number, digests))
    return found


def _trusted(plan: Plan, writer: Writer, lines: Sequence[tuple[int, list[int]]]) -> set[int]:
    """The chunks whose content is what the journal says."""
    done = set()
    for number, digests in lines:
        indices = plan.chunk(number)
        try:
            pieces = writer.read_back(number, indices)
        except Exception:  # each library has errors of its own for what is not there
            continue
        if [digest(piece) for piece in pieces] == digests:
            plan.digests[indices.start : indices.stop] = digests
            plan.lengths[indices.start : indices.stop] = [len(piece) for piece in pieces]
            done.add(number)
    return done


def _finish(plan: Plan, form: Format, partial: Path, offsets: np.ndarray[Any, Any] | None) -> None:
    """Index and header, after everything that they speak of is on disk."""
    columns: list[Any] = INDEX_TYPE.descr
    if plan.targets is not None:
        columns = [*columns, (TARGET, plan.targets.dtype, plan.targets.shape[1:])]
    index = np.zeros(len(plan.paths), columns)
    if plan.targets is not None:
        index[TARGET] = plan.targets
    index["offset"] = 0 if offsets is None else offsets
    index["length"], index["digest"] = plan.lengths, plan.digests
    encoded = io.BytesIO()
    np.save(encoded, index)
    atomic_write(partial / INDEX, encoded.getvalue())
    left_out = {JOURNAL, HEADER}
    files = sorted(
        path for path in partial.rglob("*") if path.is_file() and path.name not in left_out
    )
    for path in files:
        _sync(path)
    header = Header(
        format=form.name,
        kind=plan.kind,
        shape=list(plan.shape),
        fingerprint=plan.fingerprint,
        chunk=plan.chunk_size,
        index_digest=f"{digest(encoded.getvalue()):016x}",
        files={str(path.relative_to(partial)): path.stat().st_size for path in files},
        classes=plan.classes,
    )
    atomic_write(partial / HEADER, header.sealed().model_dump_json(indent=1, exclude_none=True))


def _sync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
