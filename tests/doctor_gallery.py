"""Datasets that ail from one cause each, for the doctor; `doctor_healthy` has those that do not.

Each factory takes the folder that `prepare` filled. `AILING` says by which name the doctor must
call what is wrong first.
"""

from __future__ import annotations

import copy
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
from torch.utils.data import (
    DataLoader,
    Dataset,
    IterableDataset,
)

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


class CopiesInDepth(Rows):
    """A record of many small lists is copied before it is used."""

    def __init__(self, folder: str) -> None:
        super().__init__(folder)
        self.records = [{"boxes": [[k, k] for k in range(500)], "row": k} for k in range(32)]

    def __len__(self) -> int:
        return len(self.records)

    def __getitem__(self, index: int) -> torch.Tensor:
        record = copy.deepcopy(self.records[index])  # the costly line
        return self.data[record["row"]].clone()


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
        if index not in self.cache:
            self.cache[index] = self.data[60 * index : 60 * index + 60].numpy()
        return torch.from_numpy(self.cache[index])  # the costly line


class Listing(Dataset[Any]):
    def __init__(self, folder: str) -> None:
        self.folder = Path(folder) / "many"
        self.folder.mkdir(exist_ok=True)
        if not any(self.folder.iterdir()):
            for number in range(3000):
                np.save(self.folder / f"{number:05}.npy", np.zeros(64, np.uint8))

    def __len__(self) -> int:
        return 3000

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


def eight_workers(folder: str) -> DataLoader[Any]:
    return DataLoader(Rows(folder), batch_size=32, num_workers=8)


class Mapped(Rows):
    def __init__(self, folder: str) -> None:
        self.data = np.load(Path(folder) / "rows.npy", mmap_mode="r")

    def __getitem__(self, index: int) -> torch.Tensor:
        return torch.from_numpy(self.data[index].copy())


class MappedMore(Mapped):
    """More rows, so that what is sent to a worker is large."""

    def __init__(self, folder: str) -> None:
        path = Path(folder) / "more.npy"
        if not path.exists():
            np.save(path, np.zeros((8000, 64, 64), np.uint8))
        self.data = np.load(path, mmap_mode="r")


def mapped_spawn(folder: str) -> DataLoader[Any]:
    return DataLoader(
        MappedMore(folder), batch_size=32, num_workers=2, multiprocessing_context="spawn"
    )


class ListOfDicts(Dataset[Any]):
    def __init__(self, folder: str) -> None:
        self.records = [{"path": f"photo-{n}.jpg", "label": n % 10} for n in range(1_000_000)]

    def __len__(self) -> int:
        return len(self.records)

    def __getitem__(self, index: int) -> int:
        return int(self.records[index]["label"])


class Frozen(Files):
    """Transforms when it stores."""

    def __init__(self, folder: str) -> None:
        from torchvision.transforms import v2

        super().__init__(folder)
        self.transform = v2.RandomHorizontalFlip()
        self.kept = [self.transform(torch.from_numpy(np.array(self.picture(i))))
                     for i in range(len(self.paths))]  # fmt: skip

    def __getitem__(self, index: int) -> torch.Tensor:
        return self.kept[index].clone()


class SameNoise(Rows):
    def __init__(self, folder: str) -> None:
        super().__init__(folder)
        self.rng = np.random.default_rng(0)

    def __getitem__(self, index: int) -> torch.Tensor:
        return self.data[index] + torch.from_numpy(self.rng.integers(0, 4, (64, 64), np.uint8))


class Doubles(Rows):
    def __getitem__(self, index: int) -> torch.Tensor:
        return self.data[index].double() / 255


class Outlier(Rows):
    def __getitem__(self, index: int) -> torch.Tensor:
        if index == len(self) - 1:
            np.sort(np.random.default_rng(0).random(500_000))
        return super().__getitem__(index)


class WrongLabels(Rows):
    def __init__(self, folder: str) -> None:
        super().__init__(folder)
        self.labels = [0] * (len(self.data) - 1)


class Opened(Dataset[Any]):
    """A file that is open before workers are forked."""

    def __init__(self, folder: str) -> None:
        import h5py

        path = Path(folder) / "opened.h5"
        if not path.exists():
            with h5py.File(path, "w") as file:
                file["rows"] = np.zeros((4000, 64, 64), np.uint8)
        self.file = h5py.File(path, "r")

    def __len__(self) -> int:
        return 4000

    def __getitem__(self, index: int) -> torch.Tensor:
        return torch.from_numpy(self.file["rows"][index])


def opened_before(folder: str) -> DataLoader[Any]:
    return DataLoader(Opened(folder), batch_size=32, num_workers=2)


class Unsorted(Rows):
    """Takes names in the order in which the file system has them."""

    def __init__(self, folder: str) -> None:
        super().__init__(folder)
        self.names = os.listdir(Path(folder) / "jpeg")  # noqa: PTH208


class Lent(Rows):
    """Gives the store's own memory away."""

    def __getitem__(self, index: int) -> torch.Tensor:
        return self.data[index]


class Leaking(Rows):
    """Keeps what it gave."""

    def __init__(self, folder: str) -> None:
        super().__init__(folder)
        self.given: list[Any] = []

    def __getitem__(self, index: int) -> torch.Tensor:
        self.given.append(torch.ones(16, 64, 64, dtype=torch.uint8))
        return super().__getitem__(index)


def spawned_lambda(folder: str) -> DataLoader[Any]:
    made = Rows(folder)
    made.change = lambda row: row  # type: ignore[attr-defined]
    return DataLoader(made, batch_size=32, num_workers=2, multiprocessing_context="spawn")


class HangsLater(Rows):
    """At one of the samples that are looked at."""

    def __getitem__(self, index: int) -> torch.Tensor:
        if index == len(self) - 1:
            threading.Event().wait()
        return super().__getitem__(index)


class EndsProcess(Rows):
    def __getitem__(self, index: int) -> torch.Tensor:
        if index == 0:
            os._exit(3)
        return super().__getitem__(index)


class Exits(Rows):
    """What a library for command lines does where it has no better idea."""

    def __getitem__(self, index: int) -> torch.Tensor:
        if index == 0:
            raise SystemExit("no such file")
        return super().__getitem__(index)


class VerySlow(Rows):
    def __getitem__(self, index: int) -> torch.Tensor:
        time.sleep(1.5)
        return super().__getitem__(index)


class OtherMode(Rows):
    """Has a random transform for training and is used for validation."""

    def __init__(self, folder: str) -> None:
        from torchvision.transforms import v2

        super().__init__(folder)
        self.train_transform, self.training = v2.RandomHorizontalFlip(), False

    def __getitem__(self, index: int) -> Any:
        row = self.data[index].clone()
        return self.train_transform(row) if self.training else row


class FrozenByCache(OtherMode):
    """Keeps what the transform gave the first time."""

    def __init__(self, folder: str) -> None:
        super().__init__(folder)
        self.cache: dict[int, torch.Tensor] = {}

    def __getitem__(self, index: int) -> Any:
        if index not in self.cache:
            self.cache[index] = self.train_transform(self.data[index].clone())
        return self.cache[index].clone()


class NotShared(IterableDataset[Any]):
    """Every worker gives everything."""

    def __init__(self, folder: str) -> None:
        self.data = Rows(folder).data[:400]

    def __iter__(self) -> Any:
        yield from self.data.clone()


def not_shared(folder: str) -> DataLoader[Any]:
    return DataLoader(NotShared(folder), batch_size=32, num_workers=2)


AILING = {
    "Decode": "decoding",
    "SlowTransform": "transforming",
    "PythonLoop": "python",
    "ParsesText": "parsing JSON",
    "CopiesInDepth": "copying in depth",
    "SharedCache": "asking another process",
    "UnpacksWhole": "reads-too-much",
    "WholeFile": "reads-too-much",
    "Listing": "lists-folder",
    "Reopening": "reopens",
    "Sleeping": "waiting",
    "Locking": "waiting",
    "collating": "collating",
    "HugeForCrop": "decoded-larger",
    "eight_workers": "workers-cost",
    "mapped_spawn": "large-pickle",
    "ListOfDicts": "grows",
    "Frozen": "frozen",
    "SameNoise": "same-in-workers",
    "Doubles": "float64",
    "Outlier": "outlier",
    "WrongLabels": "lengths",
    "opened_before": "handles",
    "Unsorted": "unsorted",
    "Lent": "shared",
    "Leaking": "leaks",
    "spawned_lambda": "cannot-start",
    "HangsLater": "stuck",
    "EndsProcess": "stuck",
    "Exits": "broken-sample",
    "VerySlow": "waiting",
    "FrozenByCache": "frozen",
    "not_shared": "all-from-each",
}
