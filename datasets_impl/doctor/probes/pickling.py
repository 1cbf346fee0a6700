"""What every worker that is not forked is sent."""

from __future__ import annotations

import contextlib
import inspect
import pickle
from itertools import islice
from multiprocessing.reduction import ForkingPickler
from typing import Any

import numpy as np
import torch

from datasets_impl.doctor.probes import clock
from datasets_impl.doctor.probes.own_lines import is_users
from datasets_impl.doctor.probes.raised import RAISED, said_by
from datasets_impl.doctor.probes.source_lines import Line, of_function, of_part
from datasets_impl.doctor.probes.target import Subject

DEEP = 4  # levels of what is pickled, that are looked into
MOST = 100  # elements of one
LARGE = 16 << 20  # bytes, of which the largest part is looked for


class _Counted:
    """A file that keeps nothing: there may be no room for a second copy of a dataset."""

    nbytes = 0

    def write(self, data: Any) -> int:
        self.nbytes += memoryview(data).nbytes
        return memoryview(data).nbytes


def pickled(subject: Subject, seconds: float) -> dict[str, Any]:
    """Bytes and seconds of what every worker that is not forked is sent; what refuses to be."""
    refused: list[list[str]] = []
    begun, size = clock.perf_counter(), 0
    try:
        counted = _Counted()
        pickle.dump(subject.dataset, counted, pickle.HIGHEST_PROTOCOL)
        size = counted.nbytes
    except RAISED as error:
        refused.append(["the dataset", said_by(error)])
    taken = clock.perf_counter() - begun
    for name in ("collate_fn", "worker_init_fn"):
        try:
            ForkingPickler.dumps(getattr(subject.loader, name, None))
        except RAISED as error:
            refused.append([name, said_by(error)])
    lines = _lines(subject, refused[0][0]) if refused else []
    largest = _largest(subject.dataset) if size >= LARGE and taken < seconds / 2 else []
    return {
        "bytes": size, "seconds": taken, "refused": refused, "lines": lines, "largest": largest,
        "largest_lines": of_part(subject.dataset, f".{largest[0]}") if largest else [],
    }  # fmt: skip


def _largest(dataset: Any) -> list[Any]:
    """The attribute that takes most of what is sent, and its bytes; of one that holds a dataset
    the whole is told."""
    found = {name: _size(value) for name, value in _sent(dataset) if name.startswith(".")}
    name = max(found, key=lambda one: found[one], default="")
    return [name[1:], found[name]] if name else []


def _size(value: Any) -> int:
    counted = _Counted()
    with contextlib.suppress(*RAISED):
        pickle.dump(value, counted, pickle.HIGHEST_PROTOCOL)
    return counted.nbytes


def _lines(subject: Subject, what: str) -> list[Line]:
    """Where that which refuses to be pickled is made."""
    if what != "the dataset":
        return of_function(getattr(subject.loader, what))
    path, value = _refusing("", subject.dataset)
    return (of_function(value) if inspect.isfunction(value) else []) or of_part(
        subject.dataset, path
    )


def _refusing(path: str, value: Any, deep: int = 0) -> tuple[str, Any]:
    """The innermost part that does, in objects of the user's and plain containers."""
    if deep < DEEP:
        for name, inner in _sent(value):
            if not _can_be_sent(inner):
                return _refusing(f"{path}{name}", inner, deep + 1)
    return path, value


def _sent(value: Any) -> list[tuple[str, Any]]:
    with contextlib.suppress(*RAISED):
        if isinstance(value, dict):
            return [(f"[{key!r}]", one) for key, one in islice(value.items(), MOST)]
        if isinstance(value, list | tuple):
            return [(f"[{at}]", one) for at, one in enumerate(islice(value, MOST))]
        if is_users(inspect.getsourcefile(type(value)) or "<"):
            return [(f".{name}", one) for name, one in (value.__getstate__() or {}).items()]
    return []


def _can_be_sent(value: Any) -> bool:
    if isinstance(value, np.ndarray | torch.Tensor):  # large, and no trouble
        return True
    try:
        pickle.dump(value, _Counted(), pickle.HIGHEST_PROTOCOL)
    except RAISED:
        return False
    return True
