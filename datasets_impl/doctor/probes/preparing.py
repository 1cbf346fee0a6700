"""What a worker does before its first sample, timed in the worker itself: all of them start at the
same moment, on the cores that there are, so from outside each seems to prepare for long."""

from __future__ import annotations

import copy
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import torch
from torch.utils.data import get_worker_info

from datasets_impl.doctor.probes import clock
from datasets_impl.doctor.probes.attribution import queue_seconds
from datasets_impl.doctor.probes.epochs import attribute
from datasets_impl.doctor.probes.inside import opencv_threads
from datasets_impl.doctor.probes.loaders import Part, WorkerInit, initialised
from datasets_impl.doctor.probes.target import Subject

_SENT, _INIT, _FIRST, _LATER, _BEGAN, _TORCH, _OPENCV = range(7)  # places of what a worker notes


def running() -> float:
    """Seconds of the clock, but for those in which this thread stood in the queue for a core."""
    return clock.perf_counter() - queue_seconds()


def attributes(dataset: Any) -> dict[str, bool]:
    """Of the dataset's own, whether each is set to something."""
    held = attribute(dataset, "__dict__") or {}
    return {name: value is not None for name, value in held.items()}


def as_made(subject: Subject) -> tuple[Subject, list[str]]:
    """With the dataset as it was before its first sample was read, and the names of what that has
    set: workers of a trainer that reads none itself load it anew."""
    now, before = attributes(subject.dataset), subject.attributes
    if before is None:
        return subject, []
    names = [name for name, is_set in now.items() if is_set and not before.get(name)]
    if not names:
        return subject, []
    fresh = copy.copy(subject.dataset)
    for name in names:
        if name in before:
            fresh.__dict__[name] = None
        else:
            del fresh.__dict__[name]
    return replace(subject, dataset=fresh), names


class _Arrival:
    """To a worker that is sent it the moment at which it is unpickled."""

    def __reduce__(self) -> Any:
        return running, ()


class Prepared(Part):
    """Notes when the first worker begins with its first sample, and how long that takes."""

    def __init__(self, part: Part) -> None:
        super().__init__(part.subject, part.indices, part.count)
        self.told = torch.zeros(7, dtype=torch.float64).share_memory_()  # type: ignore[no-untyped-call]
        self.sent = 0.0

    def __getstate__(self) -> Any:
        return _Arrival(), self.__dict__, _Arrival()

    def __setstate__(self, state: Any) -> None:
        begun, held, ended = state
        self.__dict__.update(held, sent=ended - begun)

    def __getitem__(self, index: int) -> Any:
        return self._noted(super().__getitem__, index)

    def _many(self, places: list[int]) -> Any:
        return self._noted(super()._many, places)

    def _noted(self, read: Callable[[Any], Any], what: Any) -> Any:
        info, now, begun = get_worker_info(), clock.perf_counter(), running()
        found = read(what)
        if info is not None and info.id == 0:
            spent, is_first = running() - begun, not self.told[_BEGAN]
            if is_first:
                self.told[_BEGAN], self.told[_SENT] = now, self.sent
            place = _FIRST if is_first else _LATER
            self.told[place] = max(spent, float(self.told[place]))
        return found

    def seconds(self, usual: float, lazy: bool) -> dict[str, float]:
        """By what it was spent on: arriving by a pickle, the user's `worker_init_fn`, and of the
        first read what is more than a `usual` one, where it is known to be `lazy`."""
        sent, init, first, later, *_ = self.told.tolist()
        more = max(0.0, first - max(later, usual)) if lazy else 0.0
        return {"sent": sent, "init": init, "first": more}

    @property
    def threads(self) -> dict[str, int]:
        """That libraries have in the first worker; 0 of one that is not there."""
        return {"torch": int(self.told[_TORCH]), "cv2": int(self.told[_OPENCV])}

    @property
    def began(self) -> float:
        return float(self.told[_BEGAN])


class TimedInit(WorkerInit):
    """Notes what the user's function takes in the first worker, and the threads that it leaves."""

    def __init__(self, subject: Subject, told: Any) -> None:
        one = initialised(subject)
        super().__init__(one.dataset, one.function, one.opened, one.threads)
        self.told = told

    def __call__(self, worker: int) -> None:
        begun = running()
        super().__call__(worker)
        if worker == 0:
            self.told[_INIT] = running() - begun
            self.told[_TORCH], self.told[_OPENCV] = torch.get_num_threads(), opencv_threads() or 0
