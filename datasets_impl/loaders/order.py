"""The order of an epoch: shuffled over the whole set, the same for a seed, each image once."""

from __future__ import annotations

import itertools
import operator
from collections.abc import Iterable, Iterator
from typing import Any

import torch
from torch.utils.data import Sampler

from datasets_impl import arguments
from datasets_impl.errors import BadArgument

TORCH_SEEDS = 2**64
MOST_IMAGES = 2**31 - 1


class ShardedShuffle(Sampler[int]):
    """A true shuffle of `count` indices, of which rank `rank` gets every `world`-th.

    Unlike `DistributedSampler` it repeats and drops nothing: where `count` is no multiple of
    `world`, some ranks get one image more. Each iteration is the next epoch; `set_epoch` says
    which one comes next.
    """

    def __init__(self, count: int, seed: int = 0, rank: int = 0, world: int = 1) -> None:
        self.count = arguments.whole_number("count", count, 0, MOST_IMAGES)
        self.seed = arguments.seed(seed)
        self.rank = arguments.whole_number("rank", rank, 0)
        self.world = arguments.positive_int("world", world)
        if self.rank >= self.world:
            raise BadArgument(f"rank {rank} is not below the number of processes, {world}.")
        self.epoch = 0

    @classmethod
    def distributed(cls, count: int, seed: int = 0) -> ShardedShuffle:
        """The shard of this process in the default process group; all of it without one."""
        from torch import distributed

        if not (distributed.is_available() and distributed.is_initialized()):
            return cls(count, seed)
        return cls(count, seed, distributed.get_rank(), distributed.get_world_size())

    def set_epoch(self, epoch: int) -> None:
        self.epoch = arguments.whole_number("epoch", epoch, 0)

    def __len__(self) -> int:
        return len(range(self.rank, self.count, self.world))

    def __iter__(self) -> Iterator[int]:
        return itertools.chain.from_iterable(self._drawn())  # no line of Python for each index

    def _drawn(self) -> Iterator[list[int]]:
        # Counted when the first index is taken: a loader may make an iterator it never reads.
        generator = torch.Generator().manual_seed((self.seed + self.epoch) % TORCH_SEEDS)
        self.epoch += 1
        # On the processor, whatever the default device is: the generator is one of its own.
        order = torch.randperm(self.count, generator=generator, device="cpu")
        yield order[self.rank :: self.world].tolist()


class IndexBatches:
    """What loaders share: a sampler over `count` images, its indices checked and cut into batches.

    An order whose length is known is checked as a whole, before anything is read; one without a
    length, which may have no end, batch by batch.

    Args:
        sampler: single indices for each epoch; a shuffle by `seed` when it is left out.
        drop_last: leave out the last batch where it is smaller.

    Raises:
        BadArgument: an index that is none, or an epoch without a single batch; at construction
            where the sampler tells, otherwise when an epoch begins.
    """

    def __init__(
        self, count: int, batch_size: int, sampler: Iterable[int] | None, seed: int, drop_last: bool
    ) -> None:
        self.batch_size = arguments.positive_int("batch_size", batch_size, MOST_IMAGES)
        self.drop_last = arguments.flag("drop_last", drop_last)
        self.seed = arguments.seed(seed)
        self.count = count
        self.sampler = ShardedShuffle(count, self.seed) if sampler is None else sampler
        self._check_sampler()

    def __len__(self) -> int:
        images = _length(self.sampler)
        if images is None:  # a TypeError, as of everything else without a length
            raise TypeError("the sampler has no length, so nor has the loader that it orders")
        return images // self.batch_size if self.drop_last else -(-images // self.batch_size)

    def set_epoch(self, epoch: int) -> None:
        """Which epoch's order comes next, for samplers that know epochs."""
        epoch = arguments.whole_number("epoch", epoch, 0)
        if hasattr(self.sampler, "set_epoch"):
            self.sampler.set_epoch(epoch)

    def index_batches(self) -> Iterator[list[int]]:
        """The indices of one epoch, batch by batch; only the last may have fewer."""
        if _length(self.sampler) is None and not hasattr(self.sampler, "tolist"):
            indices: Iterator[int] = (self._checked([each])[0] for each in self.sampler)
        else:
            known = self._checked(_listed(self.sampler))
            self._require_batches(len(known))
            indices = iter(known)
        taken = 0
        while batch := list(itertools.islice(indices, self.batch_size)):
            if self.drop_last and len(batch) < self.batch_size:
                break
            taken += len(batch)
            yield batch
        if not taken:
            self._require_batches(len(batch))

    def _check_sampler(self) -> None:
        sampler: Any = self.sampler
        arguments.iterable("sampler", sampler, "indices: a sampler, a list or a range")
        if isinstance(sampler, ShardedShuffle) and sampler.count > self.count:
            raise BadArgument(
                f"sampler shuffles {sampler.count:,} images, and there are {self.count:,}."
            )
        if isinstance(sampler, range):
            self._checked([*sampler[:1], *sampler[-1:]])
        elif isinstance(sampler, list | tuple) or hasattr(sampler, "tolist"):
            self._checked(_listed(sampler))
        images = _length(sampler)
        if images is not None:
            self._require_batches(images)

    def _checked(self, indices: list[Any]) -> list[int]:
        if set(map(type, indices)) - {int}:
            indices = [self._as_int(index) for index in indices]
        if indices and not 0 <= min(indices) <= max(indices) < self.count:
            wrong = next(index for index in indices if not 0 <= index < self.count)
            raise BadArgument(
                f"sampler gives index {wrong:,}, and there are {self.count:,} images, "
                f"0 to {self.count - 1:,}."
            )
        return indices

    @staticmethod
    def _as_int(index: Any) -> int:
        try:
            if isinstance(index, bool) or "bool" in str(getattr(index, "dtype", "")):
                raise TypeError  # a mask: as numbers it would be images 0 and 1, over and over
            return operator.index(index)
        except (TypeError, ValueError, RuntimeError):
            raise arguments.refused(
                "an index of the sampler", index, "single whole numbers, not batches of them"
            ) from None

    def _require_batches(self, images: int) -> None:
        if not images:
            once = hasattr(self.sampler, "__next__")
            raise BadArgument(
                "sampler is an iterator and has no index left, since one epoch uses it up; give a "
                "list, or a sampler that can begin again."
                if once
                else f"sampler gives none of the {self.count:,} images, so an epoch would be empty."
            )
        if self.drop_last and images < self.batch_size:
            raise BadArgument(
                f"batch_size is {self.batch_size:,} and an epoch has {images:,} images, which "
                "drop_last=True would all leave out; give a smaller batch_size or drop_last=False."
            )


def _listed(sampler: Any) -> list[Any]:
    found = sampler.tolist() if hasattr(sampler, "tolist") else list(sampler)
    return found if isinstance(found, list) else [found]


def _length(sampler: Any) -> int | None:
    try:
        return len(sampler)
    except (TypeError, ValueError, OverflowError, NotImplementedError, AttributeError):
        return None
