"""A set of many shards, written by many processes on one machine or many.

Each shard is a task: a whole stored set of a fixed range of the images, made by one thread in a
folder of its own and moved to its place. So every worker writes the same bytes, a shard that is
made twice does no harm, and a shard that is there is not made again. At the end the indices of the
shards become one, and the header, which makes it a set, comes last.
"""

from __future__ import annotations

import io
import json
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

import numpy as np

from datasets_impl.errors import StudyError
from datasets_impl.files.pictures import digest
from datasets_impl.formats.conversion import (
    convert_plan,
    has_targets,
    is_of_plan,
    saved,
    written,
)
from datasets_impl.formats.places import Place
from datasets_impl.formats.plan import Plan
from datasets_impl.formats.stored import HEADER, INDEX, Header, shard_name
from datasets_impl.formats.unfinished import key_of

# Images of a shard where nobody says: few enough that some thousands give all workers their share,
# and enough that a shard is megabytes.
SHARD = 1024
WINDOW = 1024  # tasks that wait or run at a time

Submit = Callable[..., Any]  # as `Executor.submit`; of what it returns, only `result` is asked


class Converted(NamedTuple):
    """`written` shards were missing, of `shards`. `replaced`: a whole set stood there of other
    pictures, or of these before they changed."""

    written: int
    shards: int
    replaced: bool = False


@dataclass(frozen=True)
class Task:
    """One shard to write, as plain data: `plan` is of its images alone."""

    plan: Plan
    format: str
    place: Place
    number: int


def write(task: Task) -> int:
    """Make the shard and put it in its place; returns its number.

    Raises:
        StudyError: an image cannot be converted, or the place cannot be written.
    """
    from datasets_impl.formats import FORMATS

    if task.place.has(task.number):  # of a worker that died before anybody heard of it
        return task.number
    form = FORMATS[task.format].load("Format")()
    # What travelled may lie in memory that cannot be written, as Ray's.
    plan = replace(task.plan, lengths=task.plan.lengths.copy())
    with task.place.scratch() as folder:
        made = convert_plan(plan, form, folder / shard_name(task.number), threads=1)
        task.place.put(made, task.number)
    return task.number


def convert_shards(
    plan: Plan,
    form: str,
    place: Place,
    submit: Submit,
    *,
    size: int | None = None,
    progress: Callable[[int, int], None] = lambda done, of: None,
) -> Converted:
    """Write the set of `plan` to `place`, unless it is there.

    Args:
        form: a name of `FORMATS`.
        submit: starts `write(task)` somewhere, as `Executor.submit` does.
        size: images of a shard; by default those of the set that stands there, whole or not, and
            `SHARD` where it is of something else.
        progress: called with the number of shards that are there, and of all.

    Raises:
        StudyError: see `write`; or the place holds something else.
    """
    if (found := _current(plan, form, place, size)) is not None:
        return Converted(0, found)
    with place.mine():
        if (found := _current(plan, form, place, size)) is not None:  # made meanwhile by another
            return Converted(0, found)
        before = place.current()  # what another has made meanwhile counts, too
        size = size or _size_begun(plan, form, place) or SHARD
        ranges = [
            range(at, min(at + size, len(plan.paths))) for at in range(0, len(plan.paths), size)
        ]
        place.begin(key_of(plan, form, size))
        there = _whole(plan, form, place, ranges)
        missing = []
        for number in range(len(ranges)):
            if number not in there:
                place.drop(number)
                missing.append(number)
        progress(len(there), len(ranges))
        tasks = (Task(plan.part(ranges[number]), form, place, number) for number in missing)
        for done, _ in enumerate(_each(submit, tasks), len(there) + 1):
            progress(done, len(ranges))
        place.finish(*_merged(plan, form, place, ranges, size))
    replaced = before is not None and before.fingerprint != plan.fingerprint
    return Converted(len(missing), len(ranges), replaced)


def _current(plan: Plan, form: str, place: Place, size: int | None) -> int | None:
    """How many shards the set has that stands there, if it is the one that is asked for."""
    header = place.current()
    if header is None or not header.shard or not is_of_plan(header, form, plan):
        return None
    if size not in (None, header.shard):
        return None
    if plan.targets is not None:
        index = _index(place.read([INDEX], whole=True)[0], header, str(place))
        if not has_targets(plan, header, index):
            return None
    return -(-len(plan.paths) // header.shard)


def _size_begun(plan: Plan, form: str, place: Place) -> int | None:
    """Images of a shard of the unfinished set that stands there, if it is of the same content."""
    key = place.begun()
    try:
        _, shard = json.loads(key)[-1]
    except (ValueError, TypeError, LookupError, RecursionError):
        return None
    ours = isinstance(shard, int) and shard > 0 and key == key_of(plan, form, shard)
    return shard if ours else None


def _each(submit: Submit, tasks: Iterable[Task]) -> Iterator[int]:
    """The numbers of tasks that are done, with some in advance; none waits after an error."""
    waiting: deque[Any] = deque()
    try:
        for task in tasks:
            waiting.append(submit(write, task))
            if len(waiting) >= WINDOW:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()
    finally:
        for future in waiting:
            future.cancel()


def _whole(plan: Plan, form: str, place: Place, ranges: list[range]) -> dict[int, Header]:
    """The headers of those shards of the set that are there with all their bytes: where another
    conversion writes, or one that was given up still does, others may stand in their place."""
    sizes = place.sizes()
    numbers = [n for n in range(len(ranges)) if f"{shard_name(n)}/{HEADER}" in sizes]
    found = {}
    for number, header in zip(numbers, _headers(place, numbers), strict=True):
        shard, wanted = shard_name(number), (form, plan.kind, plan.fingerprint_of(ranges[number]))
        meant = header and (header.format, header.kind, header.fingerprint) == wanted
        if (
            header
            and meant
            and all(sizes.get(f"{shard}/{name}") == size for name, size in header.files.items())
        ):
            found[number] = header
    return found


def _headers(place: Place, numbers: Iterable[int]) -> list[Header | None]:
    found: list[Header | None] = []
    for content in place.read([f"{shard_name(number)}/{HEADER}" for number in numbers]):
        try:
            header = Header.model_validate_json(content)
        except ValueError:
            found.append(None)
        else:
            found.append(header if header.is_intact() else None)
    return found


def _merged(
    plan: Plan, form: str, place: Place, ranges: list[range], size: int
) -> tuple[bytes, str]:
    """The index and the header over all shards."""
    whole = _whole(plan, form, place, ranges)
    if len(whole) != len(ranges):
        raise StudyError(
            f"{len(ranges) - len(whole)} of {len(ranges)} shards of {place} are missing or cut "
            "short though their tasks ended, or another conversion wrote them; do all workers see "
            "that place, and does nobody else write there? Run it again."
        )
    sizes = place.sizes()
    contents = place.read([f"{shard_name(number)}/{INDEX}" for number in range(len(ranges))])
    indices = [
        _index(content, whole[number], f"{place}/{shard_name(number)}")
        for number, content in enumerate(contents)
    ]
    index = saved(np.concatenate(indices))
    files = {INDEX: len(index)}
    for number, header in whole.items():
        shard = shard_name(number)
        files[f"{shard}/{HEADER}"] = sizes[f"{shard}/{HEADER}"]
        files |= {f"{shard}/{name}": size for name, size in header.files.items()}
    header = Header(
        format=form,
        kind=plan.kind,
        shape=list(plan.shape),
        fingerprint=plan.fingerprint,
        chunk=plan.chunk_size,
        index_digest=f"{digest(index):016x}",
        files=dict(sorted(files.items())),
        classes=plan.classes,
        shard=size,
    )
    return index, written(header)


def _index(content: bytes, header: Header, name: str) -> np.ndarray[Any, Any]:
    if f"{digest(content):016x}" != header.index_digest:
        raise StudyError(f"The index of {name} is damaged; delete it and run it again.")
    return np.asarray(np.load(io.BytesIO(content), allow_pickle=False))
