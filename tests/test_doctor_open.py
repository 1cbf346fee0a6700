"""What is open before workers are forked is named, and looked at from outside alone."""

from __future__ import annotations

import bz2
import gzip
import importlib
import lzma
import shelve
import sys
from collections import OrderedDict, UserDict
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from torch.utils.data import DataLoader, Dataset

from datasets_impl.doctor.findings.findings import findings
from datasets_impl.doctor.probes.inside import look_inside
from datasets_impl.doctor.probes.loaders import Part, initialised, opened
from datasets_impl.doctor.probes.parts import open_handles, parts
from datasets_impl.doctor.probes.target import subject_of
from tests.test_doctor_integrity import marked_in


def archive(folder: Path) -> Any:
    np.savez(folder / "rows.npz", **{f"row{number}": np.arange(8) for number in range(20)})
    return np.load(folder / "rows.npz")


def zipped(folder: Path) -> Any:
    with gzip.open(folder / "rows.gz", "wb") as file:
        file.write(b"rows")
    return gzip.open(folder / "rows.gz")


def shelf(folder: Path) -> Any:
    with shelve.open(str(folder / "rows")) as rows:
        rows["first"] = b"row"
    return shelve.open(str(folder / "rows"))


def squeezed(kind: Any) -> Callable[[Path], Any]:
    def made(folder: Path) -> Any:
        with kind.open(folder / "rows", "wb") as file:
            file.write(b"rows")
        return kind.open(folder / "rows")

    return made


class Holds(Dataset[Any]):
    def __init__(self, held: Any) -> None:
        self.held = held  # opened

    def __len__(self) -> int:
        return 8

    def __getitem__(self, index: int) -> Any:
        return index


OPENED = {
    "an npz archive": (archive, "np.load(self.path)"),
    "a gzip file": (zipped, "gzip.open(self.path)"),
    "a bz2 file": (squeezed(bz2), "bz2.open(self.path)"),
    "an LZMA file": (squeezed(lzma), "lzma.open(self.path)"),
    "a shelf": (shelf, 'shelve.open(self.path, "r")'),
}


@pytest.mark.usefixtures("forked_workers")
@pytest.mark.parametrize("kind", OPENED)
def test_what_is_open_is_named_by_its_kind_and_opened_late(kind: str, tmp_path: Path) -> None:
    opened, how = OPENED[kind]
    subject = subject_of("x", DataLoader(Holds(opened(tmp_path)), num_workers=2))
    seen = {"inside": look_inside(subject, 60.0), "settings": subject.settings}
    assert seen["inside"]["handles"] == [f"dataset.held, {kind}"]
    (found,) = findings(seen)
    assert found.name == "handles" and f"self.held = {how}" in found.lines
    assert found.places == marked_in(__file__, "opened")


def test_what_is_closed_or_written_is_no_handle(tmp_path: Path) -> None:
    rows = archive(tmp_path)
    rows.close()
    file = (tmp_path / "rows.npz").open("rb")
    file.close()
    with gzip.open(tmp_path / "new.gz", "wb") as new:
        for held in (rows, file, new):
            assert not open_handles(subject_of("x", Holds(held)))


def test_arrays_of_an_archive_are_not_loaded_to_look_at_them(tmp_path: Path) -> None:
    assert [path for path, _, _ in parts(Holds(archive(tmp_path)))] == ["dataset", "dataset.held"]


class Lazy(UserDict[str, Any]):
    """Reads what it is asked for."""

    def __getitem__(self, key: str) -> Any:
        raise AssertionError("it was read")


@pytest.mark.parametrize("kind", [dict, OrderedDict, UserDict, Lazy])
def test_dictionaries_are_looked_into_where_they_hold_their_values(kind: Any) -> None:
    found = dict((path, value) for path, value, _ in parts(Holds(kind(rows=np.zeros(3)))))
    assert any(path.endswith("['rows']") for path in found)


OF_MODULE = """
from torch.utils.data import DataLoader, Dataset

FILE = None


class Rows(Dataset):
    def __init__(self, path, late):
        self.path = path
        if not late:
            open_rows(path)

    def __len__(self):
        return 8

    def __getitem__(self, index):
        if FILE is None:
            open_rows(self.path)
        FILE.seek(index)
        return FILE.read(1)[0]


def open_rows(path):
    global FILE
    FILE = open(path, "rb")  # opened for all
"""


@pytest.fixture
def of_module(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    name = f"rows_{tmp_path.name}".replace("-", "_")
    (tmp_path / f"{name}.py").write_text(OF_MODULE)
    (tmp_path / "rows").write_bytes(bytes(range(8)))
    monkeypatch.syspath_prepend(tmp_path)
    made = importlib.import_module(name)
    yield made
    if made.FILE is not None:
        made.FILE.close()
    del sys.modules[name]


@pytest.mark.usefixtures("forked_workers")
def test_what_a_module_holds_open_is_named(of_module: Any, tmp_path: Path) -> None:
    made = of_module.Rows(tmp_path / "rows", late=False)
    subject = subject_of("x", DataLoader(made, num_workers=2))
    seen = {"inside": look_inside(subject, 60.0), "settings": subject.settings}
    (found,) = findings(seen)
    assert found.name == "handles" and found.evidence.startswith(
        f"FILE of {of_module.__name__}, an open file"
    )
    assert [place.partition("  ")[2] for place in found.places] == [
        'FILE = open(path, "rb")  # opened for all'[:40] + "…"
    ]


@pytest.mark.usefixtures("forked_workers")
def test_what_a_module_opens_when_it_is_first_asked_each_worker_opens(
    of_module: Any, tmp_path: Path
) -> None:
    made = of_module.Rows(tmp_path / "rows", late=True)
    subject = subject_of("x", DataLoader(made, num_workers=1))
    subject.answers["inside"] = look_inside(subject, 60.0)
    assert subject.answers["inside"]["handles"] == []
    assert subject.read(3) == 3 and open_handles(subject)
    worker = initialised(subject)
    assert worker.opened == [(of_module.__name__, "FILE", True)]
    with opened(subject, Part(subject, [1, 2]), 1, None, batch_size=None) as loader:
        assert list(loader) == [1, 2]
