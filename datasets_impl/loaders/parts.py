"""A part of a dataset, as `torch.utils.data.random_split` makes it, with all that the whole can do.

A `Subset` passes on single samples alone. Seen through, it writes samples into a batch where its
dataset does. That is done anew for each epoch, when all that it holds has been told of the epoch
and the trainer or a `worker_init_fn` has set what it likes: else what was there before is read.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

from torch.utils.data import Subset

from datasets_impl import optional
from datasets_impl.errors import BadArgument, StudyError
from datasets_impl.loaders.layout import writes_many, writes_samples


def seen_through(dataset: Any, above: tuple[Any, ...] = ()) -> Any:
    """The dataset; a `Subset`, or one of another, as a `Part`.

    Raises:
        BadArgument: a `Subset` that holds itself.
    """
    if any(dataset is each for each in above):
        raise BadArgument("dataset is a Subset of itself; give it what it is to be a part of.")
    if type(dataset) is Subset:
        return Part(seen_through(dataset.dataset, (*above, dataset)), dataset.indices)
    return dataset


def copied(dataset: Any, whole: bool) -> Any:
    """A copy of a `Subset`, or of one of another, for what is set in it.

    Args:
        whole: of what it is a part of too.
    """
    if type(dataset) is not Subset:
        return another(dataset) if whole else dataset
    new = copy.copy(dataset)
    new.dataset = copied(new.dataset, whole)
    return new


def another(dataset: Any) -> Any:
    """A copy, for an epoch that begins while another one reads from the dataset.

    Raises:
        StudyError: it cannot be copied, or not without harm to the one in use.
    """
    kind = type(dataset)
    if hasattr(kind, "__del__") and not hasattr(kind, "__copy__"):
        why = "its __del__ would run for the copy too, with the files that both have"
    else:
        try:
            return copy.copy(dataset)
        except Exception as error:
            why = f"{type(error).__name__}: {error}"
    raise StudyError(
        f"An epoch over {kind.__name__} begins while another one is read, so that it needs a copy "
        f"of the dataset (copy.copy), which is told its own epoch, and cannot have one ({why}); "
        "let the other end first, or its iterator go, or give this loader another dataset."
    )


class Part:
    """The samples at `indices` of a dataset, with those of its methods that loaders know."""

    def __init__(self, dataset: Any, indices: Sequence[int]) -> None:
        self.dataset, self.indices = dataset, indices
        self._take("name", _of_one)
        self._take("__getitems__", _of_many)
        if writes_samples(dataset):
            self._take("sample_layout", _of_one)
            self._take("read_into", _of_one)
            if writes_many(dataset):
                self._take("read_many_into", _of_many)
        check = optional.method(dataset, "require_whole")
        if check is not None:
            self.require_whole = check

    def _take(self, name: str, how: Callable[..., Any]) -> None:
        found = optional.method(self.dataset, name)
        if found is not None:
            setattr(self, name, partial(how, found, self.indices))

    def __len__(self) -> int:
        return len(self.indices)

    def __getitem__(self, index: int) -> Any:
        return self.dataset[self.indices[index]]


def _of_one(method: Any, indices: Sequence[int], index: int, *more: Any) -> Any:
    return method(indices[index], *more)


def _of_many(method: Any, indices: Sequence[int], chosen: Sequence[int], *more: Any) -> Any:
    return method([indices[index] for index in chosen], *more)
