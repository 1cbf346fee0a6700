"""LitData 0.2: chunks of its own format, its own DataLoader.

Shuffling mixes chunks and the images within each, so the order is local; easier work than a true
shuffle. From an object store it fetches chunks ahead into a folder.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from datasets_impl.contest.model import BATCH_SIZE, Task
from datasets_impl.contest.peers.made import made_once
from datasets_impl.contest.peers.work import Collate, Work, kind_of, packed, peer_arms, work_of
from datasets_impl.contest.remote import remote_arm, shard_images
from datasets_impl.experiments.loops import cores
from datasets_impl.loading import ending_workers
from datasets_impl.media.object_store import StoreAddress, in_environment
from datasets_impl.media.workspaces import temporary_folder

SETTINGS: tuple[dict[str, Any], ...] = tuple(
    {"num_workers": count} for count in sorted({0, 1, cores(), 2 * cores()})
)
CHUNK_BYTES = "64MB"  # what its documentation uses


def _chunks(root: Path, task: Task) -> Path:
    kind = kind_of(task)
    images = packed(root, task)
    size: dict[str, Any] = {"chunk_bytes": CHUNK_BYTES}
    if task == "remote":
        size = {"chunk_size": shard_images(len(images))}

    def write(folder: Path) -> None:
        from litdata.streaming.writer import BinaryWriter

        out = folder / "chunks"
        out.mkdir()
        writer = BinaryWriter(str(out), **size)
        for index in range(len(images)):
            writer[index] = {"image": bytes(images.read(index))}
        writer.done()
        writer.merge(1)

    return made_once(root, f"litdata-{task if task == 'remote' else kind}", write) / "chunks"


@contextmanager
def _open(root: Path, task: Task, num_workers: int, **boxes: Any) -> Iterator[Any]:
    from litdata import StreamingDataset

    work = work_of(task, packed(root, task), **boxes)
    images = StreamingDataset(str(_chunks(root, task)), shuffle=True, drop_last=False)
    yield from _batches(images, work, num_workers)


@contextmanager
def _open_remote(address: StoreAddress, cache_bytes: int, num_workers: int) -> Iterator[Any]:
    from litdata import StreamingDataset
    from litdata.streaming import downloader

    # Its client has options of its own, which refuse a store without TLS.
    getattr(downloader, "_OBSTORE_CLIENT_OPTIONS", {})["allow_http"] = True
    with in_environment(address), temporary_folder() as cache:
        images = StreamingDataset(
            address.url,
            cache_dir=str(cache),
            max_cache_size=cache_bytes,
            shuffle=True,
            drop_last=False,
        )
        yield from _batches(images, Work("decode"), num_workers)


def _batches(images: Any, work: Work, num_workers: int) -> Iterator[Any]:
    from litdata import StreamingDataLoader

    loader = StreamingDataLoader(
        images,
        batch_size=BATCH_SIZE,
        num_workers=num_workers,
        persistent_workers=num_workers > 0,
        collate_fn=Collate(work),
    )
    with ending_workers(loader):
        yield loader


def _files(root: Path, task: Task) -> list[Path]:
    return sorted(_chunks(root, task).glob("*.bin"))


def _served(root: Path) -> Path:
    return _chunks(root, "remote")


ORDER = "chunks shuffled, then images within a chunk"
ARMS = (
    *peer_arms(
        "litdata",
        _open,
        _files,
        SETTINGS,
        order=ORDER,
        package="litdata",
        about="its own chunks and DataLoader",
    ),
    remote_arm(
        "litdata",
        "peer",
        _open_remote,
        _served,
        {"num_workers": 2 * cores()},
        order=ORDER,
        package="litdata",
        about="its own chunks, fetched ahead by its DataLoader's workers",
    ),
)
