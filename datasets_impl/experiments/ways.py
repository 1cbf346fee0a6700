"""Worker processes, threads here, or threads in a separate process over one dataset, alike.

Each may use every core, gets the order it is given, and makes `AHEAD` batches in advance.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import AbstractContextManager, contextmanager
from functools import partial
from typing import Any

from torch.utils.data import DataLoader, Dataset, Sampler

from datasets_impl.loaders.loader import ThreadedLoader
from datasets_impl.loading import BATCH_SIZE, PREFETCH_FACTOR, ending_workers
from datasets_impl.system.cores import cores

START_METHOD = "fork"
# PyTorch's default with a worker per core, and for threads as many, so that no way has more batches
# to live on than another. The loader's own default is `PREFETCH_FACTOR` for all its threads, which
# fill a batch together where workers make one each; what users get by default is not measured here.
AHEAD = PREFETCH_FACTOR * cores()
Opened = AbstractContextManager[Iterable[Any]]


@contextmanager
def by_workers(
    dataset: Dataset[Any], order: Sampler[int], in_order: bool = True
) -> Iterator[Iterable[Any]]:
    """A DataLoader with a worker per core; they are gone after the block."""
    made: DataLoader[Any] = DataLoader(
        dataset,
        BATCH_SIZE,
        sampler=order,
        num_workers=cores(),
        multiprocessing_context=START_METHOD,
        prefetch_factor=PREFETCH_FACTOR,
        persistent_workers=True,
        in_order=in_order,
    )
    with ending_workers(made):
        yield made


@contextmanager
def by_threads(
    dataset: Dataset[Any], order: Sampler[int], where: str = "process", threads: int | None = None
) -> Iterator[Iterable[Any]]:
    """The one loader with a thread per core, or as many as given."""
    with ThreadedLoader[Any](
        dataset,
        BATCH_SIZE,
        sampler=order,
        threads=threads,
        where=where,
        start_method=START_METHOD if where == "process" else None,
        prefetch_factor=AHEAD,
    ) as made:
        yield made


WAYS: dict[str, Callable[[Dataset[Any], Sampler[int]], Opened]] = {
    "dataloader": by_workers,
    "threads": partial(by_threads, where="trainer"),
    "process": by_threads,
}
