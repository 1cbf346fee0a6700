"""LitData 0.2: chunks of its own format, its own DataLoader.

Shuffling mixes chunks and the images within each, so the order is local; easier work than a true
shuffle.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from datasets_impl.contest.model import BATCH_SIZE, Task
from datasets_impl.contest.peers.made import made_once
from datasets_impl.contest.peers.work import Work, kind_of, peer_arms
from datasets_impl.experiments.loops import cores
from datasets_impl.formats import ensure_stored
from datasets_impl.loading import ending_workers

SETTINGS: tuple[dict[str, Any], ...] = tuple(
    {"num_workers": count} for count in sorted({0, 1, cores(), 2 * cores()})
)
CHUNK_BYTES = "64MB"  # what its documentation uses


def _chunks(root: Path, task: Task) -> Path:
    images = ensure_stored(root, kind_of(task), "pack")

    def write(folder: Path) -> None:
        from litdata.streaming.writer import BinaryWriter

        out = folder / "chunks"
        out.mkdir()
        writer = BinaryWriter(str(out), chunk_bytes=CHUNK_BYTES)
        for index in range(len(images)):
            writer[index] = {"image": bytes(images.read(index))}
        writer.done()
        writer.merge(1)

    return made_once(root, f"litdata-{kind_of(task)}", write) / "chunks"


class _Collate:
    def __init__(self, work: Work) -> None:
        self.work = work

    def __call__(self, samples: list[dict[str, bytes]]) -> Any:
        return self.work.batch([sample["image"] for sample in samples])


@contextmanager
def _open(root: Path, task: Task, num_workers: int, **boxes: Any) -> Iterator[Any]:
    from litdata import StreamingDataLoader, StreamingDataset

    shape = tuple(ensure_stored(root, kind_of(task), "pack").header.shape)
    images = StreamingDataset(str(_chunks(root, task)), shuffle=True, drop_last=False)
    loader = StreamingDataLoader(
        images,
        batch_size=BATCH_SIZE,
        num_workers=num_workers,
        persistent_workers=num_workers > 0,
        collate_fn=_Collate(Work(task, shape, **boxes)),
    )
    with ending_workers(loader):
        yield loader


def _files(root: Path, task: Task) -> list[Path]:
    return sorted(_chunks(root, task).glob("*.bin"))


ARMS = peer_arms(
    "litdata",
    _open,
    _files,
    SETTINGS,
    order="chunks shuffled, then images within a chunk",
    package="litdata",
    about="its own chunks and DataLoader",
)
