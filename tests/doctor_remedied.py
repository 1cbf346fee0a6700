"""Loaders that one remedy mends each: the setting, or the function, that a colleague would name.

Each takes a folder, as the factories of `doctor_again` do.
"""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import torch
from torch.utils.data import DataLoader, TensorDataset

from tests.doctor_again import Frames, things

COUNT = 40
EACH = 0.3  # seconds that a worker prepares


class Large(Frames):
    """Every fifth sample takes forty times as long: the batches behind it wait for it."""

    def __getitem__(self, index: int) -> torch.Tensor:
        time.sleep(0.02 if index % 5 == 3 else 0.0005)
        return torch.from_numpy(self.rows[index])


class Annotated(Frames):
    """Each worker reads the notes before its first sample, in every epoch anew."""

    notes: dict[int, int] | None = None

    def __getitem__(self, index: int) -> Any:
        if self.notes is None:
            time.sleep(EACH)
            self.notes = {number: number for number in range(self.count)}
        return torch.from_numpy(self.rows[self.notes[index]])


def large(folder: Path) -> DataLoader[Any]:
    return DataLoader(Large(folder), batch_size=4, num_workers=2)


def annotated(folder: Path) -> DataLoader[Any]:
    return DataLoader(Annotated(folder), batch_size=8, num_workers=2)


def imported(folder: Path) -> DataLoader[Any]:
    """Workers that are not forked import all that there is, for an epoch of a moment; PyTorch alone
    here, since each of them takes seconds over that."""
    data = TensorDataset(torch.zeros(COUNT, 16))
    return DataLoader(data, batch_size=8, num_workers=1, multiprocessing_context="spawn")


def objects(folder: Path) -> DataLoader[Any]:
    """Batches are lists of objects that hold tensors."""
    return things(folder)
