"""DataLoaders over a part of the user's dataset, with the user's settings but for what is tried."""

from __future__ import annotations

import copy
import sys
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from torch.utils.data import DataLoader, Dataset, default_collate, get_worker_info
from torch.utils.data._utils import worker as torch_worker

from datasets_impl.doctor.probes import clock
from datasets_impl.doctor.probes.epochs import attribute, has
from datasets_impl.doctor.probes.parts import OF, kind_name, open_handles
from datasets_impl.doctor.probes.raised import RAISED, InitRaised, sentence
from datasets_impl.doctor.probes.reading import HANG, note_in_worker
from datasets_impl.doctor.probes.room import at_once
from datasets_impl.doctor.probes.samples import copied, leaves
from datasets_impl.doctor.probes.target import Subject
from datasets_impl.errors import StudyError
from datasets_impl.loading import ending_workers

Way = tuple[Any, ...]
_left_open: list[Any] = []  # of a worker
OWN = "datasets_impl.doctor."
BATCH_SIZE = 32  # where the user names none
WORKERS = 2  # where the user has none, for what only workers show
LEAST_BATCHES = 4  # in what is measured
PAGE = 4096
AHEAD = 2  # batches of each worker
LATE = 20.0  # seconds without a batch, after which a worker is taken to hang;
STARTED_LATE = 90.0  # of one that imports torch and the user's modules first, on a busy machine


class Part(Dataset[Any]):
    """The samples at some indices of a subject, over and over until there are `count`."""

    def __init__(self, subject: Subject, indices: Sequence[int], count: int | None = None) -> None:
        self.subject, self.indices = subject, list(indices)
        self.count = count or len(self.indices)

    def __len__(self) -> int:
        return self.count

    def __getitem__(self, index: int) -> Any:
        return self.subject.read(self.indices[index % len(self.indices)])

    def __getattr__(self, name: str) -> Any:
        """`__getitems__`, where the user's dataset has it: then loaders fetch by whole batches."""
        if name == "__getitems__" and has(self.subject.dataset, name):
            return self._many
        raise AttributeError(name)

    def _many(self, places: list[int]) -> Any:
        chosen = [self.indices[place % len(self.indices)] for place in places]
        keys = [self.subject.keys[one] for one in chosen] if self.subject.keys else chosen
        return self.subject.dataset.__getitems__(keys)

    @property
    def dataset(self) -> Any:
        """As `torch.utils.data.Subset` names it, so that a worker's initialisation finds it."""
        return self.subject.dataset


class Timed(Dataset[Any]):
    """The same, adding up seconds spent in its items; for one process."""

    def __init__(self, inner: Dataset[Any]) -> None:
        self.inner, self.seconds = inner, 0.0

    def __len__(self) -> int:
        return len(self.inner)  # type: ignore[arg-type]

    def __getitem__(self, index: int) -> Any:
        begun = clock.perf_counter()
        sample = self.inner[index]
        self.seconds += clock.perf_counter() - begun
        return sample


class There(Dataset[Any]):
    """Samples that are there already: what is left is collating and handing over."""

    def __init__(self, samples: Sequence[Any], count: int) -> None:
        self.samples, self.count = samples, count

    def __len__(self) -> int:
        return self.count

    def __getitem__(self, index: int) -> Any:
        return copied(self.samples[index % len(self.samples)])


def as_list(samples: list[Any]) -> list[Any]:
    """For samples that cannot be collated."""
    return samples


def collate_of(subject: Subject, some: Sequence[Any]) -> tuple[Any, str]:
    """The user's or PyTorch's function, and "" or why the samples cannot be collated by it."""
    chosen = subject.loader.collate_fn if subject.loader is not None else default_collate
    if subject.loader is not None and subject.loader.batch_size is None:
        return chosen, ""  # it is given one sample
    try:
        chosen(copied(list(some)))
    except RAISED as error:
        return as_list, sentence(error)
    return chosen, ""


def batch_size_of(subject: Subject) -> int | None:
    if subject.loader is None:
        return min(BATCH_SIZE, max(1, subject.length or BATCH_SIZE))
    if subject.loader.batch_size is None and subject.loader.batch_sampler is not None:
        return int(attribute(subject.loader.batch_sampler, "batch_size", BATCH_SIZE))
    return subject.loader.batch_size


def affordable(subject: Subject) -> int:
    """Samples that may be held at once, whatever the user's batches would take."""
    return max(1, int(at_once() / max(1.0, subject.nbytes)))


def trial_batch_of(subject: Subject, workers: int = 0) -> int | None:
    """The user's batch size, or what there is room for with all batches that workers have ahead."""
    batch = batch_size_of(subject)
    return batch and min(batch, max(1, affordable(subject) // (AHEAD * workers + 2)))


class WorkerInit:
    """What a worker calls first: to the user's code it then reads the user's dataset, whatever part
    or copy of it this one reads; and the user's function is called."""

    def __init__(
        self, dataset: Any, function: Any, opened: Sequence[Way] = (), threads: int = 0
    ) -> None:
        """
        Args:
            opened: by which attributes of the dataset ("") or of a module one comes to a file that
                only the doctor's reads opened, and whether it was None before; a worker opens it
                for itself.
            threads: that the code gives PyTorch in each worker, which it may do only once.
        """
        self.dataset, self.function, self.opened = dataset, function, opened
        self.threads = threads

    def __call__(self, worker: int) -> None:
        note_in_worker()
        info: Any = copy.copy(get_worker_info())
        inner = info.dataset
        # The user's may have an `inner` as well.
        while type(inner).__module__.startswith(OWN) and (
            isinstance(inner, Part) or has(inner, "inner")
        ):
            inner = inner.subject.dataset if isinstance(inner, Part) else inner.inner
        is_users = inner is not info.dataset
        object.__setattr__(info, "dataset", inner if is_users else self.dataset)
        for home, *steps, name, was_none in self.opened:
            forget(sys.modules.get(home) if home else info.dataset, steps, name, was_none)
        torch_worker._worker_info = info  # it cannot be changed, only replaced
        if self.function is not None:
            try:
                self.function(worker)
            except RAISED as error:
                raise InitRaised(sentence(error)) from None
        if self.threads:
            torch.set_num_threads(self.threads)


def forget(holder: Any, steps: Sequence[str], name: str, was_none: bool) -> None:
    """As it was before the first read: None, or not there. It is not closed, which would be felt by
    the process that opened it."""
    for step in steps:
        holder = attribute(holder, step)
    held = attribute(holder, "__dict__") or {}
    if name in held:
        _left_open.append(held.pop(name))
        if kind_name(_left_open[-1]).endswith(".Environment"):  # LMDB opens a store once in each
            _left_open.pop().close()  # of another process: it stays open there
        held |= {name: None} if was_none else {}


def opened_by_reads(subject: Subject) -> list[Way]:
    """Files that were not open before samples were read."""
    before = subject.answers.get("inside", {}).get("handles")
    if before is None:
        return []
    paths = [one.partition(",")[0] for one in open_handles(subject) if one not in before]
    ways = [path.split(".")[1:] for path in paths if OF not in path]
    known = subject.attributes or {}
    # Of what lies deeper it is not known; most code asks whether it is None.
    found: list[Way] = [("", *way, len(way) > 1 or way[0] in known) for way in ways
                        if way and all(map(str.isidentifier, way))]  # fmt: skip
    return found + [(*reversed(path.split(OF)), True) for path in paths if OF in path]


def only_noted(worker: int) -> None:
    """What workers call that read none of the user's dataset: the doctor still knows of them."""
    note_in_worker()


def start_method_of(subject: Subject) -> str:
    """Of the user's loader; the platform's where there is none, or it does not say."""
    return str(subject.settings.get("start_method") or torch.multiprocessing.get_start_method())


def initialised(subject: Subject) -> WorkerInit:
    function = attribute(subject.loader, "worker_init_fn")
    threads = subject.answers.get("look", {}).get("threads", {}).get("count", 0)
    return WorkerInit(subject.dataset, function, opened_by_reads(subject), threads)


@contextmanager
def opened(
    subject: Subject,
    dataset: Dataset[Any],
    workers: int,
    collate_fn: Any,
    persistent: bool = True,
    **changes: Any,
) -> Iterator[DataLoader[Any]]:
    """A loader over `dataset`, in order; its workers are gone after the block.

    Raises:
        StudyError: with workers, where these were seen to hang.
    """
    if workers and subject.workers_hang:
        raise StudyError(HANG)
    settings = subject.settings
    options: dict[str, Any] = {
        "batch_size": trial_batch_of(subject, workers),
        "collate_fn": collate_fn,
        "worker_init_fn": initialised(subject),
        "num_workers": workers,
    }
    if options["batch_size"] is None:  # of a dataset that gives batches
        changes.pop("batch_size", None)
    if workers:
        method = changes.get("multiprocessing_context") or start_method_of(subject)
        options |= {
            "persistent_workers": persistent,
            "prefetch_factor": settings.get("prefetch_factor") or AHEAD,
            "multiprocessing_context": settings.get("start_method"),
            "timeout": LATE if method == "fork" else STARTED_LATE,
        }
    made: DataLoader[Any] = DataLoader(dataset, **options | changes)
    with ending_workers(made):
        yield made


def consume(batches: Iterable[Any]) -> float:
    """Seconds of an epoch in which one byte of every page of a batch is read."""
    begun = clock.perf_counter()
    for batch in batches:
        for leaf in leaves(batch):
            array = leaf.array
            if array is None or array.dtype.hasobject:  # addresses are no pixels
                continue
            if array.size and array.flags.c_contiguous:
                array.reshape(-1).view("u1")[::PAGE].sum()
    return clock.perf_counter() - begun
