"""MosaicML Streaming 0.13: MDS shards, an iterable dataset in a DataLoader.

Its default shuffle (py1e) mixes images within a window of shards, which is wider than these sets.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from torch.utils.data import DataLoader

from datasets_impl.arms.model import BATCH_SIZE, Task
from datasets_impl.loading import ending_workers
from datasets_impl.loops import cores
from datasets_impl.peers.made import made_once
from datasets_impl.peers.work import Work, kind_of, peer_arms
from datasets_impl.storage.formats import ensure_stored

SETTINGS: tuple[dict[str, Any], ...] = tuple(
    {"num_workers": count} for count in sorted({0, 1, cores(), 2 * cores()})
)


def _shards(root: Path, task: Task) -> Path:
    images = ensure_stored(root, kind_of(task), "pack")

    def write(folder: Path) -> None:
        from streaming import MDSWriter

        out = folder / "shards"
        with MDSWriter(out=str(out), columns={"image": "bytes"}, progress_bar=False) as writer:
            for index in range(len(images)):
                writer.write({"image": bytes(images.read(index))})

    return made_once(root, f"mds-{kind_of(task)}", write) / "shards"


class _Collate:
    def __init__(self, work: Work) -> None:
        self.work = work

    def __call__(self, samples: list[dict[str, bytes]]) -> Any:
        return self.work.batch([sample["image"] for sample in samples])


@contextmanager
def _open(root: Path, task: Task, num_workers: int, **boxes: Any) -> Iterator[Any]:
    from streaming import StreamingDataset
    from streaming.base.util import clean_stale_shared_memory

    clean_stale_shared_memory()
    shape = tuple(ensure_stored(root, kind_of(task), "pack").header.shape)
    images = StreamingDataset(
        local=str(_shards(root, task)), shuffle=True, batch_size=BATCH_SIZE, replication=None
    )
    loader: DataLoader[Any] = DataLoader(
        images,
        BATCH_SIZE,
        num_workers=num_workers,
        persistent_workers=num_workers > 0,
        multiprocessing_context="fork" if num_workers else None,
        collate_fn=_Collate(Work(task, shape, **boxes)),
    )
    with ending_workers(loader):
        yield loader


def _files(root: Path, task: Task) -> list[Path]:
    return sorted(_shards(root, task).glob("*.mds"))


ARMS = peer_arms(
    "mosaicml",
    _open,
    _files,
    SETTINGS,
    order="shuffled within a window of shards (py1e)",
    package="streaming",
    about="MDS shards through a DataLoader",
)
