"""Workers are tried on a dataset without the files that only the doctor's reads opened."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from torch.utils.data import Dataset, Subset, default_collate

from datasets_impl.doctor.probes.inside import look_inside
from datasets_impl.doctor.probes.loaders import Part
from datasets_impl.doctor.probes.parts import open_handles
from datasets_impl.doctor.probes.target import Subject
from datasets_impl.doctor.remedies.remedies import worker_for_each_core
from datasets_impl.doctor.remedies.remedy import Context, Inapplicable

SIZE, COUNT = 16, 20


class Opened(Dataset[Any]):
    """Reads rows of a file that is open from the start."""

    def __init__(self, path: Path) -> None:
        path.write_bytes(bytes(SIZE * COUNT))
        self.path = path
        self.open()

    def open(self) -> None:
        self.file: Any = self.path.open("rb")

    def __len__(self) -> int:
        return COUNT

    def __getitem__(self, index: int) -> torch.Tensor:
        self.file.seek(SIZE * index)
        return torch.frombuffer(bytearray(self.file.read(SIZE)), dtype=torch.uint8)


class OnFirstUse(Opened):
    def open(self) -> None:
        self.file = None

    def __getitem__(self, index: int) -> torch.Tensor:
        if self.file is None:
            super().open()
        return super().__getitem__(index)


class WithoutAttribute(Opened):
    def open(self) -> None:
        """Later."""

    def __getitem__(self, index: int) -> torch.Tensor:
        if not hasattr(self, "file"):
            super().open()
        return super().__getitem__(index)


class ByFlag(OnFirstUse):
    """Opened by what says nothing of the file itself."""

    there = False

    def __getitem__(self, index: int) -> torch.Tensor:
        if not self.there:
            Opened.open(self)
            self.there = True
        return Opened.__getitem__(self, index)


def read(dataset: Any) -> Context:
    """As after the probes, the first of which looks at the dataset before anything is read."""
    subject = Subject("rows", dataset, cost=1.0)
    subject.answers = {
        "inside": look_inside(subject, 1.0),
        "repeats": {"calls": [], "queries": []},
    }
    samples = [subject.read(index) for index in range(4)]
    part = Part(subject, range(COUNT))
    return Context(subject, part, samples, True, "", None, 1.0, default_collate, {}, Path())


@pytest.mark.parametrize("make", [OnFirstUse, WithoutAttribute])
@pytest.mark.parametrize("of", [lambda made: made, lambda made: Subset(made, range(COUNT))])
def test_what_only_the_reads_opened_is_not_shared_with_workers(
    make: Any, of: Any, tmp_path: Path
) -> None:
    made = make(tmp_path / "rows")
    at = read(of(made))
    (remedy,) = worker_for_each_core(at)
    assert isinstance(remedy.dataset, Part) and not open_handles(remedy.dataset.subject)
    assert torch.equal(remedy.dataset[3], at.samples[3])
    assert open_handles(at.subject) and not made.file.closed, "the user's own stays as it is"


@pytest.mark.parametrize(
    ("make", "why"),
    [(Opened, "would share what is open .dataset.file"), (ByFlag, "the doctor's own reads opened")],
)
def test_workers_are_not_tried_over_what_stays_open(make: Any, why: str, tmp_path: Path) -> None:
    with pytest.raises(Inapplicable, match=why):
        worker_for_each_core(read(make(tmp_path / "rows")))
