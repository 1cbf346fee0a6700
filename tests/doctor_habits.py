"""Datasets with a habit that costs time: they draw one number at a time, write, search a list, read
whole row groups. Each takes a folder, and marks the line that is to be named, as in `doctor_again`.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any
from uuid import uuid4

import h5py
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import torch
from torch.utils.data import DataLoader, IterableDataset
from torchvision.transforms import v2

from tests.doctor_again import FRAMES, Frames

LOG = "log.txt"


class Noisy(Frames):
    """Drawn by a generator that the dataset holds."""

    def prepare(self) -> None:
        self.rng = np.random.default_rng(0)

    def __getitem__(self, index: int) -> torch.Tensor:
        noise = self.rng.normal(size=(96, 96))  # the costly line
        return torch.from_numpy(self.rows[index] + noise.astype(np.float32))


class Fresh(Frames):
    """Drawn by a generator that each sample makes."""

    def __getitem__(self, index: int) -> torch.Tensor:
        rng = np.random.RandomState()
        noise = rng.normal(size=(96, 96))  # the costly line
        return torch.from_numpy(self.rows[index] + noise.astype(np.float32))


class Dropped(Frames):
    """One number at a time."""

    def __getitem__(self, index: int) -> torch.Tensor:
        row = self.rows[index, 0].copy()
        for place in range(200):
            if np.random.randint(10) == 0:  # the costly line
                row[place % len(row)] = 0
        return torch.from_numpy(row)


class Logged(Frames):
    """Notes each sample in a file."""

    def __getitem__(self, index: int) -> torch.Tensor:
        with open(self.folder / LOG, "a") as log:  # noqa: PTH123 - as users have it
            log.write(f"{index}\n")  # the costly line
        return torch.from_numpy(self.rows[index])


class KeepsLog(Frames):
    """The same in a file that stays open."""

    def prepare(self) -> None:
        self.log = (self.folder / LOG).open("a")

    def __getitem__(self, index: int) -> torch.Tensor:
        self.log.write(f"{index}\n")
        self.log.flush()  # the costly line
        return torch.from_numpy(self.rows[index])


class ReadsItsOwn(Frames):
    """Reads what it has written: that cannot be left out."""

    def __getitem__(self, index: int) -> torch.Tensor:
        place = self.folder / f"{uuid4().hex}.npy"
        np.save(place, self.rows[index])  # the costly line
        made = np.load(place)
        place.unlink()
        return torch.from_numpy(made)


class Split(Frames):
    """Asks a list whether a sample is one of those to train with."""

    def prepare(self) -> None:
        self.train = [f"photo-{number}" for number in range(20_000)]

    def __getitem__(self, index: int) -> torch.Tensor:
        chosen = f"photo-{19_000 + index}" in self.train  # the costly line
        return torch.from_numpy(self.rows[index] * chosen)


RARE = [f"rare-{number}" for number in range(300)]


class Vocabulary:
    def __init__(self) -> None:
        self.words = tuple(f"word-{number}" for number in range(500))
        self.few = ["a", "b"]


class Cleaned(Frames):
    """Lists of the module, and of an object that the dataset holds."""

    def prepare(self) -> None:
        self.vocabulary = Vocabulary()

    def __getitem__(self, index: int) -> torch.Tensor:
        word = f"word-{index}"
        kept = word not in RARE and "a" in self.vocabulary.few
        return torch.tensor([kept * self.vocabulary.words.index(word)])  # the costly line


class RowGroups(Frames):
    """A row a sample, of a Parquet file that is read by groups of 20,000."""

    count = 40_000

    def prepare(self) -> None:
        self.path, self.file = self.folder / "rows.parquet", None
        if not self.path.exists():
            drawn = np.random.default_rng(0).random((4, self.count))
            table = pa.table({f"band_{number}": row for number, row in enumerate(drawn)})
            pq.write_table(table, self.path, row_group_size=20_000)
        self.each = pq.read_metadata(self.path).row_group(0).num_rows

    def __getitem__(self, index: int) -> torch.Tensor:
        if self.file is None:
            self.file: Any = pq.ParquetFile(self.path)
        group, row = divmod(index, self.each)
        table = self.file.read_row_group(group)  # the costly line
        return torch.tensor([column[row].as_py() for column in table.columns])


class FixedGroups(RowGroups):
    """Knows by heart how many rows a group has: it cannot read another file."""

    def prepare(self) -> None:
        super().prepare()
        self.each = 20_000


class OfFile(Frames):
    """An array in a file, which PyTorch reads row by row."""

    def prepare(self) -> None:
        self.file: Any = None
        with h5py.File(self.folder / "maps.h5", "w") as file:
            for number, row in enumerate(self.rows):
                file[str(number)] = row[:48]

    def __getitem__(self, index: int) -> torch.Tensor:
        if self.file is None:
            self.file = h5py.File(self.folder / "maps.h5")
        return torch.tensor(self.file[str(index)])  # the costly line


class OfNumbers(Frames):
    """Outlines as a parser gives them, which PyTorch reads number by number."""

    kind: torch.dtype | None = None

    def prepare(self) -> None:
        self.outlines = self.rows[:, :40, :2].tolist()

    def __getitem__(self, index: int) -> torch.Tensor:
        return torch.tensor(self.outlines[index], dtype=self.kind)  # the costly line


class Buffered(IterableDataset[Any]):
    """Fills a buffer before it gives anything."""

    def __init__(self, folder: Path, buffer_size: int = 400) -> None:
        self.buffer_size, self.filled = buffer_size, list[int]()

    def __iter__(self) -> Any:
        self.filled.append(self.buffer_size)
        yield from torch.zeros(500, 4)


class Caching(Frames):
    """Keeps what it has read, in each worker."""

    def prepare(self) -> None:
        self.kept: dict[int, torch.Tensor] = {}

    def __getitem__(self, index: int) -> torch.Tensor:
        if index not in self.kept:
            self.kept[index] = torch.from_numpy(np.sort(self.rows[index], axis=None))
        return self.kept[index]


def caching(folder: Path) -> DataLoader[Any]:
    return DataLoader(Caching(folder), batch_size=FRAMES // 4, num_workers=2)


class Jittered(Frames):
    """Two pictures a sample, each changed by itself, and a number that is not."""

    def prepare(self) -> None:
        self.change: Any = v2.RandomHorizontalFlip()

    def __getitem__(self, index: int) -> dict[str, torch.Tensor]:
        rows = torch.from_numpy(self.rows[index]).reshape(4, 1, 24, 96)
        return {
            "front": self.change(rows[0]),  # the costly line
            "back": self.change(rows[1]),
            "action": torch.zeros(3),
        }


class Plainly(Jittered):
    """The sample is the picture."""

    def __getitem__(self, index: int) -> Any:
        return self.change(torch.from_numpy(self.rows[index])[None])  # the costly line


class CutAfter(Jittered):
    """A part is taken of what was changed: on a batch it would have to be taken later."""

    def __getitem__(self, index: int) -> Any:
        return self.change(torch.from_numpy(self.rows[index])[None])[:, :50]  # the costly line


def unchanged(made: Jittered, index: int) -> Any:
    """A sample without its transform."""
    own, made.change = made.change, lambda picture: picture
    try:
        return made[index]
    finally:
        made.change = own
