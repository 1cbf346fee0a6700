"""Ways to loop over one dataset, from no loader at all to a tuned one, in one table (C02).

All see the same images in the same shuffled order, which is why the order is an object of its own
that every loop is given; nothing else about a loop is changed by it. A batch is a 1-tuple of a
uint8 tensor, image x height x width x channel, as the documented naive dataset gives it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch.utils.data import DataLoader, Dataset, Sampler

from datasets_impl.documented import InefficientDataset
from datasets_impl.loading import BATCH_SIZE, Shuffled, ending_workers
from datasets_impl.system.cores import cores as cores
from datasets_impl.variants.inefficient_batches import InefficientBatchesDataset
from datasets_impl.variants.whole_batches import as_it_comes

START_METHOD = "fork"
TUNED_PREFETCH = 4  # batches each worker keeps ready, twice PyTorch's default


class _HandWritten:
    """What is written without knowing the loader: index, gather in a list, stack."""

    def __init__(self, dataset: Dataset[Any], order: Sampler[int]) -> None:
        self.dataset = dataset
        self.order = order

    def __iter__(self) -> Iterator[Any]:
        samples = []
        for index in self.order:
            samples.append(self.dataset[index][0])
            if len(samples) == BATCH_SIZE:
                yield (torch.stack(samples),)
                samples = []
        if samples:
            yield (torch.stack(samples),)


def _defaults(dataset: Dataset[Any], order: Sampler[int]) -> DataLoader[Any]:
    return DataLoader(dataset, sampler=order)


def _batched(dataset: Dataset[Any], order: Sampler[int]) -> DataLoader[Any]:
    return DataLoader(dataset, sampler=order, batch_size=BATCH_SIZE)


def _tuned(
    dataset: Dataset[Any],
    order: Sampler[int],
    collate_fn: Callable[[Any], Any] | None = None,
) -> DataLoader[Any]:
    return DataLoader(
        dataset,
        sampler=order,
        batch_size=BATCH_SIZE,
        num_workers=cores(),
        multiprocessing_context=START_METHOD,
        prefetch_factor=TUNED_PREFETCH,
        persistent_workers=True,
        collate_fn=collate_fn,
    )


def _tuned_batched(dataset: Dataset[Any], order: Sampler[int]) -> DataLoader[Any]:
    return _tuned(dataset, order, as_it_comes)


@dataclass(frozen=True)
class Loop:
    """`make(dataset, order)` gives what is iterated once an epoch; `dataset(root)` what it reads.

    `batch_size` in images; `workers` says whether the loop has worker processes.
    """

    name: str
    make: Callable[[Dataset[Any], Sampler[int]], Iterable[Any]]
    dataset: Callable[[Path], InefficientDataset] = InefficientDataset
    batch_size: int = BATCH_SIZE
    workers: bool = False


_ROWS = (
    Loop("hand-written", _HandWritten),
    Loop("defaults", _defaults, batch_size=1),
    Loop("batched", _batched),
    Loop("tuned", _tuned, workers=True),
    Loop("tuned-batched", _tuned_batched, InefficientBatchesDataset, workers=True),
)
LOOPS: dict[str, Loop] = {row.name: row for row in _ROWS}


@contextmanager
def looping(
    name: str, dataset: Dataset[Any], batches: int | None = None
) -> Iterator[Iterable[Any]]:
    """Batches of `dataset`, workers end with the block.

    An epoch each time they are iterated, or `batches` batches of the loop's size.

    One intra-op thread in this process, as in workers, so that loops differ in processes alone.
    """
    torch.set_num_threads(1)
    chosen = LOOPS[name]
    order = Shuffled(len(dataset), batches and batches * chosen.batch_size)  # type: ignore[arg-type]
    made = chosen.make(dataset, order)
    if not isinstance(made, DataLoader):
        yield made
        return
    with ending_workers(made):
        yield made
