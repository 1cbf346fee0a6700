"""Where the threads of a loader are: in this process or a separate one, for as long as it lasts."""

from __future__ import annotations

import os
import warnings
import weakref
from typing import Any, Protocol

import torch

from datasets_impl.loaders.here import Here
from datasets_impl.loaders.memory import RecycledMemory
from datasets_impl.loaders.pinned import PinnedRun
from datasets_impl.loaders.reading import Reading
from datasets_impl.loaders.sent import Sent
from datasets_impl.loaders.separate import Separate
from datasets_impl.loaders.work import Run


class Asked(Protocol):
    """What a `ThreadedLoader` was asked for: see there."""

    worker_init_fn: Any
    epoch: int
    threads: int
    where: str
    start_method: str | None
    pin_memory: bool
    prefetch_factor: int
    overwrite: bool

    @property
    def dataset(self) -> Any: ...
    @property
    def collate_fn(self) -> Any: ...
    @property
    def batch_sampler(self) -> Any: ...
    @property
    def drop_last(self) -> bool: ...


class Places:
    """The place that a loader has now, and those where its older epochs go on."""

    def __init__(self) -> None:
        self.now: Here | Separate | None = None
        self._sent: Sent | None = None  # what the separate process knows
        self._left: weakref.WeakSet[Separate] = weakref.WeakSet()
        self._pinned = False
        self._owner = 0  # the process whose threads these are: they do not survive a fork

    def begin(self, loader: Asked, seed: int, state: Any, drawn: Any) -> Run:
        """What makes the batches of the loader's next epoch."""
        run: Run = self._running(loader).begin(loader.epoch, seed, state, drawn)
        return PinnedRun(run) if self._pinned and loader.where == "process" else run

    def close(self) -> None:
        place, self.now = self.now, None
        left, self._left = self._left, weakref.WeakSet()
        if self._owner == os.getpid():
            for each in (*left, *([] if place is None else [place])):
                each.close()

    def _running(self, loader: Asked) -> Here | Separate:
        place = self.now
        held = loader.dataset, loader.collate_fn, loader.worker_init_fn
        mine = place is not None and self._owner == os.getpid()
        if mine and isinstance(place, Separate):
            mine = place.runs()
            if mine and self._sent is not None and self._sent.differs(*held):
                place.leave()
                self._left.add(place)
                mine = False
        if not mine:
            place = self._new(loader)
            # Afterwards: to pickle a tensor moves it to shared memory.
            self._sent = Sent(*held) if loader.where == "process" else None
            self.now, self._owner = place, os.getpid()
        assert place is not None
        return place

    def _new(self, loader: Asked) -> Here | Separate:
        here = loader.where == "trainer"
        self._pinned = loader.pin_memory and torch.cuda.is_available()
        if self._pinned != loader.pin_memory:
            text = "pin_memory is ignored: there is no CUDA device."
            warnings.warn(text, UserWarning, stacklevel=7)
        reading = Reading(
            loader.dataset,
            loader.collate_fn,
            loader.batch_sampler is not None,
            loader.drop_last,
            loader.threads,
            self._pinned and here,
        )
        in_memory = loader.prefetch_factor + 2
        if not here:
            return Separate(reading, loader.start_method, in_memory, loader.worker_init_fn)
        memory = RecycledMemory(self._pinned, in_memory, loader.overwrite)
        return Here(reading, memory, at_once=loader.prefetch_factor == 0)
