"""The order of an epoch: shuffled over the whole set, the same for a seed, each image once."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import torch
from torch.utils.data import Sampler


class ShardedShuffle(Sampler[int]):
    """A true shuffle of `count` indices, of which rank `rank` gets every `world`-th.

    Unlike `DistributedSampler` it repeats and drops nothing: where `count` is no multiple of
    `world`, some ranks get one image more. Each iteration is the next epoch; `set_epoch` says
    which one comes next.
    """

    def __init__(self, count: int, seed: int = 0, rank: int = 0, world: int = 1) -> None:
        if not 0 <= rank < world:
            raise ValueError(f"rank {rank} is not below the number of processes, {world}")
        self.count, self.seed, self.rank, self.world = count, seed, rank, world
        self.epoch = 0

    @classmethod
    def distributed(cls, count: int, seed: int = 0) -> ShardedShuffle:
        """The shard of this process in the default process group; all of it without one."""
        from torch import distributed

        if not (distributed.is_available() and distributed.is_initialized()):
            return cls(count, seed)
        return cls(count, seed, distributed.get_rank(), distributed.get_world_size())

    def set_epoch(self, epoch: int) -> None:
        self.epoch = epoch

    def __len__(self) -> int:
        return len(range(self.rank, self.count, self.world))

    def __iter__(self) -> Iterator[int]:
        # Counted when the first index is taken: a loader may make an iterator it never reads.
        generator = torch.Generator().manual_seed(self.seed + self.epoch)
        self.epoch += 1
        yield from torch.randperm(self.count, generator=generator)[self.rank :: self.world].tolist()


def batched(order: Iterable[int], batch_size: int, drop_last: bool = False) -> list[list[int]]:
    """`order` cut into batches; the last one may be smaller."""
    indices = list(order)
    batches = [indices[at : at + batch_size] for at in range(0, len(indices), batch_size)]
    return batches[:-1] if drop_last and batches and len(batches[-1]) < batch_size else batches


def batch_count(images: int, batch_size: int, drop_last: bool = False) -> int:
    return images // batch_size if drop_last else -(-images // batch_size)
