"""Convert a folder of JPEG files into a stored set: parallel, resumable, atomic.

The format writes chunk by chunk into `.<name>.partial` beside the target, and a journal there names
the chunks that are written (see `unfinished.py`). Index and header come last, everything is synced,
and the folder takes the target's name.
"""

from __future__ import annotations

import io
import json
import os
import threading
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import Any

import numpy as np

from datasets_impl.arguments import flag, positive_int, refused
from datasets_impl.errors import StudyError
from datasets_impl.files.atomic import atomic_write, describe_write_error
from datasets_impl.files.paths import user_path
from datasets_impl.files.pictures import beside, digest
from datasets_impl.files.replacing import check_outside, check_replaceable, put_in_place
from datasets_impl.files.whole import locked, sync
from datasets_impl.formats.plan import Format, Plan
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
from datasets_impl.formats.unfinished import WHAT, naming, writing
from datasets_impl.labelled import FORMS, as_files
from datasets_impl.streams import escaped
from datasets_impl.system.cores import cores
from datasets_impl.system.threads import ThreadPool


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
    flag("progress", progress)
    if kind not in form.kinds:
        stored = f"{' or '.join(form.kinds)}, which is what the format {form.name!r} stores"
        raise refused("kind", kind, stored)
    files = as_files(root_dir)
    if files is None:
        raise refused("root_dir", root_dir, FORMS)
    sources = [files.root] if files.root else sorted({Path(each).parent for each in files.paths})
    if target is not None:
        path = user_path(target)
        check_outside(path, files.folders(), WHAT)
    elif files.root is not None:
        path = beside(files.root, f"{kind}.{form.name}")
    else:
        raise refused("target", None, "where the set goes: a list of files has no folder")
    plan = Plan.of(files, kind)
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
        with locked(path):
            if not _is_current(path, form, plan):
                _convert(plan, form, path, sources, threads, progress)
    except OSError as error:
        raise describe_write_error(error, path) from error
    return path


def _is_current(path: Path, form: Format, plan: Plan) -> bool:
    try:
        header = read_header(path)
        if not is_of_plan(header, form.name, plan):
            return False
        return plan.targets is None or has_targets(plan, header, read_index(path, header))
    except StudyError:
        return False  # absent, unfinished or damaged: converted anew


def is_of_plan(header: Header, form: str, plan: Plan) -> bool:
    return (header.format, header.kind, header.fingerprint) == (form, plan.kind, plan.fingerprint)


def has_targets(plan: Plan, header: Header, index: np.ndarray[Any, Any]) -> bool:
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
    with writing(plan, form, partial, sources) as (writer, done, journal):
        missing = [number for number in range(plan.chunks) if number not in done]
        lock = threading.Lock()

        def one(number: int, ended: threading.Event) -> None:
            indices, pieces = plan.chunk(number), []
            for content in plan.contents(indices):
                if ended.is_set():
                    return
                pieces.append(form.encode(content))
            with naming(partial):
                writer.write(number, indices, pieces)
            digests = [digest(piece) for piece in pieces]
            plan.digests[indices.start : indices.stop] = digests
            plan.lengths[indices.start : indices.stop] = [len(piece) for piece in pieces]
            with lock:  # a whole line, or none that parses
                os.write(journal, f"{json.dumps([number, digests])}\n".encode())

        silent = nullcontext(lambda: None)
        with (
            _bar(target.name, plan.chunks, plan.chunks - len(missing))
            if progress
            else silent as advance
        ):
            for _ in _each(one, missing, threads):
                advance()
        offsets = writer.offsets()
    _finish(plan, form, partial, offsets)
    put_in_place(partial, target, is_stored_set, sources=sources, what=WHAT)
    sync(target.parent)
    (target / JOURNAL).unlink()


@contextmanager
def _bar(name: str, chunks: int, done: int) -> Iterator[Callable[[], Any]]:
    """On standard error; gone when the block ends."""
    from rich.console import Console  # late: every dataset of stored images imports this module
    from rich.markup import escape
    from rich.progress import Progress

    with Progress(console=Console(emoji=False, stderr=True), transient=True) as bar:
        task = bar.add_task(f"Writing {escape(escaped(name))}", total=chunks, completed=done)
        yield lambda: bar.advance(task)


def _each(function: Any, inputs: Sequence[int], threads: int) -> Iterator[None]:
    """`function` of each input, by threads, with few in advance; no other begins after an error.

    What is given beside an input tells of Ctrl-C: nobody waits then for what has begun.
    """
    waiting: deque[Future[None]] = deque()
    failed, ended = threading.Event(), threading.Event()

    def unless_failed(value: int) -> None:
        if failed.is_set():
            return
        try:
            function(value, ended)
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
        except BaseException as error:
            failed.set()
            if not isinstance(error, Exception):
                ended.set()
            pool.shutdown(cancel_futures=True)
            raise


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
    encoded = saved(index)
    atomic_write(partial / INDEX, encoded)
    left_out = {JOURNAL, HEADER}
    files = sorted(
        path for path in partial.rglob("*") if path.is_file() and path.name not in left_out
    )
    for path in files:
        sync(path)
    header = Header(
        format=form.name,
        kind=plan.kind,
        shape=list(plan.shape),
        fingerprint=plan.fingerprint,
        chunk=plan.chunk_size,
        index_digest=f"{digest(encoded):016x}",
        files={str(path.relative_to(partial)): path.stat().st_size for path in files},
        classes=plan.classes,
    )
    atomic_write(partial / HEADER, written(header))


def saved(index: np.ndarray[Any, Any]) -> bytes:
    encoded = io.BytesIO()
    np.save(encoded, index)
    return encoded.getvalue()


def written(header: Header) -> str:
    return header.sealed().model_dump_json(indent=1, exclude_none=True)
