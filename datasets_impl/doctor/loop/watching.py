"""`for batch in watch(loader):` times a training loop from inside, and says what it saw."""

from __future__ import annotations

import atexit
import inspect
import itertools
import os
import sys
import weakref
from collections.abc import Iterable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any, Generic, TypeVar

from datasets_impl import arguments
from datasets_impl.doctor.loop.epoch import Epoch
from datasets_impl.doctor.loop.place import Place
from datasets_impl.doctor.loop.record import Record
from datasets_impl.doctor.loop.told import tell
from datasets_impl.doctor.probes import clock
from datasets_impl.doctor.probes.epochs import epoch_of, is_sampler, told_epoch
from datasets_impl.doctor.probes.raised import said_by
from datasets_impl.errors import StudyError
from datasets_impl.files.paths import user_path

T = TypeVar("T")
OUT = "watch.json"
LOADERS = ("DataLoader", "ThreadedLoader")  # Accelerate's share out what their sampler gives


class Watched(Generic[T]):
    """A loader whose loop is timed. Everything else that is asked of it, the loader answers; and
    what is set, is set there."""

    OWN = ("loader", "record", "place", "free")

    def __init__(
        self, loader: Iterable[T], record: Record, place: Place | None, free: bool | None
    ) -> None:
        self.loader = loader
        self.record = record
        self.place = place
        self.free = free

    def __len__(self) -> int:
        return len(self.loader)  # type: ignore[arg-type]

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__") or "loader" not in self.__dict__:
            raise AttributeError(name)
        return getattr(self.loader, name)

    def __setattr__(self, name: str, value: Any) -> None:
        if name in self.OWN and name not in self.__dict__:
            object.__setattr__(self, name, value)
        else:
            setattr(self.loader, name, value)

    def report(self) -> None:
        """Say what was seen so far, and write it."""
        _report(self.record, self.place)

    def __iter__(self) -> Iterator[T]:
        # Waiting is the time that loading takes from training: from the end of a step until the
        # pages of the next batch can be read, with the time to give back the memory of the batch
        # before. The loop lets go of that one only when it has the next, inside of its step; so
        # where that memory was mapped for one batch, it is kept until the step is over.
        # The clocks stand as close to `next` and `yield` as can be: what a step's bookkeeping
        # costs counts neither as training nor as waiting.
        now, record = clock.perf_counter, self.record
        asked = now()
        batches = iter(self.loader)
        epoch = Epoch(record, self.free, self.loader)
        looked = False
        try:
            for batch in batches:
                epoch.look(batch)
                epoch.arrived(batch, now() - asked)
                if not looked:  # not before: a loader may tell the epoch by itself, when it begins
                    looked = True
                    with record.trying("The order of the sampler"):
                        _look_at_epochs(record, self.loader)
                        _look_at_ranks(record, self.loader)
                began = now()
                yield batch
                ended = now()
                epoch.keep(batch)
                released = now() - ended
                if epoch.trained(ended - began):  # with the batch before the block still held
                    yield from epoch.without_loading(batches)
                del batch  # or this frame would hold it while the next one is asked for
                asked = now() - released
        finally:
            _after_epoch(self)


def _look_at_epochs(record: Record, loader: Any) -> None:
    """What takes its order or samples from the epoch gives the same until it is told another."""
    known, record.told_epochs = record.told_epochs, {}
    told = {
        id(one): one
        for name in ("sampler", "batch_sampler", "dataset")
        for one in told_epoch(getattr(loader, name, None))
    }
    for number, one in enumerate(told.values()):
        name = type(one).__name__
        record.told_epochs[f"{number} {name}"] = epoch = epoch_of(one)
        if epoch is None or epoch != known.get(f"{number} {name}"):
            continue
        if is_sampler(one):
            record.note(f"Two epochs had the same order: call set_epoch of the {name} before each.")
        else:
            record.note(
                f"set_epoch of the {name} was not called between two epochs: what it draws by the "
                "epoch was the same in both."
            )


def _look_at_ranks(record: Record, loader: Any) -> None:
    """Processes that train together are each to have samples of their own, or an epoch of theirs is
    as many epochs as they are."""
    trained = sys.modules.get("torch.distributed")
    processes = trained.get_world_size() if trained and trained.is_initialized() else 1
    drawn = type(getattr(loader, "sampler", None)).__name__
    if processes > 1 and drawn == "RandomSampler" and type(loader).__name__ in LOADERS:
        record.note(
            f"{processes} processes train together, and this loader's RandomSampler gives all "
            "samples to each: pass a DistributedSampler, unless each has a dataset of its own."
        )


# By identity, since loaders that are equal are not the same; and by class, since the next object
# may have the identity of one that is gone.
_watched: dict[tuple[int, type], Record] = {}
_left: dict[tuple[Any, ...], Record] = {}  # by place and settings: of loaders that are gone
_numbers = itertools.count(1)
_places: dict[Path, Place] = {}
_given: dict[str, Path] = {}  # where each `out` led first
_told: list[tuple[Record, Place | None]] = []  # at the end of the program
_process = 0  # whose loops these are


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
            nowhere. A relative path stays where it first led to in this process, whatever its
            current folder is then. The doctor reads the numbers with `--beside`. Where another
            program writes there too, this one writes beside it, `watch-2.json`, and says so.
        free: now and then fetch a few batches ahead of time, so that the loop sees training
            without loading. The trainer waits for these first, at most ten times in all. Left
            out where that may change training: of all but a DataLoader with workers, whose batches
            may depend on the step before them (random numbers, a sampler, memory that is used
            again); of an iterator, which gives each batch once, so that one may be lost; and of a
            loader with a `state_dict`, which would count them as trained on. True for these too,
            False for none.

    Raises:
        BadArgument: `loader` cannot be iterated.
        StudyError: `out` cannot be written, or holds what `watch` did not write.
    """
    if isinstance(loader, Watched):
        return loader
    arguments.iterable("loader", loader, "a DataLoader, or another iterable of batches")
    _tell_at_the_end()
    path = None if out is None or _is_other_rank() else _first_place(out)
    record, left = _record_of(loader)
    place = None
    if path is not None:
        place = _places.get(path) or _places.setdefault(path, Place(path))
        if record not in place.records:
            place.records.append(record)
    if not _is_other_rank() and (record, place) not in _told:
        _told.append((record, place))
    watched = Watched(loader, record, place, None if free is None else arguments.flag("free", free))
    if left:
        try:
            weakref.finalize(loader, _leave, *left).atexit = False
        except TypeError:  # a list cannot say when it goes; what holds it meanwhile can
            weakref.finalize(watched, _leave, *left).atexit = False
    return watched


def _first_place(out: str | Path) -> Path:
    """A trainer may go to another folder between two epochs, each of which is watched anew."""
    known = _given.get(str(out))
    return known or _given.setdefault(str(out), user_path(out))


def _record_of(loader: Any) -> tuple[Record, tuple[Any, Any] | None]:
    """Of this loader; or of one like it that is gone and was watched from the same place. For a
    loader that was not known also how to `_leave` it."""
    key = id(loader), type(loader)
    if key in _watched:
        return _watched[key], None
    place = *_calls(), *_settings(loader)
    gone = _left.pop(place) if place in _left else None
    _watched[key] = gone or Record(f"{type(loader).__name__} {next(_numbers)}")
    return _watched[key], (key, place)


def _leave(key: tuple[int, type], place: tuple[Any, ...]) -> None:
    if key in _watched:  # not in a fork, which has begun anew
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
        with suppress(Exception):  # the user's own
            value = getattr(loader, name, None)
            yield value if isinstance(value, int | None) else type(value)
    with suppress(Exception):  # the user's own, or there is none
        dataset = getattr(loader, "dataset", None)
        yield type(dataset)
        yield len(dataset)  # type: ignore[arg-type]


def _report(record: Record, place: Place | None) -> None:
    _write(record, place)
    tell(record, place.path if place else None)


def _write(record: Record, place: Place | None) -> None:
    """Training is not to end because what was seen of it cannot be written."""
    if place is None:
        return
    try:
        place.write()
    except StudyError as error:
        record.note(str(error))
    except Exception as error:
        record.missed("The loop", error)


def _after_epoch(watched: Watched[Any]) -> None:
    _write(watched.record, watched.place)
    if hasattr(sys, "ps1") or "ipykernel" in sys.modules:  # where no program ends
        with suppress(Exception):
            tell(watched.record, watched.place.path if watched.place else None)


def _is_other_rank() -> bool:
    """Of several processes that train together the first one speaks. What is no number, as an
    empty text, says nothing of several."""
    try:
        return int(os.environ.get("RANK", "0")) > 0
    except ValueError:
        return False


def _tell_at_the_end() -> None:
    """Of this process, whose loops are its own also where it was forked, as a daemon is.

    Those that `torch.multiprocessing.spawn` starts may end without `atexit`.
    """
    global _process
    if _process == os.getpid():
        return
    _process = os.getpid()
    for held in (_watched, _left, _places, _told):
        held.clear()
    atexit.register(_at_exit, _process)
    started = sys.modules.get("multiprocessing.process")
    if started is not None and started.parent_process() is not None:
        finalize = sys.modules["multiprocessing.util"].Finalize
        finalize(None, _at_exit, (_process,), exitpriority=0)


def _at_exit(owner: int) -> None:
    if os.getpid() != owner:  # a worker that was forked
        return
    while _told:
        record, place = _told.pop(0)
        try:
            _report(record, place)
        except Exception as error:  # the program's own end is not to be disturbed
            with suppress(Exception):
                print(f"watch: {record.name} cannot be told: {said_by(error)}.", file=sys.stderr)
