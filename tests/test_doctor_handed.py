"""Several loaders where one is meant are refused; what times or threads a loader is looked into."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from PIL import Image
from torch.utils.data import DataLoader, TensorDataset

from datasets_impl import ThreadedLoader
from datasets_impl.doctor import watch
from datasets_impl.doctor.probes.inside import look_inside
from datasets_impl.doctor.probes.target import load, made, subject_of
from datasets_impl.errors import StudyError

ROWS = TensorDataset(torch.rand(64, 3), torch.arange(64))


def loader() -> DataLoader[Any]:
    return DataLoader(ROWS, 8, shuffle=True)


SEVERAL: list[tuple[Any, str]] = [
    ((loader(), loader()), "gives a tuple of 2 loaders; name one: a function that returns it"),
    ([loader()], "gives a list of 1 loader; name one"),
    ({"train": loader(), "val": loader()}, r"a dict of 2 loaders \('train', 'val'\); name one"),
    ({"train": ROWS, "val": ROWS}, r"a dict of 2 datasets \('train', 'val'\); name one"),
    ((ROWS, None), "a tuple of TensorDataset, None; name one"),
    ((ThreadedLoader(ROWS), watch(loader(), out=None)), "a tuple of 2 loaders"),
    (dict, "gives the class dict and not what it makes; name a function that calls it"),
    (TensorDataset, "gives the class TensorDataset"),
]
SAMPLES: list[Any] = [
    [torch.full((50,), index) for index in range(40)],
    [(torch.zeros(3), 1), (torch.zeros(3), 0)],
    {index: torch.zeros(3) for index in range(40)},
    (1, 2, 3),
]


@pytest.mark.parametrize(("found", "said"), SEVERAL)
def test_several_are_refused_by_what_they_are(found: Any, said: str) -> None:
    with pytest.raises(StudyError, match=said):
        subject_of("x.py:D", found)


@pytest.mark.parametrize("found", SAMPLES)
def test_a_collection_of_samples_is_a_dataset(found: Any) -> None:
    assert subject_of("x.py:D", found).dataset is found


class Called:
    """Samples by index, of an object that can be called as well."""

    def __len__(self) -> int:
        return 9

    def __getitem__(self, index: int) -> int:
        return index

    def __call__(self, given: int = 0) -> Any:
        return ROWS


def test_a_dataset_that_can_be_called_is_not() -> None:
    data = Called()
    assert made("x", data, {}) is data
    assert type(made("x", Called, {})) is Called and made("x", data.__call__, {"given": 1}) is ROWS
    with pytest.raises(StudyError, match="takes no --kwargs"):
        made("x", data, {"given": 1})


def test_the_loader_within_a_threaded_one_is_examined() -> None:
    def init(worker: int) -> None:
        pass

    threaded: ThreadedLoader[Any] = ThreadedLoader(
        ROWS, 8, shuffle=True, drop_last=True, worker_init_fn=init
    )
    subject = subject_of("x", threaded)
    assert subject.dataset is ROWS and subject.loader is not None
    assert subject.settings["batch_size"] == 8 and subject.settings["drop_last"]
    assert subject.loader.worker_init_fn is init
    assert "threads of the ThreadedLoader are not examined" in look_inside(subject, 1.0)["note"]
    assert threaded._plain.worker_init_fn is None, "the user's own is left as it is"


def test_the_loader_within_a_watched_one_is_examined() -> None:
    inner = loader()
    subject = subject_of("x", watch(inner, out=None))
    assert subject.loader is inner and subject.dataset is ROWS
    assert look_inside(subject, 1.0)["note"] == ""
    assert "threads" in subject_of("x", watch(ThreadedLoader(ROWS, 8), out=None)).note


@pytest.mark.parametrize(
    ("target", "said"),
    [
        ("s3://bucket/photos", "is an address, and only folders of this machine"),
        ("file:///photos", "is an address"),
        ("train.ipynb:make", "train.ipynb is a notebook, which cannot be imported; save"),
        ("train.ipynb", "train.ipynb is a notebook"),
        (".train:make", "is named from within its package; name it as package.module:object"),
        ("..package.train:make", "is named from within its package"),
    ],
)
def test_what_cannot_be_imported_by_its_name_is_told(target: str, said: str) -> None:
    with pytest.raises(StudyError, match=said):
        load(target, {})


def test_names_that_look_alike_are_looked_at(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    for name in (".hidden", "photos.ipynb", "file:"):
        folder = tmp_path / name
        folder.mkdir()
        Image.new("RGB", (8, 8)).save(folder / "one.jpg")
        assert load(name, {}).count == 1
    (tmp_path / "train.py").write_text("data = [1, 2, 3]\n")
    for name in ("./train.py:data", str(tmp_path / "train.py:data")):
        assert load(name, {}).count == 3


@pytest.mark.parametrize("name", ["random", "torch", "types", "inspect", "train"])
def test_a_file_with_the_name_of_a_module_takes_nothing_from_it(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "path", sys.path[:])
    monkeypatch.setattr(sys, "argv", sys.argv)
    before = sys.modules.get(name)
    (tmp_path / f"{name}.py").write_text("data = [1, 2, 3]\n")
    assert load(f"{tmp_path / name}.py:data", {}).count == 3
    found = sys.modules.pop(name)
    assert (found is before) == (name != "train")
    if before is not None:
        sys.modules[name] = before
