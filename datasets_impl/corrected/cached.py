"""Fill a cache during the first epoch: no construction to wait for, nothing decoded twice (X04).

Wraps a map-style dataset whose samples are tensors of one shape and dtype. Each sample is kept in
shared memory (/dev/shm) the first time any worker makes it; every process reads it from there,
whatever the start method. Random transforms stay random: `process` is applied on access, to a copy.
Memory grows to all samples during the first epoch.
"""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from torch.utils.data import Dataset, IterableDataset

from datasets_impl import optional
from datasets_impl.arguments import function, refused
from datasets_impl.errors import StudyError
from datasets_impl.indexing import position
from datasets_impl.system.shared_memory import alone_with, lacking_room, shared_empty


class CachedDataset(Dataset[torch.Tensor]):
    """The samples of `dataset`, each made once.

    Raises:
        StudyError: samples are no tensors, or do not all fit into /dev/shm; or (on access) one
            differs in shape or dtype from the first.
    """

    def __init__(
        self,
        dataset: Any,
        process: Callable[[torch.Tensor], torch.Tensor] | None = None,
    ) -> None:
        function("process", process)
        self.dataset, self.process = dataset, process
        no_map = isinstance(dataset, type | str | bytes | dict | IterableDataset)
        can = hasattr(dataset, "__getitem__") and hasattr(dataset, "__len__")
        if no_map or not can or not len(dataset):
            raise refused("dataset", dataset, "a map-style dataset with at least one sample")
        _warn_of_epochs(dataset)
        first = dataset[0]
        kind = _uncommon(first)
        if kind:
            raise StudyError(
                f"Samples are of type {kind}, and this cache keeps plain tensors in memory; "
                "`python -m datasets_impl.doctor` writes one for whatever a dataset gives."
            )
        self.shape, self.dtype = tuple(first.shape), first.dtype
        size = len(dataset) * math.prod(self.shape) * self.dtype.itemsize
        lacking = lacking_room(size + len(dataset))
        if lacking:
            raise StudyError(f"{lacking} to keep all samples; make it larger, or map them instead.")
        self.store = shared_empty((len(dataset), *self.shape), self.dtype)
        self.ready = shared_empty((len(dataset),)).zero_()

    def __len__(self) -> int:
        return len(self.dataset)

    @property
    def image_paths(self) -> list[str]:
        """Files of the wrapped dataset, in index order."""
        return [str(Path(path)) for path in self.dataset.image_paths]

    def __getitem__(self, index: int) -> torch.Tensor:
        index = position(index, len(self))
        if index >= len(self.ready):
            raise StudyError(
                f"The dataset has {len(self):,} samples and had {len(self.ready):,} when the cache "
                "was made; make it anew."
            )
        if not self.ready[index]:
            sample = self.dataset[index]
            kind = _uncommon(sample)
            if kind:
                raise StudyError(
                    f"Sample {index} is of type {kind} and the first is a plain tensor; this cache "
                    "keeps plain tensors."
                )
            if sample.dtype != self.dtype or tuple(sample.shape) != self.shape:
                raise StudyError(
                    f"Sample {index} is {sample.dtype} of shape {tuple(sample.shape)} and the "
                    f"first is {self.dtype} of shape {self.shape}; a cache needs one of each."
                )
            with alone_with(self.ready):
                if not self.ready[index]:  # else it was made twice at once, and may be read now
                    self.store[index] = sample
                    self.ready[index] = 1  # last: nobody must read a sample half written
        kept = self.store[index].clone()
        return kept if self.process is None else self.process(kept)


def _warn_of_epochs(dataset: Any) -> None:
    """What each epoch is to see anew, such as random crops, would be that of the first for ever."""
    for each in optional.one_in_another(dataset):
        if optional.has(each, "set_epoch"):
            warnings.warn(
                f"{type(each).__name__} gives other samples in each epoch, and a cache keeps "
                "those of the first; cache whole pictures, and crop them in `process`.",
                RuntimeWarning,
                stacklevel=3,
            )
            return


def _uncommon(sample: Any) -> str:
    """What a sample is that the cache would give back as something else, "" for a plain tensor."""
    if type(sample) is not torch.Tensor:
        return type(sample).__name__
    if sample.is_nested or sample.is_quantized or sample.layout != torch.strided:
        return "nested, quantized or sparse tensor"
    if sample.device.type != "cpu":
        return f"tensor on {sample.device}"
    if sample.requires_grad:
        return "tensor with a gradient"
    own = ", ".join(vars(sample))
    return f"tensor with attributes of its own ({own})" if own else ""
