"""The order of an epoch: shuffled over the whole set, the same for a seed, each image once."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
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


def length(sized: Any) -> int | None:
    """Of a sampler, a dataset or a loader; None where it has none, however it says so."""
    try:
        return len(sized)
    except Exception:  # PyTorch's own classes have raised several kinds
        return None
