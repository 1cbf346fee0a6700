"""How batches are read from a dataset: into their place, sample by sample, or as a stream.

What comes out is what `torch.utils.data.DataLoader` gives for the same dataset and indices.
"""

from __future__ import annotations

import copy
import weakref
from collections.abc import Callable, Iterator, Sequence, Sized
from functools import partial
from typing import Any, ClassVar

from torch.utils.data import Dataset, IterableDataset, default_collate

from datasets_impl import optional
from datasets_impl.arguments import refused
from datasets_impl.loaders.layout import BatchLayout, writes_many, writes_samples
from datasets_impl.loaders.making import Collated, Gathered, Whole, Written, sample
from datasets_impl.loaders.memory import Memory
from datasets_impl.loaders.named import add_note, noting, one_of, when_collated
from datasets_impl.loaders.parts import another, seen_through
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
        self.dataset = dataset
        self.collate_fn = collate_fn
        self.pin = pin
        self.batched = batched
        self.drop_last = drop_last
        self.streams = isinstance(dataset, IterableDataset)
        self.threads = 1 if self.streams else threads
        plain = collate_fn is default_collate and stacks_plainly()
        self._in_place = batched and plain and not self.streams
        self.writes, self.gathers = self.ways(seen_through(dataset))
        # What a batch draws then comes after all that those before it drew. A stream may draw when
        # it begins, and does so again where it goes on.
        self.draws_in_order = threads == 1 and not self.streams and not self.writes
        self._layout: BatchLayout | None = None  # of the batch before

    def ways(self, dataset: Any) -> tuple[bool, bool]:
        """Whether its samples are written into their batch, and whether many at once."""
        writes = self._in_place and writes_samples(dataset)
        return writes, writes and writes_many(dataset)

    def collate(
        self, samples: Any, memory: Memory, indices: Sequence[Any], of: str = "the dataset"
    ) -> Any:
        """The batch that `samples` become, which are those at `indices`."""
        with noting(partial(when_collated, indices, of)):
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
        return self.collate([], memory, [])

    def batch_layout(self, sample: Any, count: int) -> BatchLayout:
        """That of the batch before where a dataset gives the same layout object again."""
        found = self._layout
        if found is None or found.sample is not sample or found.count != count:
            found = self._layout = BatchLayout.of(sample, count)
        return found

    def at_epoch(self, epoch: int, hold: Callable[[Any], bool]) -> Any:
        """The dataset, told the epoch; a copy of what `hold` refuses, as another epoch reads it."""
        return _told(self.dataset, epoch, hold)


def _told(
    dataset: Any, epoch: int, hold: Callable[[Any], bool], above: tuple[Any, ...] = ()
) -> Any:
    """Of one that does not hear of epochs, what it holds is told, alone or in a list or dictionary,
    as in PyTorch's `Subset` and `ConcatDataset`, and by whatever name, as in a user's own: else its
    crops would be the same in every epoch."""
    if any(dataset is each for each in above):  # one that holds itself
        return dataset
    if optional.has(dataset, "set_epoch"):
        dataset = dataset if hold(dataset) else another(dataset)
        dataset.set_epoch(epoch)
        return dataset
    told = partial(_told, epoch=epoch, hold=hold, above=(*above, dataset))
    held = optional.attributes(dataset)
    new: dict[str, Any] = {}
    for name, value in held.items():
        several = list(value.values()) if type(value) is dict else value
        if name == "dataset" or isinstance(value, Dataset):
            new[name] = told(value)
        elif type(several) in (list, tuple) and several and _are_data(name, several):
            each = [told(one) for one in several]
            if all(one is other for one, other in zip(each, several, strict=True)):
                continue
            new[name] = (
                dict(zip(value, each, strict=True)) if type(value) is dict else type(value)(each)
            )
    if any(value is not held[name] for name, value in new.items()):
        dataset = another(dataset)
        dataset.__dict__.update(new)
    return dataset


def _are_data(name: str, several: Sequence[Any]) -> bool:
    """Whether a list is of datasets; of others there may be millions, so the first one says it."""
    return name == "datasets" or isinstance(several[0], Dataset)


class Feed:
    """The batches of one epoch. `state` is where an iterable dataset goes on.

    Attributes:
        dataset: told the epoch, and what `worker_init_fn` is shown.
    """

    _all: ClassVar[weakref.WeakSet[Feed]] = weakref.WeakSet()  # of this process

    def __init__(self, reading: Reading, epoch: int, alone: bool, state: Any = None) -> None:
        self.reading = reading
        self._held: list[Any] | None = [] if alone else None
        self._all.add(self)
        try:
            self.dataset = reading.at_epoch(epoch, self._hold)
            self.look()
            check = optional.method(self._seen, "require_whole")
            if check is not None:
                check()
        except BaseException:
            self.end()
            raise
        self.samples: Iterator[Any] | None = None
        self.ended = False
        self.at = 0  # how many samples a stream has given
        self._state = state

    def _hold(self, dataset: Any) -> bool:
        """Whether no other epoch reads from it, of this loader or of one over the same dataset, as
        for validation; none will until this one ends."""
        others = [held for feed in list(self._all) for held in feed._held or ()]
        if self._held is None or any(dataset is held for held in others):
            return any(dataset is held for held in self._held or ())  # by two ways in one dataset
        self._held.append(dataset)
        return True

    def end(self) -> None:
        """Another epoch may tell the dataset of itself."""
        self._held = None

    def look(self) -> None:
        """How the dataset is read as it is now; to be called again where more is set in it."""
        self._seen = seen_through(self.dataset)
        self._writes, self._gathers = self.reading.ways(self._seen)

    def work(self, indices: Any, memory: Memory, in_one: bool = False) -> Work:
        """
        Args:
            indices: what the batch sampler gave, or the sampler where nothing is batched.
            in_one: all of it will be made by one thread.
        """
        reading, dataset = self.reading, self._seen
        if reading.streams:
            return Whole(lambda: self._from_stream(indices, memory))
        if not reading.batched:
            return Whole(
                lambda: Outcome(reading.collate(sample(dataset, indices), memory, [indices]))
            )
        if isinstance(indices, Sized) and not len(indices):
            return Whole(lambda: Outcome(reading.of_nothing(memory)))
        if not self._writes and optional.method(dataset, "__getitems__"):
            indices = copy.copy(indices)  # the dataset may change it, and a sampler use it again
            return Whole(lambda: self._many(indices, memory))
        try:
            indices = list(indices)
        except TypeError:
            right = "indices: batch_sampler gives a list of them for each batch"
            raise refused("a batch", indices, right) from None
        if not indices:
            return Whole(lambda: Outcome(reading.of_nothing(memory)))
        if self._gathers:
            return Gathered(
                reading.batch_layout, dataset, indices, memory, 1 if in_one else reading.threads
            )
        if self._writes:
            return Written(reading.batch_layout, dataset, indices, memory)
        collate = partial(reading.collate, memory=memory, indices=indices)
        return Collated(dataset, indices, collate)

    def _many(self, indices: Any, memory: Memory) -> Outcome:
        with noting(partial(one_of, indices)):
            samples = self._seen.__getitems__(indices)
        return Outcome(self.reading.collate(samples, memory, indices))

    def _from_stream(self, indices: Any, memory: Memory) -> Outcome:
        """The next samples: as many as there are `indices`, or one where nothing is batched."""
        if self.ended:
            return Outcome(ended=True)
        if self.samples is None:
            self.samples = self._begin()
        wanted, first = len(indices) if self.reading.batched else 1, self.at
        found = self._next(self.samples, wanted)
        if not found or (self.reading.batched and self.reading.drop_last and len(found) < wanted):
            return Outcome(ended=True)
        state = stateful(self.samples, self.dataset)
        held = copy.deepcopy(state.state_dict()) if state is not None else None
        samples = found if self.reading.batched else found[0]
        taken = range(first, self.at)
        return Outcome(self.reading.collate(samples, memory, taken, self._stream()), state=held)

    def _next(self, samples: Iterator[Any], most: int) -> list[Any]:
        found: list[Any] = []
        try:
            for _ in range(most):
                found.append(next(samples))
        except StopIteration:
            self.ended = True
        except BaseException as error:
            self.at += len(found) + 1
            add_note(error, lambda: f"Raised for sample {self.at - 1} of {self._stream()}.")
            raise
        self.at += len(found)
        return found

    def _stream(self) -> str:
        return "the stream" + " since it was resumed" * (self._state is not None)

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
        if all(optional.has(candidate, name) for name in ("state_dict", "load_state_dict")):
            return candidate
    return None
