"""Datasets that do the same work again, or more of it than a sample needs; small, for probes and
remedies that are called in the tests' own process.

Each takes a folder, writes what it needs there, and marks the line that is to be named.
"""

from __future__ import annotations

import copy
import io
import json
import sqlite3
import tarfile
import time
import zipfile
from pathlib import Path
from typing import Any

import h5py
import lmdb
import numpy as np
import pandas as pd
import scipy.io.wavfile
import scipy.signal
import skimage.draw
import torch
import zarr
from PIL import Image
from torch.utils.data import DataLoader, Dataset

FRAMES = 40


class Frames(Dataset[Any]):
    """Samples are frames of one recording, or parts of a few."""

    count = FRAMES

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.rows = np.random.default_rng(0).integers(0, 99, (FRAMES, 96, 96)).astype(np.float32)
        self.prepare()

    def prepare(self) -> None:
        """Writes files."""

    def __len__(self) -> int:
        return self.count


class Archive(Frames):
    def prepare(self) -> None:
        np.savez_compressed(self.folder / "frames.npz", frames=self.rows)

    def __getitem__(self, index: int) -> torch.Tensor:
        found = np.load(self.folder / "frames.npz")
        return torch.from_numpy(found["frames"][index])  # the costly line


class Clips(Frames):
    """Parts of recordings that are read from end to end."""

    def prepare(self) -> None:
        for number in range(2):
            wave = np.arange(600_000, dtype=np.int16) + np.int16(number)
            scipy.io.wavfile.write(self.folder / f"{number}.wav", 8000, wave)

    def __getitem__(self, index: int) -> torch.Tensor:
        file, clip = divmod(index, FRAMES // 2)
        _, wave = scipy.io.wavfile.read(self.folder / f"{file}.wav")  # the costly line
        wave = wave.astype(np.float32) / 32_768
        return torch.from_numpy(wave[clip * 500 : clip * 500 + 500].copy())


class Slices(Frames):
    def prepare(self) -> None:
        whole = torch.from_numpy(self.rows)
        for number in range(FRAMES):
            torch.save(whole[number, :32], self.folder / f"{number}.pt")

    def __getitem__(self, index: int) -> torch.Tensor:
        return torch.load(self.folder / f"{index}.pt")  # the costly line


class Movie(Frames):
    """HDF5 in chunks of many frames."""

    def prepare(self) -> None:
        with h5py.File(self.folder / "movie.h5", "w") as file:
            file.create_dataset("frames", data=self.rows, chunks=(20, 96, 96), compression="gzip")

    def __getitem__(self, index: int) -> torch.Tensor:
        with h5py.File(self.folder / "movie.h5") as file:
            return torch.from_numpy(file["frames"][index])  # the costly line


class Hits(Frames):
    """Points of an HDF5 array that a long list names."""

    def prepare(self) -> None:
        with h5py.File(self.folder / "hits.h5", "w") as file:
            file["charge"] = self.rows.reshape(-1)
        self.wanted = [np.arange(at, 350_000 + at, 700).tolist() for at in range(FRAMES)]

    def __getitem__(self, index: int) -> torch.Tensor:
        with h5py.File(self.folder / "hits.h5") as file:
            return torch.from_numpy(file["charge"][self.wanted[index]])  # the costly line


class Weather(Frames):
    """Zarr in chunks of many times."""

    def prepare(self) -> None:
        store = zarr.open_array(
            str(self.folder / "w.zarr"), mode="w", shape=self.rows.shape, chunks=(20, 96, 96),
            dtype="float32",
        )  # fmt: skip
        store[:] = self.rows

    def __getitem__(self, index: int) -> torch.Tensor:
        store = zarr.open_array(str(self.folder / "w.zarr"), mode="r")
        return torch.from_numpy(np.asarray(store[index, 8:40, 8:40]))  # the costly line


class Notes(Frames):
    """One file of notes on all samples, parsed for each of them."""

    def prepare(self) -> None:
        notes = {str(n): list(range(n, n + 100)) for n in range(FRAMES)}
        (self.folder / "notes.json").write_text(json.dumps(notes))

    def __getitem__(self, index: int) -> torch.Tensor:
        with (self.folder / "notes.json").open() as file:
            notes = json.load(file)  # the costly line
        return torch.tensor(notes[str(index)])


class Zipped(Frames):
    """An archive with many members, opened for each sample."""

    def prepare(self) -> None:
        with zipfile.ZipFile(self.folder / "all.zip", "w") as file:
            for number in range(1000):
                file.writestr(f"{number}.raw", bytes([number % 256]) * 64)

    def __getitem__(self, index: int) -> torch.Tensor:
        with zipfile.ZipFile(self.folder / "all.zip") as file:
            return torch.frombuffer(bytearray(file.read(f"{index}.raw")), dtype=torch.uint8)


class Tarred(Frames):
    """The same of a tar file, which has no index: opening it reads all names."""

    def prepare(self) -> None:
        with tarfile.open(self.folder / "all.tar", "w") as file:
            for number in range(FRAMES):
                member = tarfile.TarInfo(f"{number}.raw")
                member.size = 64
                file.addfile(member, io.BytesIO(bytes([number]) * 64))

    def __getitem__(self, index: int) -> torch.Tensor:
        with tarfile.open(self.folder / "all.tar") as file:
            member = file.extractfile(f"{index}.raw")
            assert member is not None
            return torch.frombuffer(bytearray(member.read()), dtype=torch.uint8)


class Packed(Frames):
    """A compressed tar file, unpacked up to its member for each sample."""

    def prepare(self) -> None:
        with tarfile.open(self.folder / "all.tar.gz", "w:gz", compresslevel=1) as file:
            for number, row in enumerate(self.rows):
                member = tarfile.TarInfo(f"{number}.raw")
                member.size = row.nbytes
                file.addfile(member, io.BytesIO(row.tobytes()))

    def __getitem__(self, index: int) -> torch.Tensor:
        with tarfile.open(self.folder / "all.tar.gz") as file:
            member = file.extractfile(f"{index}.raw")  # the costly line
            assert member is not None
            return torch.frombuffer(bytearray(member.read()), dtype=torch.float32)


class Environment(Frames):
    """A store whose opening is no call that the profiler sees."""

    def prepare(self) -> None:
        with lmdb.open(str(self.folder / "store")) as store, store.begin(write=True) as writing:
            for number in range(FRAMES):
                writing.put(b"%d" % number, self.rows[number, 0].tobytes())

    def __getitem__(self, index: int) -> torch.Tensor:
        store = lmdb.open(str(self.folder / "store"), readonly=True, lock=False)  # the costly line
        with store.begin() as reading:
            found = reading.get(b"%d" % index)
        store.close()
        return torch.from_numpy(np.frombuffer(found, np.float32).copy())


class Ward(Frames):
    """A query a sample, without an index."""

    def prepare(self) -> None:
        self.connection: Any = None
        with sqlite3.connect(self.folder / "ward.db") as connection:
            connection.execute("CREATE TABLE readings (bed INTEGER, value REAL)")
            rows = ((number % FRAMES, float(number)) for number in range(20_000))
            connection.executemany("INSERT INTO readings VALUES (?, ?)", rows)
        connection.close()

    def __getitem__(self, index: int) -> torch.Tensor:
        if self.connection is None:
            self.connection = sqlite3.connect(self.folder / "ward.db")
        found = self.connection.execute(
            "SELECT value FROM readings WHERE bed = ? ORDER BY value", (index,)
        ).fetchall()
        return torch.tensor(found)


class Clouds(Frames):
    """Text that is parsed in each read, of which points are drawn."""

    def prepare(self) -> None:
        for number, row in enumerate(self.rows[:8]):
            np.savetxt(self.folder / f"{number}.txt", row[:, :4], delimiter=",")

    count = 8

    def __getitem__(self, index: int) -> torch.Tensor:
        cloud = np.loadtxt(self.folder / f"{index}.txt", delimiter=",")  # the costly line
        return torch.from_numpy(cloud[np.random.randint(len(cloud), size=32)])


class Spectra(Frames):
    """A signal is resampled in each read, and a random part of it is taken."""

    def __getitem__(self, index: int) -> torch.Tensor:
        wave = scipy.signal.resample(self.rows[index].reshape(-1), 7919)  # the costly line
        start = np.random.randint(len(wave) - 100)
        return torch.from_numpy(wave[start : start + 100].copy())


def thinned(points: Any) -> Any:
    """Of the user's own, from a start that is drawn."""
    return np.roll(np.sort(np.tile(points, 9)), np.random.randint(500))[:500]  # costly


class Thinned(Frames):
    def __getitem__(self, index: int) -> torch.Tensor:
        return torch.from_numpy(thinned(self.rows[index].reshape(-1)))  # the costly line


class Negatives(Frames):
    """A few of very many, each time; in C that the profiler does not see."""

    def __getitem__(self, index: int) -> torch.Tensor:
        drawn = np.random.choice(200_000, 20, replace=False)  # the costly line
        return torch.from_numpy(drawn)


class Polygons(Frames):
    def prepare(self) -> None:
        angles = np.linspace(0, 2 * np.pi, 30, endpoint=False)
        circle = np.stack([np.sin(angles), np.cos(angles)], axis=1)
        self.rings = [60 + (20 + number) * circle for number in range(FRAMES)]

    def __getitem__(self, index: int) -> torch.Tensor:
        mask = skimage.draw.polygon2mask((120, 120), self.rings[index])  # the costly line
        return torch.from_numpy(mask)


class Copies(Frames):
    def prepare(self) -> None:
        self.records = [{"id": n, "boxes": [[n, n] for _ in range(300)]} for n in range(FRAMES)]

    def __getitem__(self, index: int) -> torch.Tensor:
        record = copy.deepcopy(self.records[index])  # the costly line
        boxes: Any = record.pop("boxes")
        return torch.tensor(boxes)


class Table(Frames):
    """A row of a table, cell by cell."""

    def prepare(self) -> None:
        names = [f"band_{number}" for number in range(50)]
        self.table = pd.DataFrame(self.rows[:, 0, :50], columns=names)

    def __getitem__(self, index: int) -> torch.Tensor:
        row = self.table.iloc[index]
        return torch.tensor([float(row[f"band_{number}"]) for number in range(50)])


class Scenes(Frames):
    """Windows of a compressed picture."""

    def prepare(self) -> None:
        picture = np.random.default_rng(0).integers(0, 9, (600, 600, 3), np.uint8)
        Image.fromarray(picture).save(self.folder / "scene.tif", compression="tiff_lzw")

    def __getitem__(self, index: int) -> torch.Tensor:
        pixels = np.array(Image.open(self.folder / "scene.tif"))  # the costly line
        return torch.from_numpy(pixels[index : index + 50, :50].copy())


class Uneven(Frames):
    def __getitem__(self, index: int) -> torch.Tensor:
        time.sleep(0.02 if index % 10 == 3 else 0.0005)
        return torch.from_numpy(self.rows[index])


class Thing:
    """An object that holds tensors."""

    def __init__(self, number: int) -> None:
        self.number = number
        for name in "abcdef":
            setattr(self, name, torch.full((8,), float(number)))


class Things(Frames):
    def __getitem__(self, index: int) -> Thing:
        return Thing(index)


def as_list(samples: list[Any]) -> list[Any]:
    return samples


def number_by_number(samples: list[Any]) -> torch.Tensor:
    return torch.tensor(samples)


class Arrays(Frames):
    def __getitem__(self, index: int) -> Any:
        return self.rows[index, :16]


def things(folder: Path) -> DataLoader[Any]:
    return DataLoader(Things(folder), batch_size=16, num_workers=2, collate_fn=as_list)


def collated(folder: Path) -> DataLoader[Any]:
    return DataLoader(Arrays(folder), batch_size=16, collate_fn=number_by_number)


def uneven(folder: Path) -> DataLoader[Any]:
    return DataLoader(Uneven(folder), batch_size=8, num_workers=2)


class Decoded(Frames):
    """Healthy: what it needs is read once."""

    def __getitem__(self, index: int) -> torch.Tensor:
        return torch.from_numpy(np.sort(self.rows[index], axis=None))


class MappedFrames(Frames):
    """Healthy: each read maps the file and takes a row."""

    def prepare(self) -> None:
        np.save(self.folder / "rows.npy", self.rows)

    def __getitem__(self, index: int) -> torch.Tensor:
        return torch.from_numpy(np.load(self.folder / "rows.npy", mmap_mode="r")[index].copy())


class Blank(Frames):
    """Healthy: each sample is written into an array of its own."""

    def __getitem__(self, index: int) -> torch.Tensor:
        made = torch.ones(20, 96, 96)  # the costly line
        made[0] = torch.from_numpy(self.rows[index])
        return made


class Drawn(Frames):
    """Healthy: the same arguments give other numbers each time."""

    def __getitem__(self, index: int) -> torch.Tensor:
        return torch.from_numpy(np.random.normal(size=(96, 96)))
