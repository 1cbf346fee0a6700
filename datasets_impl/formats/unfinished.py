"""The folder of a conversion that is not finished, and the journal in it that says what is written.

A conversion that goes on reads back what the journal claims, so a kill at any moment, even a crash
of the machine, costs only chunks.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from datasets_impl.errors import StudyError
from datasets_impl.files.atomic import atomic_write, describe_write_error
from datasets_impl.files.pictures import digest
from datasets_impl.files.records import text_of
from datasets_impl.files.replacing import check_replaceable, remove_ours
from datasets_impl.formats.plan import Format, Plan, Writer
from datasets_impl.formats.stored import HEADER, INDEX, JOURNAL

WHAT = "a stored set"
KEY_FIELDS = 5  # of a journal's first line, which says what is being written
# What formats write into a partial folder, which no header lists yet; a folder of Zarr's as well.
WRITTEN = re.compile(
    r"data(\.lmdb|\.h5|\.zarr(/(zarr\.json|c|\d+|\w+\.[0-9a-f]{32}\.partial))+)?"
    r"|data-\d{6}\.arrow|shard-\d{6}\.tar|part-\d{6}"
)
TEMPORARY = re.compile(r"\.[^/]+\.tmp(/.+)?")  # of a file, or of a worker that makes a shard
SHARDS = "data"  # in the folder of an unfinished set of shards: what is going to be the set
SHARD = re.compile(r"shard-\d{6}")


@contextmanager
def writing(
    plan: Plan, form: Format, partial: Path, sources: Sequence[Path]
) -> Iterator[tuple[Writer, set[int], int]]:
    """The writer, the chunks that an earlier conversion of the same set left, and the journal.

    What is left of another set, or of this one before it changed, is thrown away.
    """
    check_replaceable(partial, is_unfinished_set, sources=sources, what=WHAT)
    key = key_of(plan, form.name)
    lines = _journal(partial, key)
    writer, done = None, set()
    if lines:
        try:
            writer = form.writer(partial, plan)
            done = _trusted(plan, writer, lines)
        except Exception:  # a kill can leave files that their library refuses; they are remade
            writer, done = None, set()
    if writer is None:
        remove_ours(partial, is_unfinished_set, sources=sources, what=WHAT)
        partial.mkdir()
        atomic_write(partial / JOURNAL, f"{key}\n")  # first: it says whose the folder is
        with naming(partial):
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
        with naming(partial):
            writer.close()


def is_unfinished_set(partial: Path) -> bool:
    """Whether a conversion that was stopped left this folder, and nobody else's file is in it."""
    names = {path.name for path in partial.iterdir()} if partial.is_dir() else {""}
    if JOURNAL not in names:  # stopped before it was there
        return all(name.startswith(f".{JOURNAL}.") for name in names)
    try:
        first = text_of(partial / JOURNAL).split("\n", 1)[0]
    except (OSError, ValueError):
        return False
    return is_key(first) and all(map(_is_of_a_set, _files(partial)))


def is_unfinished_shard(folder: Path) -> bool:
    """Whether a shard, whole or not, holds nobody else's file."""
    return folder.is_dir() and all(map(_is_written, _files(folder)))


def is_of_shards(name: str) -> bool:
    """Whether a set of shards, whole or not, has a file of such a name."""
    shard, _, rest = name.partition("/")
    if SHARD.fullmatch(shard) and rest:
        return _is_written(rest)
    return name in (JOURNAL, INDEX, HEADER) or TEMPORARY.fullmatch(name) is not None


def _is_of_a_set(name: str) -> bool:
    below = name.removeprefix(f"{SHARDS}/")
    return _is_written(name) if below == name else is_of_shards(below)


def _is_written(name: str) -> bool:
    """Whether a conversion gives this name to what it writes into the folder of a set."""
    ours = WRITTEN.fullmatch(name) or TEMPORARY.fullmatch(name)
    return name in (JOURNAL, INDEX, HEADER) or ours is not None


def _files(folder: Path) -> Iterator[str]:
    """By their paths in it."""
    for parent, _, names in os.walk(folder):
        below = os.path.relpath(parent, folder)
        yield from names if below == "." else (f"{below}/{name}" for name in names)


def key_of(plan: Plan, form: str, shard: int | None = None) -> str:
    """Says which set is being written: the first line of a journal."""
    size: Any = plan.chunk_size if shard is None else [plan.chunk_size, shard]
    return json.dumps([form, plan.kind, plan.fingerprint, list(plan.shape), size])


def is_key(line: str) -> bool:
    try:
        key = json.loads(line)
    except (ValueError, RecursionError):
        return False
    named = isinstance(key, list) and len(key) == KEY_FIELDS
    return named and all(isinstance(part, str) for part in key[:3])


def _journal(partial: Path, key: str) -> list[tuple[int, list[int]]]:
    """Chunks that an earlier conversion of the same set says it wrote."""
    try:
        first, *lines = text_of(partial / JOURNAL).splitlines()
    except (OSError, ValueError):
        return []
    found = []
    for line in lines if first == key else []:
        try:
            number, digests = json.loads(line)
        except (TypeError, ValueError, RecursionError):
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


@contextmanager
def naming(path: Path) -> Iterator[None]:
    """Each library has errors of its own for what it cannot write; they become one sentence."""
    try:
        yield
    except (MemoryError, StudyError):
        raise
    except Exception as error:
        raise describe_write_error(error, path) from error
