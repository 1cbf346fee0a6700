"""The files that samples come from are found, however a dataset holds their names."""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from torch.utils.data import Dataset, IterableDataset

from datasets_impl.doctor.__main__ import SHARES
from datasets_impl.doctor.findings.findings import findings
from datasets_impl.doctor.probes import machine as probe
from datasets_impl.doctor.probes.data_files import files_of_data, places
from datasets_impl.doctor.probes.items import items
from datasets_impl.doctor.probes.machine import machine
from datasets_impl.doctor.probes.target import subject_of

COUNT = 6
ROOT = [Path()]  # which no attribute of a dataset tells


def written(folder: Path, nbytes: int = 4096) -> list[str]:
    paths = [folder / f"{number}.bin" for number in range(COUNT)]
    for path in paths:
        path.write_bytes(bytes(nbytes))
    return [str(path) for path in paths]


class Held(Dataset[Any]):
    def __init__(self, held: Any) -> None:
        self.held = held
        self.names = {"cat": 0, "dog": 1}

    def __len__(self) -> int:
        return COUNT


def in_table(paths: list[str]) -> Any:
    return pd.DataFrame({"label": range(len(paths)), "path": paths})


def among_others(paths: list[str]) -> Any:
    return [{"id": 7, "label": "cat", "box": [0, 1], "files": {"image": one}} for one in paths]


@pytest.mark.parametrize(
    "kind",
    [list, tuple, np.array, in_table, among_others, lambda paths: dict(enumerate(paths)),
     lambda paths: dict.fromkeys(paths, 0), lambda paths: among_others(paths) * 10_000,
     lambda paths: np.array(paths, object), lambda paths: np.array(paths, "S"),
     lambda paths: in_table(paths).path, lambda paths: [Path(one) for one in paths],
     lambda paths: [(one, 0) for one in paths]],
)  # fmt: skip
def test_names_are_found_in_what_holds_them(
    kind: Callable[[list[str]], Any], tmp_path: Path
) -> None:
    assert tmp_path.resolve() in {one.parent for one in places(Held(kind(written(tmp_path))))}


@pytest.mark.parametrize("held", [{"a": "b"}, [{"a": 1}], np.zeros(9), "one/word", b"x/y" * 9999])
def test_what_is_no_path_is_none(held: Any) -> None:
    assert places(Held(held)) == []


class ByNumber(Dataset[torch.Tensor]):
    def __len__(self) -> int:
        return COUNT

    def __getitem__(self, index: int) -> torch.Tensor:
        with (ROOT[0] / f"{index}.bin").open("rb") as file:
            return torch.tensor(len(file.read()))


class Streamed(IterableDataset[torch.Tensor]):
    def __iter__(self) -> Any:
        for index in range(COUNT):
            yield ByNumber()[index]


@pytest.mark.parametrize("dataset", [ByNumber(), Streamed()])
def test_files_that_samples_open_are_found(
    dataset: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Though no attribute holds their names; and the probe of the machine is asked after that."""
    written(tmp_path)
    ROOT[0] = tmp_path
    assert places(dataset) == []
    subject = subject_of("x", dataset)
    subject.answers["items"] = items(subject, 0.2)
    monkeypatch.setattr(probe, "mounted", lambda path: ["/data", "nfs4"])
    facts = machine(subject, 0.05)
    assert {Path(path).parent for path, *_ in facts["data"]} == {tmp_path.resolve()}
    reading = {"causes": {"reading": 0.01}, "total": 0.01}
    assert "far-away" in [one.name for one in findings({"machine": facts, "causes": reading})]
    assert list(SHARES).index("items") < list(SHARES).index("machine")


def test_a_little_file_of_another_device_is_not_the_data(tmp_path: Path) -> None:
    ram = Path("/dev/shm")
    if not ram.is_dir() or ram.stat().st_dev == tmp_path.stat().st_dev:
        pytest.skip("needs two devices")
    with tempfile.TemporaryDirectory(dir=ram) as folder:
        counts = dict.fromkeys(written(tmp_path, 1 << 16), 1)
        (settings,) = written(Path(folder), 16)[:1]
        assert {Path(one).parent for one in files_of_data({settings: 6} | counts)} == {tmp_path}
        large = written(Path(folder), 1 << 16)[0]
        assert large in files_of_data({large: 6} | counts)


def test_code_and_what_the_system_tells_is_no_data(tmp_path: Path) -> None:
    (tmp_path / "model.py").write_text("x = 1")
    others = [np.__file__, "/proc/self/status", "/etc/passwd", str(tmp_path / "model.py"),
              str(tmp_path / "gone"), str(tmp_path), "\0"]  # fmt: skip
    assert files_of_data(dict.fromkeys(others, 1)) == []
