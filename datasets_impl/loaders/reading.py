"""How batches are read from a dataset: into their place, sample by sample, or as a stream.

What comes out is what `torch.utils.data.DataLoader` gives for the same dataset and indices.
"""

from __future__ import annotations

import contextlib
import copy
from collections.abc import Callable, Iterator, Sequence, Sized
from functools import partial
from typing import Any

from torch.utils.data import IterableDataset, default_collate

from datasets_impl.arguments import refused
from datasets_impl.loaders.layout import BatchLayout, mapped, writes_many, writes_samples
from datasets_impl.loaders.memory import Memory
from datasets_impl.loaders.parts import seen_through
from datasets_impl.loaders.pinned import pinned
from datasets_impl.loaders.stacking import collated, stacks_plainly
from datasets_impl.loaders.work import Outcome, Work

Collate = Callable[[Any], Any]


class Reading:
    """A dataset and how its samples become batches; `Feed`s of it read the epochs.

    Args:
        batched: a `Feed` is asked for lists of indices, and else for single ones.
        drop_last: an iterable dataset's last batch is left out where it is smaller.
        threads: how many will work on a batch.
        pin: copy what is collated to page-locked memory.
    """

    def __init__(
        self,
        dataset: Any,
        collate_fn: Collate,
        batched: bool,
        drop_last: bool,
        threads: int,
        pin: bool = False,
    ) -> None:
        self.dataset = dataset = seen_through(dataset)
        self.collate_fn = collate_fn
        self.pin = pin
        self.batched = batched
        self.drop_last = drop_last
        self.streams = isinstance(dataset, IterableDataset)
        self.threads = 1 if self.streams else threads
        plain = collate_fn is default_collate and stacks_plainly()
        in_place = batched and plain and not self.streams
        self.writes = in_place and writes_samples(dataset)
        self.gathers = self.writes and writes_many(dataset)
        # What a batch draws then comes after all that those before it drew. A stream may draw when
        # it begins, and does so again where it goes on.
        self.draws_in_order = threads == 1 and not self.streams and not self.writes
        self._layout: BatchLayout | None = None  # of the batch before

    def collate(self, samples: Any, memory: Memory) -> Any:
        """The batch that `samples` become."""
        if self.collate_fn is default_collate and stacks_plainly() and not memory.overwrite:
            batch = collated(samples, memory)
        else:
            batch = self.collate_fn(samples)
        return pinned(batch) if self.pin else batch

    def of_nothing(self, memory: Memory) -> Any:
        """What an empty batch becomes, which only a `collate_fn` of one's own can say."""
        if self.collate_fn is default_collate:
            right = "at least one index: batch_sampler gives an empty batch; leave it out"
            raise refused("a batch", [], right)
        return self.collate([], memory)

    def batch_layout(self, sample: Any, count: int) -> BatchLayout:
        """That of the batch before where a dataset gives the same layout object again."""
        found = self._layout
        if found is None or found.sample is not sample or found.count != count:
            found = self._layout = BatchLayout.of(sample, count)
        return found

    def at_epoch(self, epoch: int, alone: bool) -> Any:
        """The dataset, told the epoch; a copy of it where another epoch still reads from it."""
        return _told(self.dataset, epoch, alone)


def _told(dataset: Any, epoch: int, alone: bool, above: tuple[Any, ...] = ()) -> Any:
    """Of one that does not hear of epochs, what it holds as `dataset` or `datasets` is told, as in
    PyTorch's `Subset` and `ConcatDataset`: else its crops would be the same in every epoch."""
    if any(dataset is each for each in above):  # one that holds itself
        return dataset
    if hasattr(dataset, "set_epoch"):
        dataset = dataset if alone else copy.copy(dataset)
        dataset.set_epoch(epoch)
        return dataset
    inside = (*above, dataset)
    held = getattr(dataset, "__dict__", {})
    new = {}
    if "dataset" in held:
        new["dataset"] = _told(held["dataset"], epoch, alone, inside)
    several = held.get("datasets")
    if isinstance(several, dict):
        told = {name: _told(each, epoch, alone, inside) for name, each in several.items()}
        new["datasets"] = told
    elif isinstance(several, list | tuple):
        new["datasets"] = type(several)(_told(each, epoch, alone, inside) for each in several)
    if any(value is not held[name] for name, value in new.items()) and not alone:
        dataset = copy.copy(dataset)
        dataset.__dict__.update(new)
    return dataset


class Feed:
    """The batches of one epoch. `state` is where an iterable dataset goes on."""

    def __init__(self, reading: Reading, epoch: int, alone: bool, state: Any = None) -> None:
        self.reading = reading
        self.dataset = reading.at_epoch(epoch, alone)
        if hasattr(self.dataset, "require_whole"):
            self.dataset.require_whole()
        self.samples: Iterator[Any] | None = None
        self.ended = False
        self._state = state

    def work(self, indices: Any, memory: Memory, in_one: bool = False) -> Work:
        """
        Args:
            indices: what the batch sampler gave, or the sampler where nothing is batched.
            in_one: all of it will be made by one thread.
        """
        reading, dataset = self.reading, self.dataset
        if reading.streams:
            return Whole(lambda: self._from_stream(indices, memory))
        if not reading.batched:
            return Whole(lambda: Outcome(reading.collate(sample(dataset, indices), memory)))
        if isinstance(indices, Sized) and not len(indices):
            return Whole(lambda: Outcome(reading.of_nothing(memory)))
        if not reading.writes and getattr(dataset, "__getitems__", None):
            many, indices = (
                dataset.__getitems__,
                copy.copy(indices),
            )  # a sampler may use its list again
            return Whole(lambda: Outcome(reading.collate(many(indices), memory)))
        try:
            indices = list(indices)
        except TypeError:
            right = "indices: batch_sampler gives a list of them for each batch"
            raise refused("a batch", indices, right) from None
        if not indices:
            return Whole(lambda: Outcome(reading.of_nothing(memory)))
        if reading.gathers:
            return Gathered(reading, dataset, indices, memory, 1 if in_one else reading.threads)
        if reading.writes:
            return Written(reading, dataset, indices, memory)
        return Collated(dataset, indices, partial(reading.collate, memory=memory))

    def _from_stream(self, indices: Any, memory: Memory) -> Outcome:
        """The next samples: as many as there are `indices`, or one where nothing is batched."""
        if self.ended:
            return Outcome(ended=True)
        if self.samples is None:
            self.samples = self._begin()
        wanted = len(indices) if self.reading.batched else 1
        found = []
        for _ in range(wanted):
            try:
                found.append(next(self.samples))
            except StopIteration:
                self.ended = True
                break
        if not found or (self.reading.batched and self.reading.drop_last and len(found) < wanted):
            return Outcome(ended=True)
        state = stateful(self.samples, self.dataset)
        held = copy.deepcopy(state.state_dict()) if state is not None else None
        value = self.reading.collate(found if self.reading.batched else found[0], memory)
        return Outcome(value, state=held)

    def _begin(self) -> Iterator[Any]:
        if self._state is None:
            return iter(self.dataset)  # type: ignore[no-any-return]
        if stateful(self.dataset) is not None:
            self.dataset.load_state_dict(self._state)
            return iter(self.dataset)  # type: ignore[no-any-return]
        samples: Any = iter(self.dataset)
        samples.load_state_dict(self._state)
        return samples  # type: ignore[no-any-return]


def stateful(*candidates: Any) -> Any:
    """The first of them that can say where it stands and go on from there, or None."""
    for candidate in candidates:
        if hasattr(candidate, "state_dict") and hasattr(candidate, "load_state_dict"):
            return candidate
    return None


def sample(dataset: Any, index: Any) -> Any:
    with naming(dataset, index):
        return dataset[index]


class naming:
    """Adds to an error which sample it came from."""

    def __init__(self, dataset: Any, index: Any) -> None:
        self.dataset, self.index = dataset, index

    def __enter__(self) -> None: ...

    def __exit__(self, kind: Any, error: BaseException | None, where: Any) -> None:
        if error is not None:
            name, called = getattr(self.dataset, "name", None), ""
            with contextlib.suppress(Exception):  # there may be no such sample, or no such notes
                called = f", {name(self.index)}" if callable(name) else ""
            with contextlib.suppress(Exception):
                error.add_note(f"Raised for sample {self.index!r} of the dataset{called}.")


class Whole(Work):
    """A batch that is made in one go."""

    def __init__(self, function: Callable[[], Outcome]) -> None:
        super().__init__(1)
        self._function = function
        self._outcome = Outcome()

    def make(self, part: int) -> None:
        self._outcome = self._function()

    def outcome(self) -> Outcome:
        return self._outcome

    def drop(self) -> None:
        self._outcome = Outcome()


class Collated(Work):
    """Samples read one by one, then collated by the thread that has read the last of them."""

    def __init__(self, dataset: Any, indices: Sequence[Any], collate_fn: Collate) -> None:
        super().__init__(len(indices))
        self._dataset, self._indices, self._collate_fn = dataset, indices, collate_fn
        self._samples: list[Any] = [None] * len(indices)

    def make(self, part: int) -> None:
        self._samples[part] = sample(self._dataset, self._indices[part])

    def outcome(self) -> Outcome:
        return Outcome(self._collate_fn(self._samples))

    def drop(self) -> None:
        self._samples = []


class Written(Work):
    """Samples written to their place in the batch."""

    def __init__(
        self,
        reading: Reading,
        dataset: Any,
        indices: Sequence[Any],
        memory: Memory,
        parts: int | None = None,
    ) -> None:
        super().__init__(parts or len(indices))
        self._reading, self._dataset = reading, dataset
        self._indices, self._memory = indices, memory
        self._batch: Any = None
        self._rows: Any = None

    def prepare(self) -> None:
        with naming(self._dataset, self._indices[0]):
            layout = self._dataset.sample_layout(self._indices[0])
        batch = self._reading.batch_layout(layout, len(self._indices))
        self._batch, self._rows = batch.made(self._memory.tensors(batch.leaves))

    def make(self, part: int) -> None:
        with naming(self._dataset, self._indices[part]):
            into = mapped(self._rows, lambda rows: rows[part, ...])
            self._dataset.read_into(self._indices[part], into)

    def outcome(self) -> Outcome:
        return Outcome(self._batch)

    def drop(self) -> None:
        self._batch = self._rows = None


class Gathered(Written):
    """The same for a dataset that writes many samples at once: each thread one slice of them."""

    def __init__(
        self,
        reading: Reading,
        dataset: Any,
        indices: Sequence[Any],
        memory: Memory,
        threads: int,
    ) -> None:
        self._slice = -(-len(indices) // threads)
        parts = -(-len(indices) // self._slice)
        super().__init__(reading, dataset, indices, memory, parts)

    def make(self, part: int) -> None:
        span = slice(part * self._slice, (part + 1) * self._slice)
        into = mapped(self._rows, lambda rows: rows[span])
        self._dataset.read_many_into(self._indices[span], into)
