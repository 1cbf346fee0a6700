"""Memory of workers: what each copies of the trainer's, and what it never gives back."""

from __future__ import annotations

import copy
import gc
import pickle
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from datasets_impl.doctor.probes import clock
from datasets_impl.doctor.probes.inside import BIG, open_handles
from datasets_impl.doctor.probes.loaders import (
    WORKERS,
    Part,
    collate_of,
    consume,
    opened,
    trial_batch_of,
)
from datasets_impl.doctor.probes.part import part_of
from datasets_impl.doctor.probes.raised import RAISED
from datasets_impl.doctor.probes.room import at_once
from datasets_impl.doctor.probes.target import Subject
from datasets_impl.doctor.probes.thresholds import LEAST_GROWTH, LEAST_LEAK
from datasets_impl.errors import Unsupported
from datasets_impl.observe.memory import process_memory

HANDED = 0.8  # of the time, that it may take workers to hand over an epoch
LEAST_PICKLED = 200  # bytes of an object


def growth(subject: Subject, seconds: float) -> dict[str, Any]:
    """Private memory of a worker after two batches, and after each of a few epochs; bytes.

    A copy of what the trainer holds, made by counting references, shows as growth that follows the
    samples read; a leak as growth that goes on when the same samples are read again.
    """
    if subject.iterable or not subject.length or (not subject.workers and open_handles(subject)):
        return {}
    chosen = part_of(subject, seconds / 8)
    if not chosen:
        return {}
    # Workers must hand over two epochs of them.
    chosen = chosen[:: int(len(chosen) * subject.handing / (HANDED * seconds)) or 1]
    part = Part(subject, chosen)
    some = [part[i] for i in range(min(len(part), trial_batch_of(subject) or 1))]
    collate, _ = collate_of(subject, some)
    workers = subject.workers or WORKERS
    few = Part(subject, chosen[: 2 * workers * (trial_batch_of(subject, workers) or 1)])
    gc.collect()
    try:
        (begun,) = _private(subject, few, workers, collate, 0.0, 1)
        seen = _private(subject, part, workers, collate, seconds * 0.6, 4)
    except Unsupported as reason:
        return {"unsupported": str(reason)}
    found = {
        "few": begun, "private": seen, "samples": len(part) - len(few), "of": subject.length,
        "workers": workers,
    }  # fmt: skip
    packed = _with_packed_list(subject) if seen[0] - begun > LEAST_GROWTH else None
    if packed is not None:
        few, part = (Part(packed, one.indices, one.count) for one in (few, part))
        (begun,) = _private(packed, few, workers, collate, 0.0, 1)
        found["packed"] = _private(packed, part, workers, collate, 0.0, 1)[0] - begun
    return found


def _with_packed_list(subject: Subject) -> Subject | None:
    """A copy of the dataset whose largest list is one array; None where it has no such list."""
    held = getattr(subject.dataset, "__dict__", {})
    lists = {name: one for name, one in held.items() if isinstance(one, list) and len(one) >= BIG}
    if not lists:
        return None
    name = max(lists, key=lambda one: len(lists[one]))
    if len(lists[name]) * LEAST_PICKLED > at_once():
        return None
    other = copy.copy(subject.dataset)
    try:
        setattr(other, name, Packed(lists[name]))
    except RAISED:  # objects that cannot be pickled stay as they are
        return None
    return replace(subject, dataset=other)


def _private(
    subject: Subject, part: Part, workers: int, collate: Any, seconds: float, most: int
) -> list[int]:
    """Bytes that the largest worker has alone after each epoch: two at least, and where it grew one
    more, whatever the time."""
    found: list[int] = []
    with opened(subject, part, workers, collate) as loader:
        until = clock.perf_counter() + seconds
        while len(found) < most and (clock.perf_counter() < until or _too_few(found)):
            consume(loader)
            alive = loader._iterator._workers  # type: ignore[union-attr]
            found.append(max(process_memory(worker.pid).private for worker in alive))
    return found


def _too_few(found: list[int]) -> bool:
    return len(found) < 2 or (len(found) < 3 and found[1] - found[0] >= LEAST_LEAK)


class Packed(Sequence[Any]):
    """The objects of a list, pickled into one array: reading one changes no count of another."""

    def __init__(self, objects: Sequence[Any]) -> None:
        pieces = [pickle.dumps(one, pickle.HIGHEST_PROTOCOL) for one in objects]
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
