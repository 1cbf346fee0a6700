"""DataLoader settings and the epoch loop, in one place, so that all arms get the same treatment."""

from __future__ import annotations

import multiprocessing
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch.utils.data import DataLoader, Dataset, Sampler

from datasets_impl import arguments

BATCH_SIZE = 64
PREFETCH_FACTOR = 2  # PyTorch's default, written down because it is part of the result
SHUFFLE_SEED = 0
CPU_PAGE = 4096


class Shuffled(Sampler[int]):
    """`length` indices: every one of `count` once, then again in another order, and so on.

    The next iteration, and every loader that is given an equal one, goes on with the next orders.
    """

    def __init__(self, count: int, length: int | None = None) -> None:
        self.count = count
        self.length = count if length is None else length
        self.rounds = 0

    def __len__(self) -> int:
        return self.length

    def __iter__(self) -> Iterator[int]:
        # Counted when an index is taken: a loader may make an iterator it never reads.
        for left in range(self.length, 0, -self.count):
            generator = torch.Generator().manual_seed(SHUFFLE_SEED + self.rounds)
            self.rounds += 1
            yield from torch.randperm(self.count, generator=generator)[:left].tolist()


@contextmanager
def loader(
    dataset: Dataset[Any],
    num_workers: int = 0,
    start_method: str = "fork",
    batch_size: int = BATCH_SIZE,
    batches: int | None = None,
) -> Iterator[DataLoader[Any]]:
    """A shuffling DataLoader with explicit settings; its workers are gone after the block.

    An iteration gives every sample once, or `batches` full batches, for which it goes over the
    dataset several times, or over a part of it.

    Workers persist between epochs, so that epoch time is the steady state; what it costs to start
    them is measured apart, as time to first batch. The trainer gets one intra-op thread, as the
    workers do by default, so that one worker and none differ in the process, not in threads.

    Raises:
        BadArgument: an argument that cannot be meant.
    """
    num_workers = arguments.whole_number("num_workers", num_workers, 0)
    batch_size = arguments.positive_int("batch_size", batch_size)
    arguments.one_of("start_method", start_method, multiprocessing.get_all_start_methods())
    torch.set_num_threads(1)
    made: DataLoader[Any] = DataLoader(
        dataset,
        batch_size=batch_size,
        sampler=Shuffled(len(dataset), batches and batches * batch_size),  # type: ignore[arg-type]
        generator=torch.Generator().manual_seed(SHUFFLE_SEED),  # of what workers draw
        num_workers=num_workers,
        multiprocessing_context=start_method if num_workers else None,
        prefetch_factor=PREFETCH_FACTOR if num_workers else None,
        persistent_workers=num_workers > 0,
        collate_fn=getattr(dataset, "collate_fn", None),  # of one that gives whole batches
    )
    with ending_workers(made):
        yield made


@contextmanager
def ending_workers(made: DataLoader[Any]) -> Iterator[None]:
    """End the persistent workers of `made` when the block ends, however it ends."""
    try:
        yield
    finally:
        iterator = getattr(made, "_iterator", None)
        if iterator is not None:
            iterator._shutdown_workers()


def touch(batch: Any) -> int:
    """Read one byte of every page of a batch, as a trainer would, and return its sample count."""
    tensor: torch.Tensor = batch[0] if isinstance(batch, list | tuple) else batch
    in_memory = (tensor.numel(),), (1,), tensor.storage_offset()  # also where channels come last
    tensor.as_strided(*in_memory)[::CPU_PAGE].sum()
    if tensor.is_cuda:
        torch.cuda.synchronize(tensor.device)  # or only the launch would be timed
    return len(tensor)


def run_epoch(batches: Iterable[Any], limit: int | None = None) -> int:
    """Consume one epoch (or its first `limit` batches) and return the number of images seen."""
    seen = 0
    for position, batch in enumerate(batches, start=1):
        seen += touch(batch)
        if position == limit:
            break
    return seen


class TimedItems(Dataset[Any]):
    """The same dataset, adding up the time spent in its item access (seconds, this process)."""

    def __init__(self, dataset: Any) -> None:
        self.dataset = dataset
        self.seconds = 0.0

    def __len__(self) -> int:
        return len(self.dataset)

    def __getitem__(self, index: int) -> Any:
        start = time.perf_counter()
        sample = self.dataset[index]
        self.seconds += time.perf_counter() - start
        return sample
