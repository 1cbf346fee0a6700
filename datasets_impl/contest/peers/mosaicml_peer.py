"""MosaicML Streaming 0.13: MDS shards, an iterable dataset in a DataLoader.

Its default shuffle (py1e) mixes images within a window of shards, which is wider than these sets.
From an object store it fetches shards ahead into a folder.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from torch.utils.data import DataLoader

from datasets_impl.contest.model import BATCH_SIZE, Task
from datasets_impl.contest.peers.made import made_once
from datasets_impl.contest.peers.work import Collate, Work, kind_of, packed, peer_arms, work_of
from datasets_impl.contest.remote import SHARDS, remote_arm
from datasets_impl.experiments.loops import cores
from datasets_impl.loading import ending_workers
from datasets_impl.media.object_store import StoreAddress, in_environment
from datasets_impl.media.workspaces import temporary_folder

SETTINGS: tuple[dict[str, Any], ...] = tuple(
    {"num_workers": count} for count in sorted({0, 1, cores(), 2 * cores()})
)


def _shards(root: Path, task: Task) -> Path:
    kind = kind_of(task)
    images = packed(root, task)
    size: dict[str, Any] = {}
    if task == "remote":
        size = {"size_limit": int(images.index["length"].sum()) // SHARDS}

    def write(folder: Path) -> None:
        from streaming import MDSWriter

        out = folder / "shards"
        with MDSWriter(
            out=str(out), columns={"image": "bytes"}, progress_bar=False, **size
        ) as writer:
            for index in range(len(images)):
                writer.write({"image": bytes(images.read(index))})

    return made_once(root, f"mds-{task if task == 'remote' else kind}", write) / "shards"


@contextmanager
def _temporary_files() -> Iterator[None]:
    """Lock files, of which the library leaves two behind, go with a folder of their own."""
    before = tempfile.tempdir
    with tempfile.TemporaryDirectory() as folder:
        tempfile.tempdir = folder
        try:
            yield
        finally:
            tempfile.tempdir = before


@contextmanager
def _open(root: Path, task: Task, num_workers: int, **boxes: Any) -> Iterator[Any]:
    from streaming import StreamingDataset
    from streaming.base.util import clean_stale_shared_memory

    clean_stale_shared_memory()
    work = work_of(task, packed(root, task), **boxes)
    shards = str(_shards(root, task))
    with _temporary_files():
        images = StreamingDataset(
            local=shards, shuffle=True, batch_size=BATCH_SIZE, replication=None
        )
        yield from _batches(images, work, num_workers)


@contextmanager
def _open_remote(address: StoreAddress, cache_bytes: int, num_workers: int) -> Iterator[Any]:
    """Its window is wider than the set: a smaller cache would fetch each shard many times."""
    from streaming import StreamingDataset
    from streaming.base.util import clean_stale_shared_memory

    clean_stale_shared_memory()
    with in_environment(address), temporary_folder() as cache, _temporary_files():
        images = StreamingDataset(
            remote=address.url,
            local=str(cache / "shards"),
            shuffle=True,
            batch_size=BATCH_SIZE,
            replication=None,
        )
        for stream in images.streams:  # or forked workers share its connection, and get each
            stream._downloader.clean_up()  # other's answers
        yield from _batches(images, Work("decode"), num_workers)


def _batches(images: Any, work: Work, num_workers: int) -> Iterator[Any]:
    loader: DataLoader[Any] = DataLoader(
        images,
        BATCH_SIZE,
        num_workers=num_workers,
        persistent_workers=num_workers > 0,
        multiprocessing_context="fork" if num_workers else None,
        collate_fn=Collate(work),
    )
    with ending_workers(loader):
        yield loader


def _files(root: Path, task: Task) -> list[Path]:
    return sorted(_shards(root, task).glob("*.mds"))


def _served(root: Path) -> Path:
    return _shards(root, "remote")


ORDER = "shuffled within a window of shards (py1e)"
ARMS = (
    *peer_arms(
        "mosaicml",
        _open,
        _files,
        SETTINGS,
        order=ORDER,
        package="streaming",
        about="MDS shards through a DataLoader",
    ),
    remote_arm(
        "mosaicml",
        "peer",
        _open_remote,
        _served,
        {"num_workers": 2 * cores()},
        order=ORDER,
        package="streaming",
        about="MDS shards, fetched ahead for the workers of a DataLoader, and all kept",
    ),
)
