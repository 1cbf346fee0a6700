"""WebDataset 1.0: tar shards read in sequence, workers of its own DataLoader.

Shards come in random order and images through a buffer, so the order is a local shuffle; easier
work than a true one. Reads the shards of this project's tar format.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from datasets_impl.contest.model import BATCH_SIZE, Task
from datasets_impl.contest.peers.work import collated, kind_of, peer_arms, work_of
from datasets_impl.experiments.loops import cores
from datasets_impl.formats import ensure_stored
from datasets_impl.loading import ending_workers

BUFFER = 1000  # images in the shuffle buffer, the example in its documentation
SETTINGS: tuple[dict[str, Any], ...] = tuple(
    {"num_workers": count} for count in sorted({0, 1, cores(), 2 * cores()})
)


@contextmanager
def _open(root: Path, task: Task, num_workers: int, **boxes: Any) -> Iterator[Any]:
    import webdataset

    stored = ensure_stored(root, kind_of(task), "tar")
    shards = [str(path) for path in stored.files]
    work, suffix = work_of(task, stored, **boxes), "bin" if task == "raw" else "jpg"
    images = webdataset.WebDataset(
        shards,
        shardshuffle=len(shards),
        workersplitter=webdataset.split_by_worker,
        empty_check=False,
    )
    batches = (
        images.shuffle(BUFFER)
        .to_tuple(suffix)
        .map_tuple(work)
        .map(_only)
        .batched(BATCH_SIZE, collation_fn=collated)
    )
    loader = webdataset.WebLoader(
        batches, batch_size=None, num_workers=num_workers, persistent_workers=num_workers > 0
    )
    with ending_workers(loader):
        yield loader


def _only(sample: tuple[Any]) -> Any:
    return sample[0]


def _files(root: Path, task: Task) -> list[Path]:
    return ensure_stored(root, kind_of(task), "tar").files


ARMS = peer_arms(
    "webdataset",
    _open,
    _files,
    SETTINGS,
    order=f"shards shuffled, then a buffer of {BUFFER:,} images",
    package="webdataset",
    about="tar shards read in sequence by worker processes",
)
