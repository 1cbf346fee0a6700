"""Datasets whose samples take time for one cause each; those of `doctor_hazards` do harm.

Each factory takes the folder that `prepare` filled. `AILING` says by which name the doctor must
call what is wrong first; `doctor_healthy` has those in which it must find nothing.
"""

from __future__ import annotations

import json
import multiprocessing
import os
import threading
import time
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image, ImageFilter
from torch.utils.data import DataLoader, Dataset

PX, LARGE_PX, COUNT = 256, 1200, 48


def prepare(folder: Path) -> None:
    """Photograph-like pictures (noise that is blurred), large ones, and one array of rows."""
    rng = np.random.default_rng(0)
    for name, px, count in (("jpeg", PX, COUNT), ("large", LARGE_PX, 8)):
        (folder / name).mkdir()
        for number in range(count):
            noise = Image.fromarray(rng.integers(0, 256, (px // 4, px // 4, 3), np.uint8))
            picture = noise.resize((px, px), Image.Resampling.BICUBIC)
            picture.save(folder / name / f"{number:03}.jpg", quality=90)
    np.save(folder / "rows.npy", rng.integers(0, 256, (4000, 64, 64), np.uint8))


class Files(Dataset[Any]):
    def __init__(self, folder: str, name: str = "jpeg") -> None:
        self.paths = sorted(str(path) for path in (Path(folder) / name).iterdir())

    def __len__(self) -> int:
        return len(self.paths)

    def picture(self, index: int) -> Image.Image:
        with Image.open(self.paths[index]) as opened:
            return opened.convert("RGB")


class Decode(Files):
    def __getitem__(self, index: int) -> torch.Tensor:
        return torch.from_numpy(np.array(self.picture(index)))


class Rows(Dataset[Any]):
    """Healthy by itself: rows in memory, given as copies."""

    def __init__(self, folder: str) -> None:
        self.data = torch.from_numpy(np.load(Path(folder) / "rows.npy"))

    def __len__(self) -> int:
        return len(self.data)

    def __getitem__(self, index: int) -> Any:
        return self.data[index].clone()


class SlowTransform(Files):
    def __getitem__(self, index: int) -> torch.Tensor:
        picture = self.picture(index).filter(ImageFilter.GaussianBlur(4))
        return torch.from_numpy(np.array(picture.filter(ImageFilter.MedianFilter(3))))


class PythonLoop(Rows):
    def __getitem__(self, index: int) -> torch.Tensor:
        row = self.data[index].numpy()
        made = np.empty_like(row)
        for y in range(row.shape[0]):
            for x in range(row.shape[1]):
                made[y, x] = 255 - row[y, x]
        return torch.from_numpy(made)


class ThreeKinds(Files):
    """A file is read, a picture changed, and numbers are gone through, in about the same time."""

    def __init__(self, folder: str) -> None:
        super().__init__(folder)
        self.rows, self.paths = str(Path(folder) / "rows.npy"), self.paths[:16]

    def __getitem__(self, index: int) -> torch.Tensor:
        row = np.load(self.rows)[index].reshape(-1)
        made = np.array(self.picture(index).filter(ImageFilter.GaussianBlur(4)))
        for at in range(len(row)):
            row[at] = made[at % PX, 0, 0] // 2 + row[at] // 2
        return torch.from_numpy(row)


class ParsesText(Rows):
    """Rows of text are parsed in every read."""

    def __init__(self, folder: str) -> None:
        super().__init__(folder)
        self.texts = [json.dumps(row.tolist()) for row in self.data[:32]]

    def __len__(self) -> int:
        return len(self.texts)

    def __getitem__(self, index: int) -> torch.Tensor:
        row = json.loads(self.texts[index])  # the costly line
        return torch.tensor(row[0], dtype=torch.uint8)


class UnpacksWhole(Rows):
    """One row out of an archive that is unpacked for every sample."""

    def __init__(self, folder: str) -> None:
        super().__init__(folder)
        self.path = Path(folder) / "rows.npz"
        if not self.path.exists():
            np.savez_compressed(self.path, rows=self.data[:600].numpy() // 32)

    def __len__(self) -> int:
        return 600

    def __getitem__(self, index: int) -> torch.Tensor:
        with np.load(self.path) as found:
            return torch.from_numpy(found["rows"][index])  # the costly line


class WholeFile(Rows):
    def __init__(self, folder: str) -> None:
        self.path, self.count = str(Path(folder) / "rows.npy"), 4000

    def __len__(self) -> int:
        return self.count

    def __getitem__(self, index: int) -> torch.Tensor:
        return torch.from_numpy(np.load(self.path)[index].copy())


class SharedCache(Rows):
    """Samples are kept in a dictionary of a manager, that all workers share."""

    def __init__(self, folder: str) -> None:
        super().__init__(folder)
        self.manager = multiprocessing.Manager()
        self.cache = self.manager.dict()

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "manager": None}

    def __len__(self) -> int:
        return 64

    def __getitem__(self, index: int) -> torch.Tensor:
        rows = self.cache.get(index)  # the costly line
        if rows is None:
            rows = self.cache[index] = self.data[60 * index : 60 * index + 60].numpy()
        return torch.from_numpy(rows)


class Listing(Dataset[Any]):
    def __init__(self, folder: str) -> None:
        self.folder = Path(folder) / "many"
        self.folder.mkdir(exist_ok=True)
        if not any(self.folder.iterdir()):
            for number in range(1000):
                np.save(self.folder / f"{number:05}.npy", np.zeros(64, np.uint8))

    def __len__(self) -> int:
        return 1000

    def __getitem__(self, index: int) -> torch.Tensor:
        names = sorted(os.listdir(self.folder))  # noqa: PTH208
        return torch.from_numpy(np.load(self.folder / names[index]))


class Reopening(Dataset[Any]):
    def __init__(self, folder: str) -> None:
        import h5py

        self.path = str(Path(folder) / "rows.h5")
        if not Path(self.path).exists():
            with h5py.File(self.path, "w") as file:
                for group in range(40):
                    file[f"part{group}/rows"] = np.zeros((100, 8), np.uint8)

    def __len__(self) -> int:
        return 4000

    def __getitem__(self, index: int) -> torch.Tensor:
        import h5py

        with h5py.File(self.path, "r") as file:
            return torch.from_numpy(file[f"part{index // 100}/rows"][index % 100])


class Sleeping(Rows):
    def __getitem__(self, index: int) -> torch.Tensor:
        time.sleep(2e-3)
        return super().__getitem__(index)


class Locking(Rows):
    """Waits for its turn, which a thread of the same process gives every two milliseconds."""

    def __init__(self, folder: str) -> None:
        super().__init__(folder)
        self.owner, self.turn = 0, threading.Event()

    def __getitem__(self, index: int) -> torch.Tensor:
        if self.owner != os.getpid():  # threads do not live on in a forked worker
            self.owner, self.turn = os.getpid(), threading.Event()
            threading.Thread(target=self._give, daemon=True).start()
        self.turn.wait()
        self.turn.clear()
        return super().__getitem__(index)

    def _give(self) -> None:
        while True:
            time.sleep(2e-3)
            self.turn.set()


def slow_collate(samples: list[torch.Tensor]) -> torch.Tensor:
    batch = torch.zeros(len(samples), *samples[0].shape, dtype=torch.float32)
    for place, sample in enumerate(samples):
        for y in range(sample.shape[0]):
            batch[place, y] = sample[y].float() / 255
    return batch


def collating(folder: str) -> DataLoader[Any]:
    return DataLoader(Rows(folder), batch_size=32, collate_fn=slow_collate)


class HugeForCrop(Files):
    def __init__(self, folder: str) -> None:
        super().__init__(folder, "large")

    def __getitem__(self, index: int) -> torch.Tensor:
        return torch.from_numpy(np.array(self.picture(index).crop((100, 100, 324, 324))))


class VerySlow(Rows):
    def __getitem__(self, index: int) -> torch.Tensor:
        time.sleep(1.5)
        return super().__getitem__(index)


AILING = {
    "Decode": "decoding",
    "SlowTransform": "transforming",
    "PythonLoop": "python",
    "ParsesText": "parsing JSON",
    "SharedCache": "asking another process",
    "UnpacksWhole": "reads-too-much",
    "WholeFile": "reads-too-much",
    "Listing": "lists-folder",
    "Reopening": "reopens",
    "Sleeping": "waiting",
    "Locking": "waiting",
    "collating": "collating",
    "HugeForCrop": "decoded-larger",
    "VerySlow": "waiting",
}
