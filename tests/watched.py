"""Loops that tests watch."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch
from torch.utils.data import DataLoader, TensorDataset

from datasets_impl.doctor.loop import held
from datasets_impl.doctor.loop.seen import Loop
from datasets_impl.doctor.loop.told import read

STEPS = 3 * held.APART + 5


def numbers(count: int = STEPS) -> DataLoader[Any]:
    return DataLoader(TensorDataset(torch.arange(2 * count)), batch_size=2)


def loop_in(path: Path) -> Loop:
    return read(path).loops[0]


class Waiting:
    """Batches that come late: `seconds` each, while nothing else runs."""

    def __init__(self, seconds: float) -> None:
        self.seconds = seconds

    def __iter__(self) -> Iterator[int]:
        for batch in range(STEPS):
            time.sleep(self.seconds)
            yield batch
