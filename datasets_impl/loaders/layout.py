"""Datasets that write samples into memory they are given, and where samples lie in a batch.

A sample is a tensor or a tuple, list or dictionary of them, as `__getitem__` gives it. Its layout
is the same structure with tensors on PyTorch's `meta` device, which have a shape, a dtype and
strides but no memory.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol, runtime_checkable

import torch
from torch.utils.data._utils.collate import collate

from datasets_impl import optional


@runtime_checkable
class WritesSamples(Protocol):
    """A dataset whose samples are made in their place in a batch.

    A batch of it has for each leaf of the sample one tensor: N x the leaf's shape, in memory N x
    the leaf's strides. `__getitem__` gives the same sample, so that a `DataLoader` gives the same
    batches.

    Four methods more are used where they are there:
        `read_many_into(indices, into)`: many samples at once; leaves of `into` have a leading
            dimension of as many rows as there are indices.
        `set_epoch(epoch)`: what is random in a sample depends on epoch and index alone.
        `require_whole()`: raises where a file was cut short that is read through a mapping; asked
            when an epoch begins.
        `name(index) -> str`: what an error calls the sample.
    """

    def sample_layout(self, index: int) -> Any:
        """How sample `index` lies in memory: its structure, with tensors on the meta device."""

    def read_into(self, index: int, into: Any) -> None:
        """Write sample `index` to `into`: its structure, with NumPy views of the batch's row.

        Runs in many threads at once.
        """


def writes_samples(dataset: Any) -> bool:
    """Whether what a dataset writes is what its `__getitem__` gives."""
    layout, read = (_speaks_for(dataset, (name,), READ) for name in ("sample_layout", "read_into"))
    return layout and read and _speaks_for(dataset, ("read_into", "write"), ("made",))


def writes_many(dataset: Any) -> bool:
    """Whether it does, and writes many samples at once as it writes one."""
    others = (*READ, "read_into", "write", "made", "image_size")
    return _speaks_for(dataset, ("read_many_into",), others)


def writes_what_it_makes(dataset: Any) -> bool:
    """Whether an image dataset's own `made` knows of what its `write` does."""
    return _speaks_for(dataset, ("made",), ("write", "image_size"))


READ = ("__getitem__", "__getitems__")


def _speaks_for(dataset: Any, names: Sequence[str], others: Sequence[str]) -> bool:
    """Whether a dataset has one of some methods that is not older than any of the others: a class
    that derives from one of this package and overrides `__getitem__` alone gives other samples, and
    so does a wrapper that passes on what it has not."""
    own = min(_age(dataset, name) for name in names)
    return own < MISSING and all(own <= _age(dataset, other) for other in others)


MISSING = 2**31


def _age(dataset: Any, method: str) -> int:
    """0 for a method that an object itself has, 1 for its class's, and so on."""
    if method != "__getitem__" and method in optional.attributes(dataset):
        return 0
    places = enumerate(type(dataset).__mro__, start=1)
    return next((place for place, each in places if method in vars(each)), MISSING)


def mapped(structure: Any, function: Callable[[Any], Any]) -> Any:
    """The same structure of tuples, named tuples, lists and dictionaries with other leaves."""
    if isinstance(structure, Mapping):
        return {key: mapped(value, function) for key, value in structure.items()}
    if isinstance(structure, tuple) and hasattr(structure, "_fields"):
        return type(structure)(*(mapped(value, function) for value in structure))
    if isinstance(structure, list | tuple):
        return type(structure)(mapped(value, function) for value in structure)
    return function(structure)


def as_batch(sample: Any) -> Any:
    """`sample` in the structure that PyTorch's default collating gives, its leaves as they are."""
    return collate(
        [sample],
        collate_fn_map={torch.Tensor: lambda batch, *, collate_fn_map: batch[0]},
    )


@dataclass(frozen=True)
class Leaf:
    """One tensor of a batch: `strides` in elements, `nbytes` of memory from its first element."""

    shape: tuple[int, ...]
    strides: tuple[int, ...]
    dtype: torch.dtype
    nbytes: int

    @classmethod
    def of(cls, sample: torch.Tensor, count: int) -> Leaf:
        """For `count` samples, one behind the other."""
        span = _span(sample.shape, sample.stride())
        nbytes = count * span * sample.dtype.itemsize
        return cls((count, *sample.shape), (span, *sample.stride()), sample.dtype, nbytes)

    @classmethod
    def alike(cls, tensor: torch.Tensor, strides: tuple[int, ...]) -> Leaf:
        """Of the same shape and dtype."""
        shape = tuple(tensor.shape)
        return cls(shape, strides, tensor.dtype, _span(shape, strides) * tensor.dtype.itemsize)

    def over(self, memory: torch.Tensor) -> torch.Tensor:
        """The tensor in `memory`, `nbytes` long and uint8."""
        typed = memory if self.dtype is torch.uint8 else memory.view(self.dtype)
        return typed.as_strided(self.shape, self.strides)


@dataclass(frozen=True)
class BatchLayout:
    """How the batch of `count` samples that all lie like `sample` lies in memory."""

    sample: Any
    count: int
    leaves: list[Leaf]
    batch: Any

    @classmethod
    def of(cls, sample: Any, count: int) -> BatchLayout:
        leaves: list[Leaf] = []
        mapped(sample, lambda leaf: leaves.append(Leaf.of(leaf, count)))
        return cls(sample, count, leaves, as_batch(sample))

    def made(self, tensors: Sequence[torch.Tensor]) -> tuple[Any, Any]:
        """The batch of one tensor a leaf, and samples' structure with the same as arrays."""
        in_batch, in_sample = iter(tensors), iter(tensors)
        batch = mapped(self.batch, lambda _: next(in_batch))
        return batch, mapped(self.sample, lambda _: next(in_sample).numpy())


def _span(shape: Sequence[int], strides: Sequence[int]) -> int:
    """Elements of memory from the first one on."""
    if 0 in shape:
        return 0
    return 1 + sum((size - 1) * step for size, step in zip(shape, strides, strict=True))
