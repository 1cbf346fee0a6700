"""SPDL 0.8: a pipeline of thread pools; the source gives indices, a stage makes whole batches.

Each batch is made by one thread in one piece of memory. The images come from this project's pack,
since SPDL leaves storage to its user.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch

from datasets_impl.contest.model import BATCH_SIZE, Task
from datasets_impl.contest.peers.work import Work, files_of_pack, packed, peer_arms, work_of
from datasets_impl.experiments.loops import cores
from datasets_impl.formats.images import StoredImages
from datasets_impl.loaders.order import ShardedShuffle

SETTINGS: tuple[dict[str, Any], ...] = tuple(
    {"threads": threads, "buffer": buffer}
    for threads in sorted({1, cores(), 2 * cores()})
    for buffer in (2, 4)
)


class _Epochs:
    def __init__(self, images: StoredImages, work: Work, threads: int, buffer: int) -> None:
        self.images, self.work, self.threads, self.buffer = images, work, threads, buffer
        self.order = ShardedShuffle(len(images))

    def _batch(self, indices: list[int]) -> torch.Tensor:
        return self.work.batch([self.images.read(index) for index in indices])

    def __iter__(self) -> Iterator[torch.Tensor]:
        from spdl.pipeline import PipelineBuilder

        pipeline = (
            PipelineBuilder()
            .add_source(iter(self.order))
            .aggregate(BATCH_SIZE)
            .pipe(self._batch, concurrency=self.threads)
            .add_sink(self.buffer)
            .build(num_threads=self.threads)
        )
        with pipeline.auto_stop():
            yield from pipeline


@contextmanager
def _open(root: Path, task: Task, threads: int, buffer: int, **boxes: Any) -> Iterator[_Epochs]:
    images = packed(root, task)
    yield _Epochs(images, work_of(task, images, **boxes), threads, buffer)


ARMS = peer_arms(
    "spdl",
    _open,
    files_of_pack,
    SETTINGS,
    package="spdl",
    about="thread pools, a batch made by one thread, from a pack",
)
