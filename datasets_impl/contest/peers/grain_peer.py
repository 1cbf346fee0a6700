"""Grain 0.2: a lazy dataset read by threads, or by worker processes where that is faster.

The images come from this project's pack, since any random-access source will do.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch

from datasets_impl.contest.model import BATCH_SIZE, Task
from datasets_impl.contest.peers.work import collated, files_of_pack, packed, peer_arms, work_of
from datasets_impl.experiments.loops import cores
from datasets_impl.formats.images import StoredImages

SETTINGS: tuple[dict[str, Any], ...] = tuple(
    {"threads": threads, "buffer": buffer}
    for threads in sorted({1, cores(), 2 * cores(), 16})  # 16 is its default
    for buffer in (16, 500)  # 500 is its default
)


class _Source:
    def __init__(self, images: StoredImages) -> None:
        self.images = images

    def __len__(self) -> int:
        return len(self.images)

    def __getitem__(self, index: int) -> Any:
        return self.images.read(index)


class _Epochs:
    def __init__(self, images: Any, work: Any, options: Any) -> None:
        self.images, self.work, self.options, self.epoch = images, work, options, 0

    def __iter__(self) -> Iterator[torch.Tensor]:
        import grain

        shuffled = grain.MapDataset.source(_Source(self.images)).shuffle(seed=self.epoch)
        self.epoch += 1
        made = shuffled.map(self.work).to_iter_dataset(self.options)
        yield from made.batch(BATCH_SIZE, batch_fn=collated)


@contextmanager
def _open(root: Path, task: Task, threads: int, buffer: int, **boxes: Any) -> Iterator[_Epochs]:
    import grain

    images = packed(root, task)
    options = grain.ReadOptions(num_threads=threads, prefetch_buffer_size=buffer)
    yield _Epochs(images, work_of(task, images, **boxes), options)


ARMS = peer_arms(
    "grain",
    _open,
    files_of_pack,
    SETTINGS,
    package="grain",
    about="threads make images one by one, from a pack",
)
