"""Hugging Face `datasets` 5.2: Arrow files, mapped; whole batches through a DataLoader.

A transform makes the batch from the bytes, the way its documentation speeds up batched access.
Reads the files of this project's Arrow format; from an object store as a stream.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import torch
from torch.utils.data import BatchSampler, DataLoader

from datasets_impl.contest.model import BATCH_SIZE, Task
from datasets_impl.contest.peers.work import Collate, Work, kind_of, peer_arms, work_of
from datasets_impl.contest.remote import in_parts, remote_arm
from datasets_impl.experiments.loops import cores
from datasets_impl.formats import ensure_stored
from datasets_impl.formats.arrow import COLUMN
from datasets_impl.loaders.order import ShardedShuffle
from datasets_impl.loading import ending_workers
from datasets_impl.media.object_store import StoreAddress
from datasets_impl.variants.whole_batches import as_it_comes

BUFFER = 1000  # images in the buffer of a stream's shuffle, its default
SETTINGS: tuple[dict[str, Any], ...] = tuple(
    {"num_workers": count} for count in sorted({0, 1, cores(), 2 * cores()})
)


def _transform(columns: dict[str, list[bytes]], work: Work) -> dict[str, torch.Tensor]:
    return {COLUMN: work.batch(columns[COLUMN])}


class _Batches:
    """Without the dictionary around each batch."""

    def __init__(self, loader: Any) -> None:
        self.loader = loader

    def __iter__(self) -> Iterator[torch.Tensor]:
        for batch in self.loader:
            yield batch[COLUMN]


@contextmanager
def _open(root: Path, task: Task, num_workers: int, **boxes: Any) -> Iterator[_Batches]:
    import datasets

    stored = ensure_stored(root, kind_of(task), "arrow")
    parts = [datasets.Dataset.from_file(str(path)) for path in stored.files]
    whole = datasets.concatenate_datasets(parts).with_transform(
        partial(_transform, work=work_of(task, stored, **boxes))
    )
    order = BatchSampler(ShardedShuffle(len(stored)), BATCH_SIZE, drop_last=False)
    loader: DataLoader[Any] = DataLoader(
        whole,
        batch_size=None,
        sampler=order,
        num_workers=num_workers,
        persistent_workers=num_workers > 0,
        multiprocessing_context="fork" if num_workers else None,
        collate_fn=as_it_comes,
    )
    with ending_workers(loader):
        yield _Batches(loader)


class _Stream:
    """Batches of a stream, each epoch in another order."""

    def __init__(self, loader: Any, images: Any) -> None:
        self.loader, self.images = loader, images
        self.epoch = 0

    def __iter__(self) -> Iterator[torch.Tensor]:
        self.images.set_epoch(self.epoch)
        self.epoch += 1
        yield from self.loader


@contextmanager
def _open_remote(address: StoreAddress, cache_bytes: int, num_workers: int) -> Iterator[_Stream]:
    """Nothing is kept: it reads files as they come."""
    import datasets

    parts = [f"{address.url}/{key}" for key in address.keys if key.endswith(".arrow")]
    images = datasets.load_dataset(
        "arrow",
        data_files={"train": parts},
        split="train",
        streaming=True,
        storage_options=address.options,
    ).shuffle(seed=0, buffer_size=BUFFER)
    loader: DataLoader[Any] = DataLoader(
        images,
        BATCH_SIZE,
        num_workers=num_workers,
        persistent_workers=num_workers > 0,
        multiprocessing_context="fork" if num_workers else None,
        collate_fn=Collate(Work("decode"), COLUMN),
    )
    with ending_workers(loader):
        yield _Stream(loader, images)


def _files(root: Path, task: Task) -> list[Path]:
    return ensure_stored(root, kind_of(task), "arrow").files


ARMS = (
    *peer_arms(
        "huggingface",
        _open,
        _files,
        SETTINGS,
        package="datasets",
        about="mapped Arrow files, whole batches through a DataLoader",
    ),
    remote_arm(
        "huggingface",
        "peer",
        _open_remote,
        partial(in_parts, form="arrow"),
        {"num_workers": 2 * cores()},
        order=f"files shuffled, then a buffer of {BUFFER:,} images",
        package="datasets",
        about="Arrow files as a stream, through s3fs in the workers of a DataLoader",
    ),
)
