"""Datasets that raise, hang, die or give what nobody expects: the doctor must survive them."""

from __future__ import annotations

import ctypes
import json
import multiprocessing
import os
import subprocess
import tempfile
import threading
from multiprocessing.shared_memory import SharedMemory
from pathlib import Path
from typing import Any

import torch
from torch.utils.data import Dataset, IterableDataset

from tests.doctor_gallery import Files, Rows


class HangsInWorkers(Rows):
    def __getitem__(self, index: int) -> Any:
        if torch.utils.data.get_worker_info() is not None:
            threading.Event().wait()
        return super().__getitem__(index)


class Raises(Rows):
    def __getitem__(self, index: int) -> Any:
        raise ValueError(f"no sample {index}")


class RaisesOnce(Rows):
    def __getitem__(self, index: int) -> Any:
        if index == 0:
            raise ValueError("broken file")
        return super().__getitem__(index)


class Hangs(Rows):
    def __getitem__(self, index: int) -> Any:
        threading.Event().wait()


class Dies(Rows):
    def __getitem__(self, index: int) -> Any:
        os.kill(os.getpid(), 9)


class Nones(Rows):
    def __getitem__(self, index: int) -> Any:
        return None


class Ragged(Rows):
    def __getitem__(self, index: int) -> Any:
        return self.data[index].reshape(-1)[: 10 + index % 7].clone()


class Nested(Rows):
    def __getitem__(self, index: int) -> Any:
        return {"a": (self.data[index].clone(), [index, 1.5]), "b": {"c": "text"}}


class Pictures(Files):
    def __getitem__(self, index: int) -> Any:
        return self.picture(index)


class Strings(Rows):
    def __getitem__(self, index: int) -> Any:
        return f"sample {index}"


class Empty(Rows):
    def __len__(self) -> int:
        return 0


class BrokenLength(Rows):
    def __len__(self) -> int:
        raise RuntimeError("not counted yet")


class NegativeLength(Rows):
    def __len__(self) -> int:
        return -1


def CallsWrongly(folder: str) -> Any:
    """Is called as it should be, and calls something else as it should not."""
    return Rows(folder, "jpeg")  # type: ignore[call-arg]


def generated(folder: str) -> Any:
    yield from Rows(folder).data


class One(Rows):
    def __len__(self) -> int:
        return 1


class NoLength(Dataset[Any]):
    def __init__(self, folder: str) -> None:
        self.data = torch.zeros(8, 8)

    def __getitem__(self, index: int) -> Any:
        return self.data.clone()


class Iterated(IterableDataset[Any]):
    def __init__(self, folder: str) -> None:
        self.count = 500

    def __iter__(self) -> Any:
        for number in range(self.count):
            yield torch.full((16, 16), number % 256, dtype=torch.uint8)


class NotMade(Rows):
    def __init__(self, folder: str) -> None:
        raise RuntimeError("the index is missing")


class Litters(Rows):
    """Leaves what a process can leave, and writes down what; then hangs where the file says so."""

    def __init__(self, folder: str) -> None:
        super().__init__(folder)
        spawn = multiprocessing.get_context("spawn")
        self.locks = [spawn.Lock() for _ in range(16)]
        self.memory = SharedMemory(create=True, size=64)
        marked, unmarked = (
            subprocess.Popen(["sleep", "600"], env=env) for env in (None, {"PATH": "/bin"})
        )
        left = {
            "ours": [
                *(f"/dev/shm/sem.{lock._semlock.name[1:]}" for lock in self.locks),  # type: ignore[attr-defined]
                *(f"/proc/{pid}" for pid in (os.getpid(), marked.pid)), tempfile.mkdtemp(),
            ],
            "not told by name": [f"/dev/shm/{self.memory.name}", f"/proc/{unmarked.pid}"],
        }  # fmt: skip
        path = Path(folder) / "left.json"
        path.with_suffix(".new").write_text(json.dumps(left))
        path.with_suffix(".new").rename(path)
        self.hangs = (Path(folder) / "hang").exists()

    def __getitem__(self, index: int) -> Any:
        if self.hangs:
            ctypes.PyDLL(None).sleep(600)  # with the interpreter's lock
        return super().__getitem__(index)


STRANGE = (
    "Raises", "RaisesOnce", "Nones", "Ragged", "Nested", "Pictures", "Strings", "One",
    "NoLength", "Iterated",
)  # fmt: skip
