"""How much is read for a sample, and whether that is too much."""

from __future__ import annotations

import gzip
import sys
from itertools import islice
from pathlib import Path
from typing import Any

import pytest
import torch
from torch.utils.data import Dataset

from datasets_impl.doctor.findings.again import read_whole
from datasets_impl.doctor.probes.items import items
from datasets_impl.doctor.probes.target import Subject

FILE, ROWS = "rows.txt.gz", 100  # half of which is more than two buffers of Python 3.14


def seen(**more: Any) -> dict[str, Any]:
    """Answers on small samples, for each of which 300 kB are read of one file."""
    share = more.pop("share", 0.6)
    return {
        "look": {"bytes": 1200.0, "cost": 4e-3, "turn": 5e-8} | more.pop("look", {}),
        "items": {"bytes_asked": 3e5, "opens": 1.0, "opened": [[FILE, 99]]} | more,
        "causes": {"total": 4e-3, "causes": {"decompressing": share * 4e-3, "python": 1e-3}},
    }


@pytest.mark.parametrize("more", [{}, {"opens": 0.0, "opened": []}])
def test_half_a_small_file_that_is_gone_through_for_each_sample_is_too_much(more: Any) -> None:
    found = read_whole(seen(**more))
    assert found is not None and found.name == "reads-too-much"
    assert "asks for 300.0 kB and gives 1.2 kB" in found.evidence and "60%" in found.evidence


@pytest.mark.parametrize(
    "more",
    [
        {"opened": [["a.json", 1], ["b.json", 1]]},  # all of a file is one sample's
        {"bytes_asked": 2e4},  # what buffers hold
        {"share": 0.2},
        {"look": {"bytes": 1e5}},
        {"look": {"cost": 2e-5}},
    ],
)
def test_reading_what_a_sample_needs_is_not_too_much(more: Any) -> None:
    assert read_whole(seen(**more)) is None


class OfOne(Dataset[Any]):
    """Lines of one packed file, each found by counting."""

    def __init__(self, folder: Path) -> None:
        self.path = folder / FILE
        rows = torch.randint(0, 256, (ROWS, 9000), generator=torch.Generator().manual_seed(0))
        with gzip.open(self.path, "wt") as file:
            file.writelines(bytes(row.tolist()).hex() + "\n" for row in rows)

    def __len__(self) -> int:
        return ROWS

    def __getitem__(self, index: int) -> Any:
        with gzip.open(self.path, "rt") as file:
            line = next(islice(file, index, None))
        return torch.frombuffer(bytearray.fromhex(line), dtype=torch.uint8)[:99]


class OfItsOwn(Dataset[Any]):
    """Each sample is what its own packed file comes to."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        whole = OfOne(folder).path.read_bytes()
        for number in range(3):
            (folder / f"{number}.gz").write_bytes(whole)

    def __len__(self) -> int:
        return 3

    def __getitem__(self, index: int) -> Any:
        with gzip.open(self.folder / f"{index}.gz") as file:
            return torch.tensor([len(line) for line in file])


@pytest.mark.skipif(sys.platform != "linux", reason="what is read is not told")
@pytest.mark.parametrize(("make", "found"), [(OfOne, True), (OfItsOwn, False)])
def test_a_file_of_many_samples_is_told_from_one_for_each(
    make: Any, found: bool, tmp_path: Path
) -> None:
    answer = items(Subject("rows", make(tmp_path)), 60.0)  # a limit
    assert (read_whole(seen() | {"items": answer}) is not None) is found, answer
