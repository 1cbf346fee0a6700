"""Datasets whose workers pickle batches, share files or have nothing to do."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch.utils.data import IterableDataset, get_worker_info

from tests.doctor_again import Frames


def of_arrays(samples: list[Any]) -> Any:
    return np.stack([one.numpy() for one in samples]), [1.5] * 20


def of_lists(samples: list[Any]) -> Any:
    return [one.reshape(-1).tolist() for one in samples]


class Rows(Frames):
    def __getitem__(self, index: int) -> torch.Tensor:
        return torch.from_numpy(self.rows[index])


class Shards(IterableDataset[Any]):
    """Each worker takes whole shards."""

    def __init__(self, shards: int) -> None:
        self.shards = [np.full((40, 8), number) for number in range(shards)]

    def __iter__(self) -> Any:
        info = get_worker_info()
        for shard in self.shards[info.id :: info.num_workers] if info else self.shards:
            yield from torch.from_numpy(shard)


class Records(Frames):
    """Opens its file when the first sample is read, as it should."""

    def prepare(self) -> None:
        (self.folder / "rows.raw").write_bytes(self.rows.tobytes())
        self.file: Any = None

    def __getitem__(self, index: int) -> torch.Tensor:
        if self.file is None:
            self.file = (self.folder / "rows.raw").open("rb")
        self.file.seek(index * self.rows[0].nbytes)
        held = self.file.read(self.rows[0].nbytes)
        return torch.frombuffer(bytearray(held), dtype=torch.float32)


class Doubles(Frames):
    def __getitem__(self, index: int) -> torch.Tensor:
        return torch.from_numpy(self.rows[index] / 255.0 + np.zeros(1))


class SetsThreads(Frames):
    """Tells PyTorch of four threads, as each worker does at its first sample."""

    ready = False

    def __getitem__(self, index: int) -> torch.Tensor:
        if not self.ready:
            torch.set_num_threads(4)  # the costly line
            self.ready = True
        return torch.tensor(torch.get_num_threads())


class SetsThreadsBefore(Frames):
    """In its constructor, which changes nothing of workers: each begins with one."""

    def prepare(self) -> None:
        torch.set_num_threads(4)

    def __getitem__(self, index: int) -> torch.Tensor:
        return torch.tensor(torch.get_num_threads())
