"""Whether workers wait for one another at a lock that they share. A profile of one process cannot
tell: there the lock is always free.

That two workers find it taken proves that it is one lock, but what they wait tells little of what
it costs: on a busy machine a worker stands in the queue for a core instead. So what counts is the
part of a sample's time for which the lock is held.
"""

from __future__ import annotations

import contextlib
import functools
import sys
from collections import Counter
from collections.abc import Callable, Sequence
from itertools import chain, cycle
from multiprocessing.managers import AcquirerProxy  # type: ignore[attr-defined]
from multiprocessing.synchronize import SemLock
from threading import get_ident
from typing import Any, NamedTuple

import torch
from torch.utils.data import get_worker_info

from datasets_impl.doctor.probes import clock
from datasets_impl.doctor.probes.callees import names_called, users_modules
from datasets_impl.doctor.probes.loaders import (
    Part,
    WorkerInit,
    as_list,
    opened,
    opened_by_reads,
)
from datasets_impl.doctor.probes.making import Place, asking
from datasets_impl.doctor.probes.parts import parts
from datasets_impl.doctor.probes.preparing import running
from datasets_impl.doctor.probes.raised import RAISED
from datasets_impl.doctor.probes.reads import indices
from datasets_impl.doctor.probes.source_lines import line_at
from datasets_impl.doctor.probes.target import Subject

KINDS = (SemLock, AcquirerProxy)
ON_FILES = ("flock", "lockf", "FileLock", "UnixFileLock")  # as code calls them
TOGETHER, ROUNDS = 2, 2  # workers, and times that they are looked at
SAMPLES, LEAST = 64, 4  # of the dataset, and that there must be time for in a round
SOON, LATEST = 1e-3, 5.0  # seconds between looks whether the other is ready, and in all
QUICKEST = 2e-4  # seconds of a sample: looking takes a part of that
UNLOCKS, AT_ONCE = 8, 4  # of flock and lockf: to give a lock back, and not to wait for one


class Noted(NamedTuple):
    """Samples, those that found a lock taken, and seconds without those in the queue for a core: of
    them all, of waiting for a lock, and of holding one, by the user's line that asked for it."""

    samples: int
    met: int
    spent: float
    waited: float
    held: Counter[Place]


def in_turn(subject: Subject, seconds: float) -> dict[str, Any]:
    """The share of a sample's time for which it holds a lock, that of samples which find it taken
    by another worker, and the line that asks for it; nothing where the code seems to hold none."""
    each = max(seconds / 4, LEAST * subject.cost)
    if subject.workers < TOGETHER or each > seconds or subject.cost < QUICKEST:
        return {}
    if not _held(subject) and not names_called(subject) & {*ON_FILES}:
        return {}
    part = _InTurn(subject, each)
    function = getattr(subject.loader, "worker_init_fn", None)
    init = _Watching(subject.dataset, function, opened_by_reads(subject))
    settings: dict[str, Any] = {"batch_size": 1, "prefetch_factor": ROUNDS}  # all are asked at once
    with opened(subject, part, TOGETHER, as_list, worker_init_fn=init, **settings) as loader:
        noted = [one for got in loader for one in ([got] if isinstance(got, Noted) else got)]
    rounds = [shares(noted[at : at + TOGETHER]) for at in range(0, len(noted), TOGETHER)]
    # On a busy machine two workers may have read by turns, for want of cores.
    return max(rounds, key=lambda one: one["met"])


def shares(noted: Sequence[Noted]) -> dict[str, Any]:
    all_of = added(noted)
    return {
        "held": min(1.0, all_of.held.total() / max(1e-9, all_of.spent - all_of.waited)),
        # The worker that is served less: with polling it may hardly get a turn.
        "met": max(one.met / max(1, one.samples) for one in noted),
        "lines": [line_at(*place) for place, _ in all_of.held.most_common(1)],
    }


def added(noted: Sequence[Noted]) -> Noted:
    samples, met, spent, waited, held = zip(*noted, strict=True)
    return Noted(sum(samples), sum(met), sum(spent), sum(waited), sum(held, Counter()))


def _held(subject: Subject) -> list[Any]:
    """Locks that the dataset or the user's modules hold."""
    ours = [value for _, value, _ in parts(subject.dataset)]
    ours += chain.from_iterable(list(vars(one).values()) for one in users_modules(subject))
    return list({id(one): one for one in ours if isinstance(one, KINDS)}.values())


class _Locks:
    """Those that the thread takes which reads a sample. Where it takes one while it holds another,
    only the outer one counts."""

    def __init__(self) -> None:
        self.held, self.reading = Counter[Place](), False
        self.places: list[Place] = []
        self._begin()

    def _begin(self) -> None:
        self.waited, self.since, self.deep, self.thread = 0.0, 0.0, 0, get_ident()
        self.met = self.taken = False  # in this sample, and by the one that is asked for

    def read(self, get: Callable[[Any], Any], what: Any) -> Noted:
        self._begin()
        self.held, self.reading, begun = Counter(), True, running()
        with contextlib.suppress(*RAISED):
            get(what)
        spent, self.reading = running() - begun, False
        return Noted(1, self.met, spent, self.waited, self.held)

    @property
    def reads(self) -> bool:
        return self.reading and get_ident() == self.thread

    def acquiring(
        self, acquire: Callable[..., Any], attempt: Callable[..., Any] | None = None
    ) -> Callable[..., Any]:
        """An `attempt` does not wait, and gives False where the lock is taken."""

        @functools.wraps(acquire)
        def acquired(*given: Any, **options: Any) -> Any:
            if not self.reads:
                return acquire(*given, **options)
            begun, found, outer = running(), False, not self.deep
            self.taken &= not outer
            self.deep += 1
            try:
                found = attempt(*given, **options) if attempt is not None else False
                if found is False:
                    self.taken |= attempt is not None
                    found = acquire(*given, **options)
            finally:
                self.deep -= found is False
            if outer and found is not False:
                self.since, self.places = running(), asking(sys._getframe())
                self.met |= self.taken
                self.waited += self.since - begun if self.taken else 0.0
            return found

        return acquired

    def releasing(self, release: Callable[..., Any]) -> Callable[..., Any]:
        @functools.wraps(release)
        def released(*given: Any, **options: Any) -> Any:
            found = release(*given, **options)
            if self.reads:
                self.deep = max(0, self.deep - 1)
                if self.since and not self.deep:
                    for place in self.places:
                        self.held[place] += running() - self.since  # type: ignore[assignment]
                    self.since = 0.0
            return found

        return released

    def of_files(self, function: Callable[..., Any]) -> Callable[..., Any]:
        def attempt(file: Any, how: int, *more: Any) -> Any:
            try:
                return function(file, how | AT_ONCE, *more)
            except (BlockingIOError, PermissionError):
                return False

        taking, leaving = self.acquiring(function, attempt), self.releasing(function)

        @functools.wraps(function)
        def called(file: Any, how: int, *more: Any) -> Any:
            return (leaving if how & UNLOCKS else taking)(file, how, *more)

        return called

    def watch(self, subject: Subject) -> None:
        """All of this process, which is a worker of the doctor's and ends soon."""
        for lock in _held(subject):
            if "acquire" in vars(
                lock
            ):  # a SemLock has these of its own, and the others of its class
                acquire = vars(lock)["acquire"]
                lock.acquire = self.acquiring(acquire, lambda *_, a=acquire, **__: a(False))
                lock.release = self.releasing(vars(lock)["release"])
        own: Any = SemLock
        own.__enter__ = self.acquiring(own.__enter__, lambda one: one._semlock.acquire(False))
        own.__exit__ = self.releasing(own.__exit__)
        of_files = getattr(sys.modules.get("filelock"), "BaseFileLock", None)  # they call flock
        for kind, attempt in ((AcquirerProxy, _of_manager), (of_files, None)):
            if kind is not None:
                kind.acquire = self.acquiring(kind.acquire, attempt)
                kind.release = self.releasing(kind.release)
        AcquirerProxy.__enter__ = AcquirerProxy.acquire
        AcquirerProxy.__exit__ = lambda one, *_: one.release()
        files: Any = sys.modules.get("fcntl")
        for name in ("flock", "lockf") if files is not None else ():
            function = getattr(files, name)
            for owner in (files, *users_modules(subject)):
                if vars(owner).get(name) is function:
                    setattr(owner, name, self.of_files(function))


def _of_manager(lock: Any, *_: Any, **__: Any) -> Any:
    return lock._callmethod("acquire", (False,))


_locks = _Locks()  # in each process its own


class _InTurn(Part):
    """An item is what a worker's samples took for so many `seconds`, in which the other reads as
    well: each waits for that to have loaded what the first samples need."""

    def __init__(self, subject: Subject, seconds: float) -> None:
        super().__init__(subject, indices(subject, SAMPLES), TOGETHER * ROUNDS)
        self.seconds = seconds
        self.ready = torch.zeros(TOGETHER).share_memory_()  # type: ignore[no-untyped-call]

    def __getitem__(self, number: int) -> Noted:
        worker = get_worker_info().id  # type: ignore[union-attr]
        asked: list[Any] = list(range(worker, len(self.indices), TOGETHER)) or [0]
        read: Any = super().__getitem__
        if hasattr(self, "__getitems__"):
            asked, read = [asked], super()._many
        _locks.read(read, asked[0])
        self.ready[worker] = 1
        until = clock.perf_counter() + LATEST
        while not self.ready.all() and clock.perf_counter() < until:
            clock.sleep(SOON)
        noted, until = list[Noted](), clock.perf_counter() + self.seconds
        for what in cycle(asked):
            noted.append(_locks.read(read, what))
            if clock.perf_counter() > until:
                break
        return added(noted)

    def _many(self, numbers: list[int]) -> list[Noted]:
        return [self[number] for number in numbers]


class _Watching(WorkerInit):
    def __call__(self, worker: int) -> None:
        info: Any = get_worker_info()
        _locks.watch(info.dataset.subject)
        super().__call__(worker)
