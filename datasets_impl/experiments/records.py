"""A million small records in four structures: what a list of files and labels looks like (C09).

A sample is the same in all four: a tuple of a path (str) and a label (int, 0-999). Construction
makes the records up, so that no file is needed; memory holds them as the class says. `nbytes` is
what the dataset itself takes in one process, bytes.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch
from torch.utils.data import DataLoader, Dataset

from datasets_impl.loading import SHUFFLE_SEED, ending_workers

Record = tuple[str, int]
LABELS = 1000
ALIGNMENT = 16  # CPython hands out small objects in multiples of this on 64-bit platforms
BATCH_SIZE = 8192  # so that item access, not the loader, is what an epoch consists of


def make_record(index: int) -> Record:
    """The path and label of record `index`, the same in every structure."""
    label = index * 7919 % LABELS
    return f"/data/images/train/n{label:08d}/n{label:08d}_{index:08d}.jpg", label


def lines(count: int) -> Iterator[str]:
    """The records as lines of an annotation file: path, space, label."""
    for index in range(count):
        path, label = make_record(index)
        yield f"{path} {label}"


def split(line: str) -> Record:
    path, _, label = line.rpartition(" ")
    return path, int(label)


def object_bytes(thing: object) -> int:
    """Bytes CPython sets aside for one object, without what it refers to."""
    return -(-sys.getsizeof(thing) // ALIGNMENT) * ALIGNMENT


class ListOfStr(Dataset[Record]):
    """A list of lines. Reading one changes its reference count, which lies beside its text."""

    def __init__(self, count: int) -> None:
        self.records = list(lines(count))

    @property
    def nbytes(self) -> int:
        return sys.getsizeof(self.records) + sum(map(object_bytes, self.records))

    def __len__(self) -> int:
        return len(self.records)

    def __getitem__(self, index: int) -> Record:
        return split(self.records[index])


class ListOfTuple(Dataset[Record]):
    """A list of (path, label) tuples: three objects a record, each with its reference count."""

    def __init__(self, count: int) -> None:
        self.records = [make_record(index) for index in range(count)]

    @property
    def nbytes(self) -> int:
        own = sys.getsizeof(self.records) + sum(map(object_bytes, self.records))
        # CPython keeps one object for each integer from -5 to 256; larger labels are objects.
        return own + sum(
            object_bytes(path) + (object_bytes(label) if label > 256 else 0)
            for path, label in self.records
        )

    def __len__(self) -> int:
        return len(self.records)

    def __getitem__(self, index: int) -> Record:
        path, label = self.records[index]  # what a training step does with it: use all of it
        return path, label


class NumpyBytes(Dataset[Record]):
    """One NumPy array of fixed-width bytes, as wide as the longest line."""

    def __init__(self, count: int) -> None:
        width = max((len(line) for line in lines(min(count, LABELS))), default=1)
        encoded = (line.encode() for line in lines(count))
        self.records = np.fromiter(encoded, dtype=f"S{width}", count=count)

    @property
    def nbytes(self) -> int:
        return int(self.records.nbytes)

    def __len__(self) -> int:
        return len(self.records)

    def __getitem__(self, index: int) -> Record:
        return split(self.records[index].decode())


class PackedTensor(Dataset[Record]):
    """All lines end to end in one uint8 tensor, and an int64 tensor of where each begins."""

    def __init__(self, count: int) -> None:
        text = bytearray()
        starts = np.zeros(count + 1, dtype=np.int64)
        for index, line in enumerate(lines(count), start=1):
            text += line.encode()
            starts[index] = len(text)
        self.text = torch.frombuffer(text, dtype=torch.uint8) if text else torch.empty(0).byte()
        self.starts = torch.from_numpy(starts)
        self._views: tuple[Any, Any] | None = None

    def __getstate__(self) -> dict[str, Any]:
        # Tensors travel to a worker as handles of shared memory; arrays over them would be copied.
        return {**self.__dict__, "_views": None}

    @property
    def nbytes(self) -> int:
        return self.text.nbytes + self.starts.nbytes

    def __len__(self) -> int:
        return len(self.starts) - 1

    def __getitem__(self, index: int) -> Record:
        if index >= len(self):
            raise IndexError(index)
        if self._views is None:  # indexing an array costs a tenth of indexing a tensor
            self._views = self.text.numpy(), self.starts.numpy()
        text, starts = self._views
        return split(text[starts[index] : starts[index + 1]].tobytes().decode())


STRUCTURES: dict[str, type[ListOfStr | ListOfTuple | NumpyBytes | PackedTensor]] = {
    "list-str": ListOfStr,
    "list-tuple": ListOfTuple,
    "numpy-bytes": NumpyBytes,
    "packed-tensor": PackedTensor,
}


def count_records(batch: Sequence[Record]) -> int:
    """Collate function that hands over only how many records were read, so transport is free."""
    return len(batch)


@contextmanager
def record_loader(
    dataset: Dataset[Record], num_workers: int, start_method: str
) -> Iterator[DataLoader[Any]]:
    """A shuffling loader whose batches are only counted; its workers are gone after the block."""
    torch.set_num_threads(1)
    made: DataLoader[Any] = DataLoader(
        dataset,
        batch_size=BATCH_SIZE,
        shuffle=True,
        generator=torch.Generator().manual_seed(SHUFFLE_SEED),
        collate_fn=count_records,
        num_workers=num_workers,
        multiprocessing_context=start_method if num_workers else None,
        persistent_workers=num_workers > 0,
    )
    with ending_workers(made):
        yield made
