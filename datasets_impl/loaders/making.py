"""Batches in the making: in one go, collated of single samples, or written into their place."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

from datasets_impl.loaders.layout import mapped
from datasets_impl.loaders.memory import Memory
from datasets_impl.loaders.named import naming, noting, one_of
from datasets_impl.loaders.work import Outcome, Work


def sample(dataset: Any, index: Any) -> Any:
    with naming(dataset, index):
        return dataset[index]


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

    def __init__(
        self, dataset: Any, indices: Sequence[Any], collate_fn: Callable[[Any], Any]
    ) -> None:
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
        batch_layout: Callable[[Any, int], Any],
        dataset: Any,
        indices: Sequence[Any],
        memory: Memory,
        parts: int | None = None,
    ) -> None:
        super().__init__(parts or len(indices))
        self._batch_layout, self._dataset = batch_layout, dataset
        self._indices, self._memory = indices, memory
        self._batch: Any = None
        self._rows: Any = None

    def prepare(self) -> None:
        with naming(self._dataset, self._indices[0]):
            layout = self._dataset.sample_layout(self._indices[0])
        batch = self._batch_layout(layout, len(self._indices))
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
        batch_layout: Callable[[Any, int], Any],
        dataset: Any,
        indices: Sequence[Any],
        memory: Memory,
        threads: int,
    ) -> None:
        self._slice = -(-len(indices) // threads)
        parts = -(-len(indices) // self._slice)
        super().__init__(batch_layout, dataset, indices, memory, parts)

    def make(self, part: int) -> None:
        span = slice(part * self._slice, (part + 1) * self._slice)
        indices = self._indices[span]
        with noting(partial(one_of, indices)):
            into = mapped(self._rows, lambda rows: rows[span])
            self._dataset.read_many_into(indices, into)
