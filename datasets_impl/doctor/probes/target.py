"""What the doctor looks at: a folder of images, or a dataset or loader named by the user."""

from __future__ import annotations

import contextlib
import inspect
from collections.abc import Callable, Sized
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from torch.utils.data import DataLoader, Dataset, IterableDataset, default_collate

from datasets_impl.doctor.probes import clock, reading
from datasets_impl.doctor.probes.epochs import has
from datasets_impl.doctor.probes.handed import is_data, loader_within, require_one
from datasets_impl.doctor.probes.importing import attribute_of, imported, require_importable
from datasets_impl.doctor.probes.orders import Order, keys_of, order_of, own_sampler
from datasets_impl.doctor.probes.parquet import note_sources
from datasets_impl.doctor.probes.patience import Overdue, patience
from datasets_impl.doctor.probes.raised import RAISED, sentence
from datasets_impl.doctor.probes.writes import Writes
from datasets_impl.errors import StudyError
from datasets_impl.files.paths import user_path

MOST_KEYS = 4096
ASKING = 2.0  # seconds of a sampler, after its first key
FIRST = 30.0  # seconds until then: half of the time for importing and making all else


@dataclass
class Subject:
    """A dataset, and the loader's settings that it is used with."""

    name: str
    dataset: Any
    loader: DataLoader[Any] | None = None
    settings: dict[str, Any] = field(default_factory=dict)
    cost: float = 0.0  # seconds of reading a sample, about; 0 until some were looked at
    turn: float = 0.0  # seconds that one of a Python loop takes; 0 until some were looked at
    nbytes: float = 0.0  # of a sample, about; 0 until some were looked at
    keys: list[Any] = field(default_factory=list)  # what the loader's sampler asks for, in part
    order: Order = field(default_factory=Order)  # what a sampler of the user's asked for, as it did
    empty_batch: int | None = None  # its number, of the first that could not be collated
    note: str = ""  # what is to be said of how it is examined
    no_batch: str = ""  # why the loader gives none, as a sentence without its end
    avoid: set[int] = field(default_factory=set)  # indices that raise, hang, or end the process
    stores: dict[str, int] = field(default_factory=dict)  # elements, before a sample was read
    attributes: dict[str, bool] | None = None  # of the dataset: which were set, the same
    make: Callable[[], Any] | None = None  # what the user named, once more
    made_seconds: float = 0.0  # that it took the first time
    writes: str = ""  # what making it does to files of the user's, which is not done again
    importing: str = ""  # what importing does, the same
    answers: dict[str, Any] = field(default_factory=dict)  # of the probes that came before
    workers_hang: bool = False  # which was seen; none are started any more

    def __getstate__(self) -> dict[str, Any]:
        """For workers, which read samples and need no loader."""
        return {**self.__dict__, "loader": None, "make": None, "answers": {}, "order": Order()}

    @property
    def iterable(self) -> bool:
        return isinstance(self.dataset, IterableDataset) or not has(self.dataset, "__getitem__")

    def read(self, index: int) -> Any:
        """Sample `index`, of a dataset that gives whole batches as a batch of one.

        Where the loader has a sampler of its own, the sample that this asks for at `index`.
        """
        key = self.keys[index] if self.keys else index
        reading.slots[0], reading.slots[1] = index, reading.slots[1] + 1
        try:
            if self._only_batches:
                return self.dataset.__getitems__([key])[0]
            return self.dataset[key]
        finally:
            reading.slots[0] = -1

    @property
    def _only_batches(self) -> bool:
        own = getattr(type(self.dataset), "__getitem__", None)
        return own in (None, Dataset.__getitem__) and has(self.dataset, "__getitems__")

    @property
    def handing(self) -> float:
        """Seconds that a sample takes from a worker to the trainer, where it was measured."""
        return float(self.answers.get("batches", {}).get("hand_over", 0.0)) if self.workers else 0.0

    @property
    def count(self) -> int:
        """Indices that `read` takes; 0 where they are not known."""
        return len(self.keys) or self.length or 0

    @property
    def workers(self) -> int:
        return int(self.settings.get("num_workers", 0))

    @property
    def length(self) -> int | None:
        """Number of samples; None where the dataset does not say."""
        if not isinstance(self.dataset, Sized):
            return None
        try:
            return len(self.dataset)
        except (NotImplementedError, TypeError):
            return None


def load(target: str, kwargs: dict[str, Any]) -> Subject:
    """
    Raises:
        StudyError: there is no such folder, module or object, or it is no dataset.
    """
    if not target:
        raise StudyError(
            "No target was named; name a folder of images, package.module:object or file.py:object "
            "(make doctor TARGET=...)."
        )
    folder = user_path(target)
    if folder.is_dir():
        from datasets_impl.doctor.probes.folder import FolderImages

        return Subject(target, FolderImages(str(folder)))
    require_importable(target)
    if ":" not in target:
        raise StudyError(
            f"{target} is no folder; name a folder of images, package.module:object or "
            "file.py:object."
        )
    where, _, name = target.rpartition(":")
    if not where or not name:
        raise StudyError(
            f"{target} must name both a module or file and an object in it: "
            "package.module:object or file.py:object."
        )
    importing, making = Writes(programs=False), Writes()
    with importing.on():
        module = imported(where)
    note_sources()
    named, begun = attribute_of(module, name, target), clock.perf_counter()
    with making.on():
        found = made(target, named, kwargs)
    subject = with_samples(subject_of(target, found))
    subject.made_seconds = clock.perf_counter() - begun
    subject.writes, subject.importing = making.found, importing.found
    if found is not named:
        subject.make = partial(made, target, named, kwargs)
    return subject


def with_samples(subject: Subject) -> Subject:
    """
    Raises:
        StudyError: its length cannot be had, or is 0.
    """
    try:
        length = subject.length
        if length is None:
            _check_length(subject.dataset)
    except RAISED as error:
        raise StudyError(
            f"{subject.name}: the length of the dataset cannot be had ({sentence(error)}); mend "
            "its __len__."
        ) from error
    if length == 0:
        raise StudyError(
            f"{subject.name} holds no sample (its length is 0); check where it looks for them."
        )
    return subject


def _check_length(dataset: Any) -> None:
    """
    Raises:
        TypeError: its __len__ gives what is no length. One that raises this itself has none.
    """
    if isinstance(dataset, Sized):
        try:
            found = type(dataset).__len__(dataset)
        except (NotImplementedError, TypeError):
            return
        raise TypeError(f"it gives {found!r}")


def made(target: str, found: Any, kwargs: dict[str, Any]) -> Any:
    """What a class or function returns; instances as they are, also those that can be called."""
    if isinstance(found, Dataset | DataLoader) or is_data(found) or not callable(found):
        if kwargs:
            raise StudyError(
                f"{target} is an object already and takes no --kwargs; leave them out."
            )
        return found
    try:
        inspect.signature(found).bind(**kwargs)
    except TypeError as error:
        if "'self'" in str(error):
            raise StudyError(
                f"{target} is a method of a class; name the class, or a function that makes the "
                "dataset."
            ) from error
        raise StudyError(
            f"{target} could not be called ({error}); give its arguments with --kwargs as JSON."
        ) from error
    except ValueError:  # written in C: it says itself what it lacks
        pass
    return found(**kwargs)


def _keys(loader: DataLoader[Any]) -> tuple[list[Any], int | None, Order]:
    """What a sampler of the user's asks for, in part, the number of its first empty batch, and how
    it asked; nothing for PyTorch's own orders."""
    sampler, batched = own_sampler(loader)
    if isinstance(loader.dataset, IterableDataset) or sampler is None:
        return [], None, Order()
    order = Order()
    try:
        with patience(FIRST):
            order_of(sampler, MOST_KEYS, ASKING, order)
        if not batched:
            return order.found, None, order
        order.found = list(map(list, order.found))
    except Overdue:
        return [], None, Order(first=FIRST, late=True)
    except RAISED as error:  # or it needs a training that goes on
        return [], None, order.refuse(error)
    empty = next((number for number, batch in enumerate(order.found) if not batch), None)
    return keys_of(order, batched), empty, order


def _why_no_batch(loader: DataLoader[Any], order: Order) -> str:
    sampler, _ = own_sampler(loader)
    if isinstance(loader.dataset, IterableDataset):
        return ""
    if sampler is not None:
        empty = not (order.late or order.refused or order.found)
        return f"{type(sampler).__name__} names no sample" if empty else ""
    with contextlib.suppress(*RAISED):  # of a length that cannot be had, which is told elsewhere
        if loader.drop_last and 0 < len(loader.sampler) < (loader.batch_size or 0):  # type: ignore[arg-type]
            return (
                f"{len(loader.sampler):,} samples fill no batch of {loader.batch_size:,}, and "  # type: ignore[arg-type]
                "drop_last leaves the rest out"
            )
    return ""


def subject_of(name: str, found: Any) -> Subject:
    note_sources()  # of what is opened when a sample is read
    require_one(name, found)
    found, note = loader_within(found)
    if isinstance(found, DataLoader):
        settings = {
            key: getattr(found, key)
            for key in (
                "batch_size", "num_workers", "prefetch_factor", "persistent_workers", "pin_memory",
                "drop_last",
            )
        }  # fmt: skip
        method = getattr(found.multiprocessing_context, "get_start_method", lambda: None)()
        settings["start_method"] = method
        keys, empty, order = _keys(found)
        return Subject(
            name,
            found.dataset,
            found,
            settings,
            keys=keys,
            order=order,
            note=note,
            empty_batch=empty if found.collate_fn is default_collate else None,
            no_batch=_why_no_batch(found, order),
        )
    if inspect.isgenerator(found):
        raise StudyError(
            f"{name} gives a generator, which can be gone over only once; name a dataset."
        )
    if isinstance(found, Dataset) or has(found, "__getitem__") or has(found, "__iter__"):
        return Subject(name, found)
    raise StudyError(
        f"{name} gives a {type(found).__name__}, which is neither a dataset nor a DataLoader; name "
        "what the trainer iterates."
    )
