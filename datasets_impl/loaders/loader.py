"""A loader for any dataset: threads make the batches that `DataLoader`'s worker processes would.

Threads share the dataset and the memory of batches, so nothing is paid for moving batches between
worker processes, and a batch is filled by all threads at once. Work that releases the GIL
(decoding, reading, resizing) keeps every core busy. A dataset that can write a sample into memory
it is given (`WritesSamples`) is read straight into the batch, in memory that was used before.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable, Iterator
from functools import partial
from typing import Any, Generic, TypeVar

import torch
from torch.utils.data import DataLoader, Dataset, IterableDataset, Sampler

from datasets_impl import arguments
from datasets_impl.errors import BadArgument
from datasets_impl.loaders import given
from datasets_impl.loaders.drawing import Order
from datasets_impl.loaders.epoch import Epoch, Unbegun
from datasets_impl.loaders.places import Places
from datasets_impl.loaders.position import MOST_EPOCH, Position
from datasets_impl.loaders.reading import Collate
from datasets_impl.loaders.resumable import Resumable
from datasets_impl.loaders.threads import MOST_THREADS
from datasets_impl.loaders.told import Told
from datasets_impl.system.cores import cores
from datasets_impl.system.threads import lock_anew_in_forks

T = TypeVar("T")
PLACES = ("process", "trainer")
AHEAD = 2  # batches, as for each worker of a `DataLoader`
MOST_AHEAD = 2**31 - 1
FIXED = {
    "dataset",
    "batch_size",
    "sampler",
    "batch_sampler",
    "drop_last",
    "collate_fn",
    "generator",
    "timeout",
    "where",
    "threads",
    "start_method",
    "prefetch_factor",
    "in_order",
    "pin_memory",
    "overwrite",
}


class ThreadedLoader(Resumable, Generic[T]):
    """What `torch.utils.data.DataLoader` gives for the same dataset, arguments and seed.

    Batches have the same structure, dtypes and order. `__getitem__` and `collate_fn` are called
    from `threads` threads at once; where one cannot bear that, as a `collate_fn` that gives each
    batch in one buffer of its own, give `threads=1`. The threads have what the one has that begins
    the epoch: PyTorch's grad mode, inference mode and CPU autocast, and Python's context variables,
    such as NumPy's `errstate` and decimal's precision. In the separate process these variables are
    as they were when it was forked; by forkserver and spawn it has none. A `threading.local` is
    empty in each thread.

    Args:
        dataset, batch_size, shuffle, sampler, batch_sampler, collate_fn, drop_last, timeout,
            generator, in_order: as in `DataLoader`. A batch sampler that gives lists of different
            lengths makes batches of different sizes.
        threads: how many make batches; as many as there are cores by default. An iterable dataset
            is read by one.
        where: "process", in one separate process, which lives as long as the loader and hands
            batches over in shared memory that both use again; or "trainer", in this process.
            What changes between epochs reaches the next, for which another process is started:
            what is in the dataset, `collate_fn` and `worker_init_fn`, variables that your functions
            name, the environment, the current folder. Of a list or dictionary of more than 1,000
            items only the length counts, but for a `Subset`'s indices, and nothing of an array of
            more than 64 KiB or of a library's own classes: call `close()` after such a change.
        start_method: of that process: fork, forkserver or spawn; the default of `multiprocessing`
            where it is left out. By forkserver and spawn it imports a PyTorch of its own, which
            adds 0.3 GB to the peak of both processes in an epoch, page cache apart (measured
            against fork, pages in common counted once).
        worker_init_fn: called with 0 in that process when an epoch begins. Python's, NumPy's and
            PyTorch's random numbers begin there as in the first worker of a `DataLoader`, and
            `torch.utils.data.get_worker_info()` says 0 of one worker, however many threads; in the
            trainer's process it says None. With `threads=1` a dataset that draws from them gives
            what it gives there; more threads draw in an order that is not the same each time.
        prefetch_factor: batches that are being made while the trainer works on one. Memory holds
            two more, or one where the trainer keeps none. 0 makes each batch when it is asked for;
            None is 2, as in `DataLoader`. A dataset that gives every sample in one buffer of its
            own has to give copies, unless this is 0 and there is one thread.
        pin_memory: batches in page-locked memory, where there is a CUDA device.
        overwrite: every batch in the same memory, which stays in the processor's cache, where the
            dataset writes its samples into the batch. A batch is then valid only until the next
            one is asked for. Only in the trainer's process, with `prefetch_factor=0`.
        seed: of a shuffle that depends on it and the epoch alone, and not on a generator.
        num_replicas, rank: read only every `num_replicas`-th sample, from the `rank`-th on. Each
            sample is read by one process: nothing is repeated to make the parts equally long, so
            some may have a batch more, for which `DistributedDataParallel` waits in vain: for it
            give a `torch.utils.data.DistributedSampler`, which repeats or drops, as `sampler`.
        num_workers, persistent_workers, multiprocessing_context, pin_memory_device: refused, with
            what says here what they say of a `DataLoader`'s workers.

    Raises:
        BadArgument: an argument that cannot be meant, which is a ValueError as `DataLoader`'s are.
        TypeError: the dataset has no length, and its order needs one.
    """

    def __init__(
        self,
        dataset: Dataset[Any],
        batch_size: int | None = 1,
        shuffle: bool | None = None,
        sampler: Sampler[Any] | Iterable[Any] | None = None,
        batch_sampler: Sampler[list[Any]] | Iterable[list[Any]] | None = None,
        *,
        threads: int | None = None,
        where: str = "process",
        start_method: str | None = None,
        worker_init_fn: Callable[[int], None] | None = None,
        collate_fn: Collate | None = None,
        pin_memory: bool = False,
        drop_last: bool = False,
        timeout: float = 0,
        generator: torch.Generator | None = None,
        prefetch_factor: int | None = AHEAD,
        in_order: bool = True,
        overwrite: bool = False,
        seed: int | None = None,
        num_replicas: int | None = None,
        rank: int | None = None,
        num_workers: None = None,
        persistent_workers: None = None,
        multiprocessing_context: None = None,
        pin_memory_device: None = None,
    ) -> None:
        given.refuse(
            num_workers=num_workers,
            persistent_workers=persistent_workers,
            multiprocessing_context=multiprocessing_context,
            pin_memory_device=pin_memory_device,
        )
        self.where = arguments.one_of("where", where, PLACES)
        self.threads = cores()
        if threads is not None:
            hint = ", or None for one a core"
            self.threads = arguments.positive_int("threads", threads, MOST_THREADS, hint)
        self.start_method = given.start_method(start_method, where)
        self.worker_init_fn = worker_init_fn
        ahead = AHEAD if prefetch_factor is None else prefetch_factor
        self.prefetch_factor = arguments.whole_number("prefetch_factor", ahead, 0, MOST_AHEAD)
        self.in_order = arguments.flag("in_order", in_order)
        self.pin_memory = arguments.flag("pin_memory", pin_memory)
        self.overwrite = arguments.flag("overwrite", overwrite)
        arguments.function("collate_fn", collate_fn)
        given.require_kinds(dataset, sampler, batch_sampler, generator)
        given.require_in_range(dataset, sampler)
        shuffle = None if shuffle is None else arguments.flag("shuffle", shuffle)
        if batch_size is not None:
            batch_size = arguments.positive_int("batch_size", batch_size, sys.maxsize)
        if seed is not None or num_replicas is not None or rank is not None:
            given.require_no_order(dataset, sampler, batch_sampler)
            sampler = given.own_order(dataset, bool(shuffle), seed, num_replicas, rank)
            shuffle = None
        try:
            self._plain: DataLoader[Any] = DataLoader(
                dataset,
                batch_size,
                shuffle,
                sampler,
                batch_sampler,
                collate_fn=collate_fn,
                drop_last=arguments.flag("drop_last", drop_last),
                timeout=given.seconds("timeout", timeout),
                generator=generator,
            )
        except BadArgument:
            raise
        except ValueError as error:
            raise BadArgument(f"DataLoader's arguments do not fit together: {error}.") from error
        if self.overwrite:
            given.require_overwritable(self.prefetch_factor, where)
        self._streams = isinstance(dataset, IterableDataset)
        self._generator = generator
        self._order = Order(given.samplers(self._plain), generator)
        self._told = Told(dataset)
        self._indices = given.Indices()
        self._places = Places()
        self._beginning = lock_anew_in_forks()

    def __setattr__(self, name: str, value: Any) -> None:
        if name in FIXED and "_beginning" in self.__dict__:  # which is made last
            raise BadArgument(f"{name} cannot be set once the loader is made; make another.")
        if name == "worker_init_fn":
            arguments.function(name, value)
        elif name == "epoch":
            value = arguments.whole_number(name, value, 0, MOST_EPOCH)
        super().__setattr__(name, value)

    @property
    def dataset(self) -> Any:
        return self._plain.dataset

    @property
    def batch_size(self) -> int | None:
        return self._plain.batch_size

    @property
    def sampler(self) -> Any:
        return self._plain.sampler

    @property
    def batch_sampler(self) -> Any:
        return self._plain.batch_sampler

    @property
    def drop_last(self) -> bool:
        return self._plain.drop_last

    @property
    def collate_fn(self) -> Any:
        return self._plain.collate_fn

    @property
    def generator(self) -> torch.Generator | None:
        return self._generator

    @property
    def timeout(self) -> float:
        return self._plain.timeout

    def __getstate__(self) -> dict[str, Any]:
        held = {**self.__dict__, "_described": None, "_indices": given.Indices()}
        del held["_beginning"], held["_places"]
        return held

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)
        self._beginning, self._places = lock_anew_in_forks(), Places()

    def __len__(self) -> int:
        """Batches of an epoch.

        Raises:
            TypeError: the sampler or the iterable dataset has no length.
        """
        return len(self._plain)

    def __iter__(self) -> Iterator[T]:
        """An epoch, which begins when its first batch is asked for."""
        if not self._streams:
            given.warn_of_nothing(self)
        return Unbegun(self._begin)

    def _new_epoch(self, position: Position, resumed: bool) -> Epoch:
        position.begun, self._position = True, position
        indices, seed = self._order.resume(position) if resumed else self._order.begin(position)
        return Epoch(
            self._places.begin(self, seed, position.dataset, position.drawn),
            self._order,
            indices,
            position,
            self.prefetch_factor,
            self.in_order,
            self.timeout,
            reread=self._streams and resumed and position.dataset is None,
            ended=partial(given.warn_at_the_end, self._plain, self._streams),
        )

    def close(self) -> None:
        """End the process or the threads now, and not when the loader goes.

        Batches stay as they are. An epoch under way ends with a LoaderFailed; a new one starts
        process or threads again. As a context manager the loader closes at the block's end.
        """
        self._places.close()

    def __enter__(self) -> ThreadedLoader[T]:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()
