"""Datasets with one hazard each: wrong samples, what grows, hangs, ends, or cannot start.

Each factory takes the folder that `doctor_gallery.prepare` filled. `HAZARDS` says by which name the
doctor must call what is wrong first.
"""

from __future__ import annotations

import os
import threading
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch.utils.data import DataLoader, Dataset, IterableDataset

from datasets_impl.system.cores import cores
from tests.doctor_gallery import Files, Rows


def workers_for_quick_rows(folder: str) -> DataLoader[Any]:
    workers = min(8, 2 * cores())  # what more of them cost is another finding
    return DataLoader(Rows(folder), batch_size=4, num_workers=workers)


class Mapped(Rows):
    def __init__(self, folder: str) -> None:
        self.data = np.load(Path(folder) / "rows.npy", mmap_mode="r")

    def __getitem__(self, index: int) -> torch.Tensor:
        return torch.from_numpy(self.data[index].copy())


class MappedMore(Mapped):
    """More rows, so that what is sent to a worker is large."""

    def __init__(self, folder: str) -> None:
        path = Path(folder) / "more.npy"
        if not path.exists():
            np.save(path, np.zeros((8000, 64, 64), np.uint8))
        self.data = np.load(path, mmap_mode="r")


def mapped_spawn(folder: str) -> DataLoader[Any]:
    return DataLoader(
        MappedMore(folder), batch_size=32, num_workers=2, multiprocessing_context="spawn"
    )


class ListOfDicts(Dataset[Any]):
    """A sample is of many records, so that few samples touch much memory."""

    def __init__(self, folder: str) -> None:
        self.records: list[dict[str, Any]] = [
            {"path": f"photo-{n}.jpg", "label": n % 10} for n in range(400_000)
        ]

    def __len__(self) -> int:
        return len(self.records)

    def __getitem__(self, index: int) -> int:
        far = [self.records[one] for one in range(index - len(self), index, len(self) // 32)]
        return sum(int(one["label"]) + len(one["path"]) for one in far)


class RandomFlip:
    """As torchvision has one, whose import takes seconds of each process."""

    def __init__(self, p: float = 0.5) -> None:
        self.p = p

    def __call__(self, row: torch.Tensor) -> torch.Tensor:
        return row.flip(-1) if torch.rand(()) < self.p else row


class Frozen(Files):
    """Transforms when it stores."""

    def __init__(self, folder: str) -> None:
        from torchvision.transforms import v2

        super().__init__(folder)
        self.transform = v2.RandomHorizontalFlip()
        self.kept = [self.transform(torch.from_numpy(np.array(self.picture(i))))
                     for i in range(len(self.paths))]  # fmt: skip

    def __getitem__(self, index: int) -> torch.Tensor:
        return self.kept[index].clone()


class SameNoise(Rows):
    def __init__(self, folder: str) -> None:
        super().__init__(folder)
        self.rng = np.random.default_rng(0)

    def __getitem__(self, index: int) -> torch.Tensor:
        return self.data[index] + torch.from_numpy(self.rng.integers(0, 4, (64, 64), np.uint8))


class Doubles(Rows):
    def __getitem__(self, index: int) -> torch.Tensor:
        return self.data[index].double() / 255


class Outlier(Rows):
    def __getitem__(self, index: int) -> torch.Tensor:
        if index == len(self) - 1:
            np.sort(np.random.default_rng(0).random(500_000))
        return super().__getitem__(index)


class WrongLabels(Rows):
    def __init__(self, folder: str) -> None:
        super().__init__(folder)
        self.labels = [0] * (len(self.data) - 1)


class Opened(Dataset[Any]):
    """A file that is open before workers are forked."""

    def __init__(self, folder: str) -> None:
        import h5py

        path = Path(folder) / "opened.h5"
        if not path.exists():
            with h5py.File(path, "w") as file:
                file["rows"] = np.zeros((4000, 64, 64), np.uint8)
        self.file = h5py.File(path, "r")

    def __len__(self) -> int:
        return 4000

    def __getitem__(self, index: int) -> torch.Tensor:
        return torch.from_numpy(self.file["rows"][index])


def opened_before(folder: str) -> DataLoader[Any]:
    return DataLoader(Opened(folder), batch_size=32, num_workers=2)


class Unsorted(Rows):
    """Takes names in the order in which the file system has them."""

    def __init__(self, folder: str) -> None:
        super().__init__(folder)
        self.names = os.listdir(Path(folder) / "jpeg")  # noqa: PTH208


class Lent(Rows):
    """Gives the store's own memory away."""

    def __getitem__(self, index: int) -> torch.Tensor:
        return self.data[index]


class Leaking(Rows):
    """Keeps what it gave."""

    def __init__(self, folder: str) -> None:
        super().__init__(folder)
        self.given: list[Any] = []

    def __getitem__(self, index: int) -> torch.Tensor:
        self.given.append(torch.ones(16, 64, 64, dtype=torch.uint8))
        return super().__getitem__(index)


def spawned_lambda(folder: str) -> DataLoader[Any]:
    made = Rows(folder)
    made.change = lambda row: row  # type: ignore[attr-defined]
    return DataLoader(made, batch_size=32, num_workers=2, multiprocessing_context="spawn")


class HangsLater(Rows):
    """At one of the samples that are looked at."""

    def __getitem__(self, index: int) -> torch.Tensor:
        if index == len(self) - 1:
            threading.Event().wait()
        return super().__getitem__(index)


class EndsProcess(Rows):
    def __getitem__(self, index: int) -> torch.Tensor:
        if index == 0:
            os._exit(3)
        return super().__getitem__(index)


class Exits(Rows):
    """What a library for command lines does where it has no better idea."""

    def __getitem__(self, index: int) -> torch.Tensor:
        if index == 0:
            raise SystemExit("no such file")
        return super().__getitem__(index)


class OtherMode(Rows):
    """Has a random transform for training and is used for validation."""

    def __init__(self, folder: str) -> None:
        super().__init__(folder)
        self.train_transform, self.training = RandomFlip(), False

    def __getitem__(self, index: int) -> Any:
        row = self.data[index].clone()
        return self.train_transform(row) if self.training else row


class FrozenByCache(OtherMode):
    """Keeps what the transform gave the first time."""

    def __init__(self, folder: str) -> None:
        super().__init__(folder)
        self.cache: dict[int, torch.Tensor] = {}

    def __getitem__(self, index: int) -> Any:
        if index not in self.cache:
            self.cache[index] = self.train_transform(self.data[index].clone())
        return self.cache[index].clone()


class NotShared(IterableDataset[Any]):
    """Every worker gives everything."""

    def __init__(self, folder: str) -> None:
        self.data = Rows(folder).data[:400]

    def __iter__(self) -> Any:
        yield from self.data.clone()


def not_shared(folder: str) -> DataLoader[Any]:
    return DataLoader(NotShared(folder), batch_size=32, num_workers=2)


HAZARDS = {
    "workers_for_quick_rows": "workers-cost",
    "mapped_spawn": "large-pickle",
    "ListOfDicts": "grows",
    "Frozen": "frozen",
    "SameNoise": "same-in-workers",
    "Doubles": "float64",
    "Outlier": "outlier",
    "WrongLabels": "lengths",
    "opened_before": "handles",
    "Unsorted": "unsorted",
    "Lent": "shared",
    "Leaking": "leaks",
    "spawned_lambda": "cannot-start",
    "HangsLater": "stuck",
    "EndsProcess": "stuck",
    "Exits": "broken-sample",
    "FrozenByCache": "frozen",
    "not_shared": "all-from-each",
}
