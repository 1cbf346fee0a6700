"""Reads that write into what the dataset holds, however small it is and wherever it lies."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image, ImageDraw
from torch.utils.data import ConcatDataset, Dataset, Subset

from tests.test_doctor_integrity import InPlace, marked_in
from tests.test_doctor_kept import found_in

COUNT = 40


class Boxes(Dataset[Any]):
    """Healthy: scales a copy."""

    def __init__(self) -> None:
        rng = np.random.default_rng(0)
        self.boxes = rng.random((COUNT, 4), np.float32)
        self.records = [{"boxes": rng.random((2, 2)), "label": one, "size": [32.0, 48.0, 3.0]}
                        for one in range(COUNT)]  # fmt: skip
        self.pixels = rng.random((COUNT, 32))

    def __len__(self) -> int:
        return COUNT

    def target(self, index: int) -> Any:
        return self.boxes[index] * 1.5

    def __getitem__(self, index: int) -> Any:
        return torch.from_numpy(self.pixels[index] * random.random()), self.target(index)


class OfRecord(Boxes):
    """Drawn anew each time."""

    def target(self, index: int) -> Any:
        record = self.records[index]
        record["boxes"] *= 0.5 + random.random()  # of a record
        return {"boxes": record["boxes"].astype(np.float32), "label": record["label"]}


class OfRow(Boxes):
    def target(self, index: int) -> Any:
        boxes = self.boxes[index]
        boxes *= 1.01  # of a row
        return torch.from_numpy(boxes.copy())


class Told(Boxes):
    """The sample does not have the numbers themselves, and nothing is drawn."""

    def __getitem__(self, index: int) -> Any:
        size = self.records[index]["size"]
        size[0] *= 2.0  # told
        return torch.from_numpy(self.pixels[index] / size[0])


@dataclass
class Note:
    corners: list[float]


class ByName(Boxes):
    """Notes are found by a name."""

    def __init__(self) -> None:
        super().__init__()
        self.names = [f"{number:03}" for number in range(COUNT)]
        self.notes = {name: [Note([1.0, 2.0, 4.0])] for name in self.names}

    def target(self, index: int) -> Any:
        (note,) = self.notes[self.names[index]]
        for at in range(3):
            note.corners[at] += 0.5  # by name
        return torch.tensor(note.corners)


class Drawn(Boxes):
    def __init__(self) -> None:
        super().__init__()
        self.pictures = [Image.new("L", (16, 16)) for _ in range(COUNT)]

    def target(self, index: int) -> Any:
        at = random.randrange(256)
        ImageDraw.Draw(self.pictures[index]).point((at % 16, at // 16), 255)  # drawn
        return np.asarray(self.pictures[index]).copy()


class Wraps:
    """No dataset by its class, and by an order of its own."""

    def __init__(self, inner: Any) -> None:
        self.inner = inner

    def __len__(self) -> int:
        return 10

    def __getitem__(self, index: int) -> Any:
        return self.inner[COUNT - 1 - 2 * index]


@pytest.mark.parametrize(
    ("made", "path", "mark"),
    [
        (OfRecord, "dataset.records['boxes']", "of a record"),
        (OfRow, "dataset.boxes", "of a row"),
        (Told, "dataset.records['size']", "told"),
        (ByName, "dataset.notes[0].corners", "by name"),
        (Drawn, "dataset.pictures", "drawn"),
        (lambda: Subset(OfRecord(), range(3, 20)), "dataset.dataset.records['boxes']",
         "of a record"),
        (lambda: ConcatDataset([Boxes(), Subset(OfRow(), range(3, 30))]),
         "dataset.datasets[1].dataset.boxes", "of a row"),
        (lambda: Subset(InPlace(), range(3, 20)), "dataset.dataset.rows", ""),
        (lambda: Wraps(OfRow()), "dataset.inner.boxes", "of a row"),
    ],
)  # fmt: skip
def test_what_reads_change_is_named(made: Callable[[], Any], path: str, mark: str) -> None:
    first = found_in(made())[0]
    assert first.name == "rewritten" and f"its row of {path}, where it lies" in first.evidence
    assert not mark or first.places == marked_in(__file__, mark)
    assert ("deepcopy" in first.lines) == path.endswith("']")


class Counts(Boxes):
    """How often, when, and how long: nothing that a sample is made of."""

    def __init__(self) -> None:
        super().__init__()
        self.seen = np.zeros(COUNT)
        self.measured = np.zeros((COUNT, 4))
        self.latest: dict[int, Any] = {}

    def target(self, index: int) -> Any:
        self.seen[index] += 1
        self.measured[index] += [1, 0.5, 3, index]
        self.records[index]["read"] = self.records[index].get("read", 0) + 1
        self.latest[index] = torch.rand(32)
        return super().target(index)


class Filled(Boxes):
    """What is missing is computed once."""

    def target(self, index: int) -> Any:
        record = self.records[index]
        if "area" not in record:
            record["area"] = np.prod(record["boxes"], axis=0)
        return record["area"].copy()


@pytest.mark.parametrize(
    "made",
    [
        Boxes,
        Counts,
        Filled,
        lambda: Subset(Counts(), range(3, 20)),
        lambda: ConcatDataset([Boxes(), Filled()]),
    ],
)
def test_what_is_copied_or_counted_is_left_in_peace(made: Callable[[], Any]) -> None:
    assert [one.name for one in found_in(made())] == []
