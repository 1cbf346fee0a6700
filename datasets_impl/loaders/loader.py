"""A loader for any dataset: threads make the batches that `DataLoader`'s worker processes would.

Threads share the dataset and the memory of batches, so nothing is paid for moving batches between
worker processes, and a batch is filled by all threads at once. Work that releases the GIL
(decoding, reading, resizing) keeps every core busy. A dataset that can write a sample into memory
it is given (`WritesSamples`) is read straight into the batch, in memory that was used before.
"""

from __future__ import annotations

import copy
import warnings
from collections.abc import Callable, Iterable, Iterator
from typing import TYPE_CHECKING, Any, Generic, TypeVar

import torch
from torch.utils.data import DataLoader, Dataset, IterableDataset, Sampler

from datasets_impl import arguments
from datasets_impl.errors import BadArgument
from datasets_impl.loaders import given
from datasets_impl.loaders.epoch import Epoch, Unbegun
from datasets_impl.loaders.order import length
from datasets_impl.loaders.places import Places
from datasets_impl.loaders.position import MOST_EPOCH, Order, Position
from datasets_impl.loaders.reading import Collate
from datasets_impl.loaders.threads import MOST_THREADS
from datasets_impl.system.cores import cores
from datasets_impl.system.threads import lock_anew_in_forks

if TYPE_CHECKING:
    from datasets_impl.loaders.described import Described

T = TypeVar("T")
PLACES = ("process", "trainer")
AHEAD = 2  # batches, as for each worker of a `DataLoader`


class ThreadedLoader(Generic[T]):
    """What `torch.utils.data.DataLoader` gives for the same dataset, arguments and seed.

    Batches have the same structure, dtypes and order. `__getitem__` is called from `threads`
    threads at once; where a dataset cannot bear that, give `threads=1`.

    Args:
        dataset, batch_size, shuffle, sampler, batch_sampler, collate_fn, drop_last, timeout,
            generator, in_order: as in `DataLoader`. A batch sampler that gives lists of different
            lengths makes batches of different sizes.
        threads: how many make batches; as many as there are cores by default. An iterable dataset
            is read by one.
        where: "process", in one separate process, which lives as long as the loader and hands
            batches over in shared memory that both use again; or "trainer", in this process. An
            attribute of the dataset or of `collate_fn` that is set between epochs reaches that
            process with the next one; what changes inside of an attribute, after `close()`.
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
            None is 2, as in `DataLoader`.
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
        arguments.function("worker_init_fn", worker_init_fn)
        ahead = AHEAD if prefetch_factor is None else prefetch_factor
        self.prefetch_factor = arguments.whole_number("prefetch_factor", ahead, 0)
        self.in_order = arguments.flag("in_order", in_order)
        self.pin_memory = arguments.flag("pin_memory", pin_memory)
        self.overwrite = arguments.flag("overwrite", overwrite)
        self.epoch = 0
        arguments.function("collate_fn", collate_fn)
        given.require_kinds(dataset, sampler, batch_sampler, generator)
        given.require_in_range(dataset, sampler)
        shuffle = None if shuffle is None else arguments.flag("shuffle", shuffle)
        if batch_size is not None:
            batch_size = arguments.positive_int("batch_size", batch_size)
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
        self._position: Position | None = None
        self._resumed: Position | None = None
        self._described: Described | None = None  # when a state is first asked for
        self._places = Places()
        self._beginning = lock_anew_in_forks()

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
        held = {**self.__dict__, "_described": None}
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

    def _begin(self, iterator: Unbegun) -> None:
        with self._beginning:  # several threads may iterate at once
            resumed = self._resumed
            position = resumed or self._order.position(self.epoch, self._describes())
            try:
                begun = self._new_epoch(position, resumed is not None)
            except BaseException:
                self._order.restore(position)  # the next attempt is to draw the same
                raise
            # Without a call between: a signal leaves all of it to be done, or nothing.
            iterator.epoch, self._resumed = begun, None
            self.epoch += 1

    def _new_epoch(self, position: Position, resumed: bool) -> Epoch:
        position.begun, self._position = True, position
        indices, seed = self._order.resume(position) if resumed else self._order.begin()
        return Epoch(
            self._places.begin(self, seed, position.dataset, position.drawn),
            self._order,
            indices,
            position,
            self.prefetch_factor,
            self.in_order,
            self.timeout,
            reread=self._streams and resumed and position.dataset is None,
        )

    def state_dict(self) -> dict[str, Any]:
        """Where the epoch stands that was begun last, after the batch that was handed out last.

        It is what `torch.save` and pickle can write. After an epoch's last batch it is the
        beginning of the next one.
        """
        position = self._resumed or self._position
        # Lightning asks for no batch after the last, which on demand is not known to be the last.
        counted = not self.prefetch_factor and not self._streams
        if position is None or not position.begun or (counted and position.given == length(self)):
            position = self._order.position(self.epoch, self._describes())
        state = copy.deepcopy(vars(position))
        state["describes"] |= self._samples()
        return state

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Let the next iteration give exactly what remained of the epoch, in the same order.

        An iterable dataset needs `state_dict` and `load_state_dict` for that. Without them the
        batches that were handed out are read again and left out, and a RuntimeWarning says so.
        The state of PyTorch's own generator is the trainer's to restore.

        A dataset that draws from the generators of Python, NumPy or PyTorch, as torchvision's
        transforms do, draws what it would have drawn in the separate process with `threads=1`.
        Several threads, the trainer's process and a stream draw anew. There, let what is random
        depend on index and epoch (`set_epoch`) alone, as in this package's `RandomCrops`. The
        separate process sees whether samples draw, and a RuntimeWarning says so; in the trainer's
        process, which draws itself, that cannot be seen.

        Compared are batch size, order and number of samples; the dataset's class, and of a `Subset`
        or `ConcatDataset` those inside; the `seed` of this package's datasets; and which samples
        there are: a `Subset`'s indices, the names of files in order (not what is in them) from the
        folder that all are in, or the digests of a stored set. Of a dataset of your own no more is
        known than its class, unless it is an `ImageFolder`, and of transforms, targets and sizes
        nothing; a state of an earlier version says less.

        Raises:
            BadArgument: it is no state, or one of a loader with other arguments or other samples.
        """
        position = Position.of(copy.deepcopy(state), self._describes() | self._samples())
        most = None if self._streams else length(self)
        if most is not None and position.given > most:
            raise BadArgument(
                f"state says that {position.given:,} batches were handed out, and an epoch has "
                f"{most:,}; give what `state_dict()` returned."
            )
        self._order.restore(position)
        self.epoch = position.epoch
        self._position, self._resumed = None, position if position.begun else None
        in_order = self.where == "process" and self.threads == 1
        for said in position.warnings(self.dataset, self._streams, in_order):
            warnings.warn(said, RuntimeWarning, stacklevel=2)

    def set_epoch(self, epoch: int) -> None:
        """Which epoch comes next, for every sampler that knows epochs and for the dataset."""
        self.epoch = arguments.whole_number("epoch", epoch, 0, MOST_EPOCH)
        self._order.set_epoch(self.epoch)

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

    def _describes(self) -> dict[str, Any]:
        return {
            "batch_size": self.batch_size,
            "drop_last": self.drop_last,
            "length": length(self.dataset),
            "order": given.described(self._order.samplers),
        }

    def _samples(self) -> dict[str, str]:
        from datasets_impl.loaders.described import Described  # and with it what only it needs

        if self._described is None:
            self._described = Described(self.dataset)
        return self._described.facts()
