"""WebDataset 1.0: tar shards read in sequence, workers of its own DataLoader.

Shards come in random order and images through a buffer, so the order is a local shuffle; easier
work than a true one. Reads the shards of this project's tar format; from an object store by curl,
as its documentation has it.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

from datasets_impl.contest.model import BATCH_SIZE, Task
from datasets_impl.contest.peers.work import Work, collated, kind_of, peer_arms, work_of
from datasets_impl.contest.remote import in_parts, remote_arm
from datasets_impl.errors import Unsupported
from datasets_impl.experiments.loops import cores
from datasets_impl.formats import ensure_stored
from datasets_impl.loading import ending_workers
from datasets_impl.media.object_store import StoreAddress

BUFFER = 1000  # images in the shuffle buffer, the example in its documentation
SETTINGS: tuple[dict[str, Any], ...] = tuple(
    {"num_workers": count} for count in sorted({0, 1, cores(), 2 * cores()})
)


@contextmanager
def _open(root: Path, task: Task, num_workers: int, **boxes: Any) -> Iterator[Any]:
    stored = ensure_stored(root, kind_of(task), "tar")
    shards = [str(path) for path in stored.files]
    suffix = "bin" if task == "raw" else "jpg"
    yield from _batches(shards, suffix, work_of(task, stored, **boxes), num_workers)


@contextmanager
def _open_remote(address: StoreAddress, cache_bytes: int, num_workers: int) -> Iterator[Any]:
    """Nothing is kept: it reads shards as they come."""
    if shutil.which("curl") is None:
        raise Unsupported("WebDataset reads from an object store by curl, which is not installed")
    bucket = f"{address.options['endpoint_url']}/{address.url.partition('://')[2]}"
    shards = [f"pipe:curl -s -f {bucket}/{key}" for key in address.keys if key.endswith(".tar")]
    yield from _batches(shards, "jpg", Work("decode"), num_workers)


def _batches(shards: Sequence[str], suffix: str, work: Work, num_workers: int) -> Iterator[Any]:
    import webdataset

    images = webdataset.WebDataset(
        list(shards),
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


ORDER = f"shards shuffled, then a buffer of {BUFFER:,} images"
ARMS = (
    *peer_arms(
        "webdataset",
        _open,
        _files,
        SETTINGS,
        order=ORDER,
        package="webdataset",
        about="tar shards read in sequence by worker processes",
    ),
    remote_arm(
        "webdataset",
        "peer",
        _open_remote,
        partial(in_parts, form="tar"),
        {"num_workers": 2 * cores()},
        order=ORDER,
        package="webdataset",
        about="tar shards through curl, one at a time in each worker process",
    ),
)
