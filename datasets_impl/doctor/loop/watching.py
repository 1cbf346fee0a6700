"""`for batch in watch(loader):` times a training loop from inside, and says what it saw."""

from __future__ import annotations

import atexit
import inspect
import itertools
import os
import sys
import time
import weakref
from collections.abc import Iterable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any, Generic, TypeVar

from datasets_impl import arguments
from datasets_impl.doctor.loop import held
from datasets_impl.doctor.loop.arrival import Arrival
from datasets_impl.doctor.loop.gil import GilProbe
from datasets_impl.doctor.loop.record import Pair, Record
from datasets_impl.doctor.loop.seen import measured
from datasets_impl.doctor.loop.told import check_place, tell, write
from datasets_impl.errors import StudyError
from datasets_impl.files.paths import user_path

T = TypeVar("T")
OUT = "watch.json"


class Watched(Generic[T]):
    """A loader whose loop is timed. Everything else that is asked of it, the loader answers."""

    def __init__(
        self, loader: Iterable[T], record: Record, out: Path | None, free: bool | None
    ) -> None:
        self.loader = loader
        self.record = record
        self.out = out
        self.free = free

    def __len__(self) -> int:
        return len(self.loader)  # type: ignore[arg-type]

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__") or "loader" not in self.__dict__:
            raise AttributeError(name)
        return getattr(self.loader, name)

    def report(self) -> None:
        """Say what was seen so far, and write it."""
        _report(self.record, self.out)

    def __iter__(self) -> Iterator[T]:
        # Waiting is the time that loading takes from training: from the end of a step until the
        # pages of the next batch can be read, with the time to give back the memory of the batch
        # before. The loop lets go of that one only when it has the next, inside of its step; so
        # where that memory was mapped for one batch, it is kept until the step is over.
        # The clocks stand as close to `next` and `yield` as can be: what a step's bookkeeping
        # costs counts neither as training nor as waiting.
        clock, record = time.perf_counter, self.record
        asked = clock()
        batches = iter(self.loader)
        epoch = _Epoch(record, self.free, self.loader)
        _look_at_sampler(record, self.loader)
        try:
            for batch in batches:
                epoch.look(batch)
                epoch.arrived(batch, clock() - asked)
                began = clock()
                yield batch
                ended = clock()
                epoch.keep(batch)
                released = clock() - ended
                if epoch.trained(ended - began):  # with the batch before the block still held
                    yield from epoch.without_loading(batches)
                del batch  # or this frame would hold it while the next one is asked for
                asked = clock() - released
        finally:
            _after_epoch(self)


class _Epoch:
    """Writes one epoch down in the record of all."""

    def __init__(self, record: Record, free: bool | None, loader: Any) -> None:
        self.record = record
        self.first = True
        self.look = Arrival()
        self.room, self.kept = False, None  # for a batch that is kept, and that batch
        self.window = 0.0  # when the usual steps to compare with began
        self.unsettled = 0  # steps that profit from what the loader fetched during a block
        against = "" if free is False else held.why_not(loader, asked=bool(free))
        self.free = free is not False and not against
        if against:
            record.note(against)

    def arrived(self, batch: Any, waited: float) -> None:
        if self.first:
            self.first = False
            self.record.first_batches.add(waited)
            if self.record.batch_size is None:
                self.record.batch_size, self.record.batch_bytes = measured(batch)
            self.room = held.how_many(self.record.batch_bytes) > 0
        elif not self.unsettled:
            self.record.waits.add(waited)

    def keep(self, batch: Any) -> None:
        """For a step longer, instead of the one before, where its memory was mapped for it alone.

        Giving back the one before takes its time here.
        """
        self.kept = batch if self.look.fresh and self.room else None

    def trained(self, seconds: float) -> bool:
        """Whether batches are to be held back now."""
        record = self.record
        record.seen += 1
        if self.unsettled:
            self.unsettled -= 1
        else:
            record.steps.add(seconds)
        if not self.free:
            return False
        if held.starts_window(record.seen, record.blocks):
            held.synchronize()
            self.window = time.perf_counter()
        return self.window > 0 and held.due(record.seen, record.blocks)

    def without_loading(self, batches: Iterator[Any]) -> Iterator[Any]:
        """Some batches straight after each other, with the loader at rest. They are kept until the
        last, and the one before them: giving them back is a part of loading."""
        record = self.record
        held.synchronize()
        usual = (time.perf_counter() - self.window) / held.BLOCK
        self.window, many = 0.0, held.how_many(record.batch_bytes)
        if not many:
            self.free = False
            record.note("A few batches do not fit into the memory that is free; none was held.")
            return
        found, failed = held.fetched(batches, many)
        for number in range(len(found)):  # no name of this frame may keep a batch
            self.look(found[number])
        rested = held.wait_for_rest()
        if not rested:
            record.note("The loader, or another thread, was never at rest.")
        probe = GilProbe() if held.looks_at_gil(record.blocks) and GilProbe.possible() else None
        record.blocks += 1
        self.unsettled = held.SETTLE
        if probe:
            probe.start()
        held.synchronize()
        begun, count = time.perf_counter(), len(found)
        yield from found
        held.synchronize()
        each = (time.perf_counter() - begun) / max(count, 1)
        found.clear()
        if probe:
            probe.stop()
            record.wakes += probe.wakes
            record.late_wakes += probe.late
        elif rested and count >= held.LEAST_BLOCK:
            record.pairs.append(Pair(usual, each))
            record.free_steps.add(each)
        if failed is not None:  # at the step where it would have come without `watch`
            raise failed


def _look_at_sampler(record: Record, loader: Any) -> None:
    """A sampler that takes its order from the epoch gives one order until it is told another."""
    sampler = getattr(loader, "sampler", None)
    if not hasattr(sampler, "set_epoch") or not getattr(sampler, "shuffle", True):
        return
    epoch = getattr(sampler, "epoch", None)
    if isinstance(epoch, int) and epoch == record.sampler_epoch:
        record.note(
            f"Two epochs had the same order: call set_epoch of the {type(sampler).__name__} "
            "before each."
        )
    record.sampler_epoch = epoch


# By identity, since loaders that are equal are not the same; and by class, since the next object
# may have the identity of one that is gone.
_watched: dict[tuple[int, type], Record] = {}
_left: dict[tuple[Any, ...], Record] = {}  # by place and settings: of loaders that are gone
_numbers = itertools.count(1)
_by_place: dict[Path, list[Record]] = {}
_told: list[tuple[Record, Path | None]] = []  # at the end of the program


def watch(
    loader: Iterable[T], *, out: str | Path | None = OUT, free: bool | None = None
) -> Watched[T]:
    """Time the loop over `loader`, and say at the end of the program what it waited for.

        from datasets_impl.doctor import watch

        for epoch in range(90):
            for batch in watch(loader):
                ...  # train

    The batches and their order stay as they are. A loop may be watched anew in every epoch: what
    was seen of one loader is added up. So is what was seen of a loader that is made anew for each
    epoch, where it is watched at the same place of the code, the one before is gone, and it has
    the same settings and as many samples.

    Args:
        loader: a DataLoader, or any other iterable of batches.
        out: where the numbers are written as JSON, after each epoch and at the end; None for
            nowhere. The doctor reads them with `--beside`.
        free: now and then fetch a few batches ahead of time, so that the loop sees training
            without loading. The trainer waits for these first, at most ten times in all. Left
            out where a batch could be lost by it: for an iterator, which gives each batch once,
            and for a loader with a `state_dict`, which would count them as trained on. True for
            these too, False for none.

    Raises:
        BadArgument: `loader` cannot be iterated.
        StudyError: `out` cannot be written, or holds what `watch` did not write.
    """
    if isinstance(loader, Watched):
        return loader
    arguments.iterable("loader", loader, "a DataLoader, or another iterable of batches")
    place = None if out is None or _is_other_rank() else user_path(out)
    record = _record_of(loader)
    if place is not None and record not in _by_place.setdefault(place, []):
        check_place(place)
        _by_place[place].append(record)
    if not _is_other_rank() and (record, place) not in _told:
        _told.append((record, place))
    return Watched(loader, record, place, None if free is None else arguments.flag("free", free))


def _record_of(loader: Any) -> Record:
    """Of this loader; or of one like it that is gone and was watched from the same place."""
    key = id(loader), type(loader)
    if key not in _watched:
        place = *_calls(), *_settings(loader)
        gone = _left.pop(place) if place in _left else None
        _watched[key] = gone or Record(f"{type(loader).__name__} {next(_numbers)}")
        with suppress(TypeError):  # a list cannot say when it goes
            weakref.finalize(loader, _leave, key, place).atexit = False
    return _watched[key]


def _leave(key: tuple[int, type], place: tuple[Any, ...]) -> None:
    _left[place] = _watched.pop(key)


def _calls() -> Iterator[Any]:
    """The lines of code that lead here, and the cell where that is a notebook's."""
    shell = getattr(sys.modules.get("IPython"), "get_ipython", lambda: None)()
    yield getattr(shell, "execution_count", None)
    frame = inspect.currentframe()
    while frame:
        yield frame.f_code.co_filename, frame.f_lineno
        frame = frame.f_back


def _settings(loader: Any) -> Iterator[Any]:
    """What makes loaders alike."""
    yield type(loader)
    for name in ("batch_size", "num_workers", "prefetch_factor", "pin_memory", "drop_last"):
        value = getattr(loader, name, None)
        yield value if isinstance(value, int | None) else type(value)
    dataset = getattr(loader, "dataset", None)
    yield type(dataset)
    with suppress(Exception):  # the user's own, or there is none
        yield len(dataset)  # type: ignore[arg-type]


def _report(record: Record, out: Path | None) -> None:
    tell(record, out)
    if out is not None:
        write(out, _by_place[out])


def _after_epoch(watched: Watched[Any]) -> None:
    """Training is not to end because what was seen of it cannot be written."""
    if watched.out is not None:
        try:
            write(watched.out, _by_place[watched.out])
        except StudyError as error:
            watched.record.note(str(error))
    if hasattr(sys, "ps1") or "ipykernel" in sys.modules:  # where no program ends
        tell(watched.record, watched.out)


def _is_other_rank() -> bool:
    """Of several processes that train together the first one speaks."""
    return os.environ.get("RANK", "0") != "0"


def _at_exit(owner: int = os.getpid()) -> None:
    if os.getpid() != owner:  # a worker that was forked
        return
    for record, out in _told:
        with suppress(Exception):  # the program's own end is not to be disturbed
            _report(record, out)


atexit.register(_at_exit)
