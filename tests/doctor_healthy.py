"""Datasets in which the doctor must find nothing, whatever they look like."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch.utils.data import (
    ConcatDataset,
    DataLoader,
    Dataset,
    DistributedSampler,
    Sampler,
    Subset,
    SubsetRandomSampler,
    get_worker_info,
)

from tests.doctor_gallery import Rows
from tests.doctor_hazards import Lent, NotShared, RandomFlip, SameNoise


class Healthy(Rows):
    pass


class HealthyTuples(Rows):
    def __getitem__(self, index: int) -> Any:
        return {"image": self.data[index].clone(), "label": index % 10}


class HealthyBatches(Rows):
    def __getitems__(self, indices: list[int]) -> torch.Tensor:
        return self.data[torch.as_tensor(indices)]


def healthy_loader(folder: str) -> DataLoader[Any]:
    return DataLoader(Rows(folder), batch_size=64, shuffle=True)


def batches_of_lent(folder: str) -> DataLoader[Any]:
    """Batches are copies, whatever samples are."""
    return DataLoader(Lent(folder), batch_size=32)


def distributed(folder: str) -> DataLoader[Any]:
    made = Rows(folder)
    return DataLoader(made, batch_size=32, sampler=DistributedSampler(made, num_replicas=2, rank=0))


class Labelled(Rows):
    def __init__(self, folder: str) -> None:
        super().__init__(folder)
        self.targets = torch.zeros(len(self.data))
        self.label_names = ["cat", "dog"]
        self.labels_by_group = ["a", "b", "c"]


def subset(folder: str) -> Dataset[Any]:
    return Subset(Labelled(folder), range(0, 4000, 3))


def concatenated(folder: str) -> Dataset[Any]:
    return ConcatDataset([Labelled(folder), Labelled(folder)])


class Seldom(Rows):
    """Changes one sample in thirty: the first reads of a few are all equal."""

    def __init__(self, folder: str) -> None:
        super().__init__(folder)
        self.transform = self.change

    def change(self, row: torch.Tensor) -> torch.Tensor:
        return row.flip(0) if torch.rand(()) < 1 / 30 else row

    def __getitem__(self, index: int) -> Any:
        return self.transform(self.data[index].clone())


class ByEpoch(Rows):
    """Draws anew in each epoch, and the same again in that."""

    def __init__(self, folder: str) -> None:
        super().__init__(folder)
        self.epoch = 0
        self.transform = self.change

    def set_epoch(self, epoch: int) -> None:
        self.epoch = epoch

    def change(self, row: torch.Tensor, index: int) -> torch.Tensor:
        drawn = torch.Generator().manual_seed(self.epoch * 10_000 + index)
        return row.roll(int(torch.randint(1, 60, (), generator=drawn)))

    def __getitem__(self, index: int) -> Any:
        return self.transform(self.data[index].clone(), index)


class OwnGenerator(Rows):
    """Made in each worker, when its first sample is read, as it should be."""

    rng: Any = None

    def __getitem__(self, index: int) -> Any:
        if self.rng is None:
            self.rng = np.random.default_rng(torch.initial_seed() % 2**32)
        return self.data[index] + torch.from_numpy(self.rng.integers(0, 4, (64, 64), np.uint8))


def generators(folder: str) -> DataLoader[Any]:
    return DataLoader(OwnGenerator(folder), batch_size=32, num_workers=2)


class PartOfLabels(Rows):
    """Goes over a part of its rows and labels, by indices."""

    def __init__(self, folder: str) -> None:
        super().__init__(folder)
        self.labels = [0] * len(self.data)
        self.target_size, self.label_weights = (64, 64), torch.ones(2)
        self.indices = list(range(0, 3999))

    def __len__(self) -> int:
        return len(self.indices)


class Keyed(Rows):
    """Read by names, which its loader's sampler gives."""

    def __getitem__(self, key: Any) -> Any:
        return self.data[int(key.removeprefix("row-"))].clone()


def keyed(folder: str) -> DataLoader[Any]:
    return DataLoader(Keyed(folder), batch_size=32, sampler=[f"row-{n}" for n in range(500)])


class Third(Rows):
    """Has only every third sample, which is what its loader asks for."""

    def __getitem__(self, index: int) -> Any:
        if index % 3:
            raise KeyError(index)
        return self.data[index].clone()


def third(folder: str) -> DataLoader[Any]:
    return DataLoader(Third(folder), batch_size=8, sampler=SubsetRandomSampler(range(0, 4000, 3)))


class ByPairs(Rows):
    def __getitem__(self, pair: Any) -> Any:
        index, size = pair
        return self.data[index, :size].clone()


class Pairs(Sampler[list[Any]]):
    def __iter__(self) -> Any:
        yield from ([(32 * batch + n, 16) for n in range(32)] for batch in range(100))

    def __len__(self) -> int:
        return 100


def pairs(folder: str) -> DataLoader[Any]:
    return DataLoader(ByPairs(folder), batch_sampler=Pairs())


class Logging(Rows):
    """Writes to a file, which is not read."""

    def __init__(self, folder: str) -> None:
        super().__init__(folder)
        self.log = (Path(folder) / "log.txt").open("a")


def logging(folder: str) -> DataLoader[Any]:
    return DataLoader(Logging(folder), batch_size=32, num_workers=2)


class SharedOut(NotShared):
    def __iter__(self) -> Any:
        info = get_worker_info()
        yield from self.data[info.id :: info.num_workers].clone() if info else self.data.clone()


def shared_out(folder: str) -> DataLoader[Any]:
    return DataLoader(SharedOut(folder), batch_size=32, num_workers=2)


def seeded(worker: int) -> None:
    info: Any = get_worker_info()
    info.dataset.rng = np.random.default_rng(torch.initial_seed() % 2**32)


def seeded_workers(folder: str) -> DataLoader[Any]:
    """What the doctor itself advises where workers draw the same."""
    return DataLoader(SameNoise(folder), batch_size=32, num_workers=2, worker_init_fn=seeded)


class OpenedInWorkers(Rows):
    def __init__(self, folder: str) -> None:
        super().__init__(folder)
        self.opened: Any = None

    def __getitem__(self, index: int) -> Any:
        return self.opened[index].clone()


def opening(worker: int) -> None:
    info: Any = get_worker_info()
    info.dataset.opened = info.dataset.data


def opened_in_workers(folder: str) -> DataLoader[Any]:
    return DataLoader(OpenedInWorkers(folder), batch_size=32, num_workers=2, worker_init_fn=opening)


class SwitchedOff(Rows):
    def __init__(self, folder: str) -> None:
        super().__init__(folder)
        self.transform = RandomFlip(p=0.0)

    def __getitem__(self, index: int) -> Any:
        return self.transform(self.data[index].clone())


HEALTHY = (
    "Healthy", "HealthyTuples", "HealthyBatches", "healthy_loader", "batches_of_lent",
    "distributed", "subset", "concatenated", "Seldom", "ByEpoch",
    "OtherMode", "generators", "PartOfLabels", "keyed", "third", "pairs", "logging",
    "seeded_workers", "SwitchedOff", "shared_out",
)  # fmt: skip
