"""Which samples are read, and how."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np

from datasets_impl.doctor.probes import clock
from datasets_impl.doctor.probes.raised import RAISED
from datasets_impl.doctor.probes.target import Subject

MOST = 400  # samples that are timed
LOOKED_AT = 64


def indices(subject: Subject, most: int = MOST) -> list[int]:
    """Spread evenly over the dataset, the first and the last among them; without the broken."""
    count = subject.count
    evenly = range(count) if count <= most else {round(x) for x in np.linspace(0, count - 1, most)}
    return sorted(index for index in evenly if index not in subject.avoid)


def reads(subject: Subject, most: int = MOST) -> Iterator[tuple[Any, Callable[[], Any]]]:
    """(index, how to read it); of an iterable dataset, its samples in their order."""
    if subject.iterable:
        arriving = iter(subject.dataset)
        yield from ((number, lambda: next(arriving)) for number in range(most))
    else:
        yield from ((i, lambda i=i: subject.read(i)) for i in indices(subject, most))


def seconds_of_items(subject: Subject, chosen: Sequence[Any]) -> list[float]:
    """Of each index; a sample that raises counts as long as it took to."""
    found = []
    for index in chosen:
        begun = clock.perf_counter()
        with contextlib.suppress(*RAISED):
            subject.read(index)
        found.append(clock.perf_counter() - begun)
    return found
