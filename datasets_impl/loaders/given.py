"""What a loader's arguments mean together, and which of them do not go together."""

from __future__ import annotations

import multiprocessing
import threading
import warnings
from typing import Any

import numpy as np
import torch
from torch.utils.data import (
    BatchSampler,
    ConcatDataset,
    DataLoader,
    DistributedSampler,
    IterableDataset,
    RandomSampler,
    SequentialSampler,
    Subset,
    SubsetRandomSampler,
    TensorDataset,
    WeightedRandomSampler,
)

from datasets_impl import arguments, optional
from datasets_impl.errors import BadArgument
from datasets_impl.loaders.order import ShardedShuffle, length
from datasets_impl.loaders.sources import digest, rank

# Attributes of samplers of PyTorch and of this package that decide the order.
DECIDE = ("seed", "shuffle", "replacement", "num_samples", "num_replicas", "world", "drop_last")

OF_LENGTH = (SequentialSampler, RandomSampler, DistributedSampler, ShardedShuffle)

# Arguments of `DataLoader` for its workers, and what says here what they say there.
INSTEAD = {
    "num_workers": 'threads and where ("trainer" is as 0 workers) in place of num_workers',
    "multiprocessing_context": "start_method in place of multiprocessing_context",
    "persistent_workers": "no persistent_workers (its process lives as long as the loader)",
    "pin_memory_device": "pin_memory alone in place of pin_memory_device",
}


def refuse(**of_workers: Any) -> None:
    """Those of `INSTEAD` that are given."""
    right = " and ".join(text for name, text in INSTEAD.items() if of_workers[name] is not None)
    if right:
        raise BadArgument(f"A ThreadedLoader has threads and no workers; give {right}.")


def samplers(loader: DataLoader[Any]) -> list[Any]:
    """The sampler that is iterated over, then those inside it."""
    outer = loader.sampler if loader.batch_sampler is None else loader.batch_sampler
    found: list[Any] = [outer]
    for inner in (optional.value(loader.batch_sampler, "sampler"), loader.sampler):
        if inner is not None and not any(inner is other for other in found):
            found.append(inner)
    return found


def described(samplers: list[Any]) -> str:
    """What decides the order of samples, as far as PyTorch's samplers and the one of this package
    say it: a state of another order would leave samples out and repeat others. Not the rank, since
    one process may save what all load."""
    told = []
    for each in samplers:
        known = isinstance(each, RandomSampler | DistributedSampler | ShardedShuffle)
        facts = {name: getattr(each, name) for name in DECIDE if known and hasattr(each, name)}
        if isinstance(each, range) and each.step != 1:  # every so many-th, see `own_order`
            facts = {"world": each.step}
        told.append(type(each).__name__ + "".join(f", {name}={facts[name]}" for name in facts))
    return "; ".join(told)


class Indices:
    """What else of an order its samplers say: how large batches are, and a digest of lists of
    indices and of weights. Lists are digested once, whatever changes inside of them later."""

    def __init__(self) -> None:
        self._before: list[tuple[Any, int | None, str]] = []
        self._now: list[tuple[Any, int | None, str]] = []

    def facts(self, samplers: list[Any]) -> dict[str, Any]:
        """`rank` says for which process `indices` holds."""
        self._before, self._now = self._now, []
        batches = [
            f"of {each.batch_size}, drop_last={each.drop_last}"
            for each in samplers
            if isinstance(each, BatchSampler)
        ]
        said = [text for each in samplers if (text := self._said(each))]
        return {
            "batches": "; ".join(batches) or "of one's own",
            "indices": "; ".join(said) or "drawn",
            "rank": rank(samplers),
        }

    def _said(self, sampler: Any) -> str:
        if type(sampler) in (list, tuple, range, np.ndarray, torch.Tensor):
            return f"{len(sampler)} ({self._digest(sampler)})"
        if isinstance(sampler, SubsetRandomSampler):
            return f"{len(sampler)} of {self._digest(sampler.indices)}"
        if isinstance(sampler, WeightedRandomSampler):
            how = f"replacement={sampler.replacement}"
            return f"{len(sampler)} by weights {self._digest(sampler.weights)}, {how}"
        return f"{length(sampler)}" if type(sampler) in OF_LENGTH else ""

    def _digest(self, values: Any) -> str:
        count = length(values)
        known = (said for each, size, said in self._before if each is values and size == count)
        found = next(known, None) or digest(values)
        self._now.append((values, count, found))
        return found


def require_kinds(dataset: Any, sampler: Any, batch_sampler: Any, generator: Any) -> None:
    """That samples can be read from `dataset`, which is no class, path or folder of pictures, and
    that the others are what `DataLoader` would find out in mid-epoch."""
    reads = any(optional.has(dataset, name) for name in ("__getitem__", "__getitems__"))
    no_data = isinstance(dataset, type | str | bytes)
    if no_data or not (reads or isinstance(dataset, IterableDataset)):
        right = "a dataset; RandomCrops and the like make one of pictures"
        raise arguments.refused("dataset", dataset, right)
    for name, order in (("sampler", sampler), ("batch_sampler", batch_sampler)):
        if order is not None:
            arguments.iterable(name, order, "an iterable of indices, or None")
    if generator is not None and not isinstance(generator, torch.Generator):
        raise arguments.refused("generator", generator, "a torch.Generator, or None")


def require_in_range(dataset: Any, sampler: Any) -> None:
    """That a list of indices has none beyond the end, which would end an epoch in its middle.

    Only of datasets that count their samples from 0: another may be asked by keys of its own.
    """
    own = type(dataset).__module__.partition(".")[0] == __name__.partition(".")[0]
    counts = own or isinstance(dataset, list | tuple | TensorDataset | Subset | ConcatDataset)
    count = length(dataset) if counts else None
    if count is None or type(sampler) not in (list, tuple, range, np.ndarray, torch.Tensor):
        return
    try:
        ends = sampler if type(sampler) is not range else [*sampler[:1], *sampler[-1:]]
        indices = np.asarray(ends.cpu() if isinstance(ends, torch.Tensor) else ends)
    except ValueError:  # lists of different lengths
        return
    if indices.ndim != 1 or indices.dtype.kind not in "iu":  # which are told when they are read
        return
    beyond = indices[(indices < -count) | (indices >= count)]
    if len(beyond):
        there = f"only {count:,} (0 to {count - 1:,})" if count else "none"
        raise BadArgument(f"sampler has the index {beyond[0]:,}; the dataset has {there}.")


def warn_of_nothing(loader: Any) -> None:
    """One sentence where an epoch has no batches, as it has none with `DataLoader`."""
    if length(loader) != 0:
        return
    samples = length(loader.sampler)
    if length(loader.dataset) == 0:
        why = "the dataset has no samples"
    elif loader.batch_size and loader.drop_last and samples:
        size = loader.batch_size
        why = f"drop_last leaves out {samples:,} samples, which fill no batch of {size:,}"
    else:
        why = "its sampler gives no indices"
    warnings.warn(f"An epoch has no batches: {why}.", RuntimeWarning, stacklevel=3)


def warn_at_the_end(loader: Any, streams: bool, count: int) -> None:
    """One sentence where an epoch that came to its end had no batches, which nothing said before,
    or more than its length says, as `DataLoader` tells it of a stream."""
    told, what = length(loader), ""
    if count == 0 and told != 0:
        who = "dataset gave no sample, or too few for one" if streams else "sampler gave no indices"
        what = (
            f"An epoch had no batches: its {who}; what can be gone over only once, as a generator, "
            "is to be made anew for each epoch."
        )
    elif streams and told is not None and count > told:
        what = (
            f"The dataset's length promised {told:,} batches, and the epoch had {count:,}; mend "
            "its __len__."
        )
    if what:
        warnings.warn(what, RuntimeWarning, stacklevel=4)


def seconds(name: str, value: Any) -> float:
    """A time to wait, 0 or more."""
    number = isinstance(value, int | float) and not isinstance(value, bool)
    if not (number and 0 <= value <= threading.TIMEOUT_MAX):
        right = f"a number of seconds from 0 to {threading.TIMEOUT_MAX:,.0f}; 0 waits without end"
        raise arguments.refused(name, value, right)
    return float(value)


def require_overwritable(prefetch_factor: int, where: str) -> None:
    if prefetch_factor or where != "trainer":
        raise BadArgument(
            "overwrite=True gives each batch in the memory of the last one, so none can be "
            'made in advance; give where="trainer" and prefetch_factor=0, or leave it out.'
        )


def start_method(method: str | None, where: str) -> str | None:
    if method is None:
        return None
    if where != "process":
        raise BadArgument(
            f'start_method is {method!r}, and no process is started; give where="process", or '
            "leave it out."
        )
    return arguments.one_of("start_method", method, multiprocessing.get_all_start_methods())


def require_no_order(dataset: Any, sampler: Any, batch_sampler: Any) -> None:
    if isinstance(dataset, IterableDataset):
        raise BadArgument(
            "seed, num_replicas and rank say which samples are read in which order, and an "
            "iterable dataset decides that itself; leave them out."
        )
    if sampler is not None or batch_sampler is not None:
        raise BadArgument(
            "seed, num_replicas and rank make a sampler, and one is given already; leave either "
            "out."
        )


def own_order(
    dataset: Any, shuffle: bool, seed: int | None, num_replicas: int | None, rank: int | None
) -> Any:
    """The sampler: every `num_replicas`-th sample from the `rank`-th on, shuffled if asked for."""
    if (num_replicas is None) != (rank is None):
        raise BadArgument("num_replicas and rank belong together; give both, or neither.")
    seed = 0 if seed is None else arguments.seed(seed)
    count, world, first = len(dataset), num_replicas or 1, rank or 0
    if num_replicas is not None:
        world = arguments.positive_int("num_replicas", num_replicas)
        first = arguments.whole_number("rank", rank, 0, world - 1)
    if shuffle:
        return ShardedShuffle(count, seed, first, world)
    return range(first, count, world)
