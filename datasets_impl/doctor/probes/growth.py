"""Memory of workers: what each copies of the trainer's, and what it never gives back."""

from __future__ import annotations

import copy
import gc
import math
import pickle
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from itertools import islice
from typing import Any

import numpy as np

from datasets_impl.doctor.probes import clock
from datasets_impl.doctor.probes.epochs import attribute
from datasets_impl.doctor.probes.loaders import (
    WORKERS,
    Part,
    collate_of,
    consume,
    opened,
    trial_batch_of,
)
from datasets_impl.doctor.probes.part import part_of
from datasets_impl.doctor.probes.parts import BIG, open_handles
from datasets_impl.doctor.probes.raised import RAISED, InitRaised
from datasets_impl.doctor.probes.room import at_once
from datasets_impl.doctor.probes.target import Subject
from datasets_impl.doctor.probes.thresholds import LEAST_GROWTH, LEAST_LEAK, telling
from datasets_impl.errors import Unsupported
from datasets_impl.observe.memory import process_memory

TIMES = 4  # samples of an epoch over those of the one before, until workers have grown
PROOF = 2 * LEAST_GROWTH  # bytes, after which no more samples are needed
EPOCHS = 4  # of the same samples, where there is time for them
LEAST_PICKLED = 200  # bytes of an object


def growth(subject: Subject, seconds: float) -> dict[str, Any]:
    """Private memory of a worker after two batches, and after each of a few epochs; bytes.

    A copy of what the trainer holds, made by counting references, shows as growth that follows the
    samples read; a leak as growth that goes on when the same samples are read again. Epochs are
    made longer until workers have grown by `PROOF`: what shows at once needs no more. Of a stream
    only what a worker has after two batches.
    """
    if subject.iterable:
        return _of_stream(subject, seconds)
    if not subject.length or (not subject.workers and open_handles(subject)):
        return {}
    until = clock.perf_counter() + seconds
    chosen = part_of(subject, seconds / 8)
    if not chosen:
        return {}
    part = Part(subject, chosen)
    some = [part[i] for i in range(min(len(part), trial_batch_of(subject) or 1))]
    collate, _ = collate_of(subject, some)
    workers = subject.workers or WORKERS
    few = min(len(part), 2 * workers * (trial_batch_of(subject, workers) or 1))
    gc.collect()
    try:
        with _reading(subject, part, workers, collate) as after:
            begun = after(few)
            count, grown = _grown(after, begun, few, len(part), until)
            seen = [grown]
            while len(seen) < EPOCHS and (clock.perf_counter() < until or _too_few(seen)):
                seen.append(after(count))
    except Unsupported as reason:
        return {"unsupported": str(reason)}
    found = {
        "few": begun, "private": seen, "samples": count - few, "of": subject.length,
        "workers": workers,
    }  # fmt: skip
    looked_into = telling(grown - begun, count - few, subject.length)
    packed = _with_packed_list(subject, until) if looked_into else None
    if packed is not None:
        with _reading(packed, Part(packed, chosen), workers, collate) as after:
            begun = after(few)
            found["packed"] = after(count) - begun
    return found


def _of_stream(subject: Subject, seconds: float) -> dict[str, Any]:
    loader, first = subject.loader, float(subject.answers.get("look", {}).get("first", 0.0))
    count = 2 * (trial_batch_of(subject, 1) or 1)
    if loader is None or not subject.workers or subject.workers_hang:
        return {}
    if first + count * subject.cost > seconds / 2:
        return {}
    try:
        with opened(subject, subject.dataset, 1, loader.collate_fn) as made:
            consume(islice(made, 2))
            (worker,) = made._iterator._workers  # type: ignore[union-attr]
            return {"few": process_memory(worker.pid).private, "workers": 1}
    except InitRaised:
        raise
    except RAISED:  # said elsewhere: it cannot be read or collated
        return {}


@contextmanager
def _reading(
    subject: Subject, part: Part, workers: int, collate: Any
) -> Iterator[Callable[[int], int]]:
    """How to read so many samples: gives the bytes that the largest worker then has alone."""
    order: list[int] = []
    with opened(subject, part, workers, collate, sampler=order) as loader:

        def after(count: int) -> int:
            order[:] = range(count)
            consume(loader)
            alive = loader._iterator._workers  # type: ignore[union-attr]
            return max(process_memory(worker.pid).private for worker in alive)

        yield after


def _grown(
    after: Callable[[int], int], begun: int, few: int, most: int, until: float
) -> tuple[int, int]:
    """Samples of an epoch that shows whether workers grow, and bytes after it: all there are, but
    for those that no time is left for."""
    count = few
    while True:
        since = clock.perf_counter()
        count = min(most, TIMES * count)
        grown = after(count)
        now = clock.perf_counter()
        if count == most or grown - begun >= PROOF or now + TIMES * (now - since) > until:
            return count, grown


def _with_packed_list(subject: Subject, until: float) -> Subject | None:
    """A copy of the dataset whose largest list is one array; None where it has no such list, or it
    could not be packed `until` then."""
    held = attribute(subject.dataset, "__dict__", {})
    lists = {name: one for name, one in held.items() if isinstance(one, list) and len(one) >= BIG}
    if not lists:
        return None
    name = max(lists, key=lambda one: len(lists[one]))
    if len(lists[name]) * LEAST_PICKLED > at_once():
        return None
    other = copy.copy(subject.dataset)
    try:
        setattr(other, name, Packed(lists[name], until))
    except RAISED:  # objects that cannot be pickled stay as they are
        return None
    return replace(subject, dataset=other)


def _too_few(found: list[int]) -> bool:
    """Two tell of growth, a third whether it goes on."""
    return len(found) < 2 or (len(found) < 3 and found[1] - found[0] >= LEAST_LEAK)


class Packed(Sequence[Any]):
    """The objects of a list, pickled into one array: reading one changes no count of another."""

    def __init__(self, objects: Sequence[Any], until: float = math.inf) -> None:
        """
        Raises:
            TimeoutError: it takes longer than `until`.
        """
        pieces = []
        for one in objects:
            pieces.append(pickle.dumps(one, pickle.HIGHEST_PROTOCOL))
            if clock.perf_counter() > until:
                raise TimeoutError
        self.ends = np.cumsum([len(piece) for piece in pieces])
        self.data = np.frombuffer(b"".join(pieces), np.uint8)

    def __len__(self) -> int:
        return len(self.ends)

    def __getitem__(self, index: Any) -> Any:
        if isinstance(index, slice):
            return [self[one] for one in range(*index.indices(len(self)))]
        if not -len(self) <= index < len(self):
            raise IndexError(index)
        index = index % len(self)
        begin = self.ends[index - 1] if index else 0
        return pickle.loads(self.data[begin : self.ends[index]].data)
