"""Datasets that pad, grow arrays, connect, hash, or go through all they hold, for each sample; and
healthy ones that look alike. As in `doctor_again`.
"""

from __future__ import annotations

import base64
import hashlib
import socket
import sqlite3
import subprocess
import threading
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import h5py
import lmdb
import numpy as np
import pyarrow as pa
import torch
import zarr
from PIL import Image
from torch.nn.utils.rnn import pad_sequence
from torch.utils.data import DataLoader

from tests.doctor_again import FRAMES, Frames, Ward


class Padded(Frames):
    """Utterances, filled up to 2,000 frames."""

    at_end, longest = True, 2000

    def held(self, index: int) -> Any:
        return np.random.default_rng(index).random((20 + 5 * (index % 9), 40), np.float32)

    def __getitem__(self, index: int) -> Any:
        held = self.held(index)
        padded = np.zeros((self.longest, 40), np.float32)
        padded[slice(0, len(held)) if self.at_end else slice(-len(held), None)] = held
        return torch.from_numpy(padded), len(held)  # the costly line


class PaddedBefore(Padded):
    at_end = False


class NearlyFull(Padded):
    """The longest needs most of it."""

    longest = 70


class AsLong(Padded):
    """Pads in the collate function."""

    def __getitem__(self, index: int) -> Any:
        return torch.from_numpy(self.held(index))


class OneHot(Padded):
    """Mostly zeros, after a one."""

    def __getitem__(self, index: int) -> Any:
        return torch.nn.functional.one_hot(torch.tensor(index % 8), 2000).float()


def as_long(folder: Any) -> DataLoader[Any]:
    return DataLoader(AsLong(folder), batch_size=8, collate_fn=lambda some: pad_sequence(some))


class Stacked(Frames):
    """A row after the other."""

    def __getitem__(self, index: int) -> torch.Tensor:
        whole = np.empty((0, 96), np.float32)
        for row in self.rows[index]:
            whole = np.vstack((whole, row))  # the costly line
        return torch.from_numpy(whole)


class Joined(Frames):
    """The same in PyTorch, in a function of its own."""

    def __getitem__(self, index: int) -> torch.Tensor:
        return joined(torch.from_numpy(self.rows[index]))


def joined(rows: torch.Tensor) -> torch.Tensor:
    whole = torch.empty(0, 96)
    for row in rows:
        whole = torch.cat([whole, row[None]])  # grows
    return whole


class JoinedOnce(Frames):
    def __getitem__(self, index: int) -> torch.Tensor:
        parts = []
        for row in self.rows[index]:
            parts.append(row)
        whole = np.concatenate(parts)
        return torch.from_numpy(whole)


class Verified(Frames):
    """Its checksum is made for each read."""

    def prepare(self) -> None:
        (self.folder / "all.raw").write_bytes(self.rows.tobytes())

    def __getitem__(self, index: int) -> torch.Tensor:
        data = (self.folder / "all.raw").read_bytes()
        found = hashlib.sha512(data).digest()  # the costly line
        return torch.frombuffer(bytearray(found), dtype=torch.uint8)


class AsText(Frames):
    """Pixels in base64."""

    def prepare(self) -> None:
        self.texts = [base64.b64encode(self.rows.tobytes()).decode()] * FRAMES

    def __getitem__(self, index: int) -> torch.Tensor:
        data = base64.b64decode(self.texts[index])  # the costly line
        return torch.frombuffer(bytearray(data[:64]), dtype=torch.uint8)


class ByProgram(Frames):
    """Another program reads the file."""

    def prepare(self) -> None:
        (self.folder / "frame.raw").write_bytes(self.rows[0].tobytes())

    def __getitem__(self, index: int) -> torch.Tensor:
        data = subprocess.check_output(["cat", self.folder / "frame.raw"])  # the costly line
        return torch.frombuffer(bytearray(data), dtype=torch.float32)


class InOrder(Frames):
    """All keys are put in order for each sample."""

    def prepare(self) -> None:
        drawn = np.random.default_rng(0).permutation(60_000)
        self.poses = {f"{number:06}": number for number in drawn.tolist()}

    def __getitem__(self, index: int) -> torch.Tensor:
        key = sorted(self.poses)[index]  # the costly line
        return torch.tensor(self.poses[key])


class Asked(Frames):
    """Each sample from a server that closes the connection after it."""

    def prepare(self) -> None:
        self.server = socket.create_server(("127.0.0.1", 0))
        self.address = self.server.getsockname()
        threading.Thread(target=self.answer, daemon=True).start()

    def answer(self) -> None:
        while True:
            opened, _ = self.server.accept()
            with opened:
                opened.recv(64)
                opened.sendall(bytes(64))

    def __getitem__(self, index: int) -> torch.Tensor:
        with socket.create_connection(self.address) as opened:  # the costly line
            opened.sendall(b"%d" % index)
            return torch.frombuffer(bytearray(opened.recv(64)), dtype=torch.uint8)


class Client:
    """Holds next to nothing, and is slow to make."""

    def __init__(self) -> None:
        self.opened = bool(np.sort(np.random.default_rng(0).random(9000)).any())

    def get(self, index: int) -> torch.Tensor:
        return torch.full((8,), index)


def client_of(bucket: str) -> Client:
    return Client()


class ClientAnew(Frames):
    def __getitem__(self, index: int) -> torch.Tensor:
        client = client_of("pictures")  # the costly line
        return client.get(index)


class ClientOnce(Frames):
    client: Client | None = None

    def __getitem__(self, index: int) -> torch.Tensor:
        if self.client is None:
            self.client = client_of("pictures")
        return self.client.get(index)


def unpacked(path: Any) -> Any:
    return np.sort(np.load(path), axis=None)


class ReadTwice(Frames):
    """Reads the file once for its size and once for what it holds."""

    def prepare(self) -> None:
        for index, row in enumerate(self.rows):
            np.save(self.folder / f"{index}.npy", row)

    def __getitem__(self, index: int) -> Any:
        sizes = [unpacked(self.folder / f"{index}.npy") for _ in range(2)]  # the costly line
        return torch.from_numpy(sizes[0]), len(sizes[1])


class ReadTwo(ReadTwice):
    """Mixes two samples: no file twice."""

    def __getitem__(self, index: int) -> Any:
        one, other = (
            unpacked(self.folder / f"{at % FRAMES}.npy")  # the costly line
            for at in (index, index + 1)
        )
        return torch.from_numpy(one + other)


class Many(Frames):
    """As many labels as samples."""

    count = 4000

    def prepare(self) -> None:
        rng = np.random.default_rng(0)
        self.labels = rng.integers(0, 9, self.count).tolist()
        self.points = rng.random((self.count, 64), np.float32)
        self.matrix = rng.random((64, 64), np.float32)


class SameLabel(Many):
    """Looks for others with its label among all."""

    def __getitem__(self, index: int) -> Any:
        own = self.labels[index]
        same = [at for at, one in enumerate(self.labels) if one == own]  # the costly line
        return torch.from_numpy(self.points[same[:2]])


class Scaled(Many):
    """Scales all, to take one."""

    def __getitem__(self, index: int) -> Any:
        points = self.points
        part = ((points - 0.5) / 0.25)[index]  # the costly line
        return torch.from_numpy(part)


class InLoop(Many):
    def __getitem__(self, index: int) -> Any:
        count = 0
        for one in self.labels:
            count += one == self.labels[index]  # the costly line
        return torch.tensor([count])


class OwnPart(Many):
    """Its own row, and a matrix that is the same for all."""

    def __getitem__(self, index: int) -> Any:
        part = np.linalg.inv(self.matrix + self.points[index])  # the costly line
        return torch.from_numpy(part)


class Tiles(Frames):
    """Zarr in chunks far smaller than a sample."""

    def prepare(self) -> None:
        store = zarr.open_array(
            str(self.folder / "t.zarr"), mode="w", shape=(4, 96, 96), chunks=(1, 8, 8),
            dtype="float32",
        )  # fmt: skip
        store[:] = self.rows[:4]

    def __getitem__(self, index: int) -> torch.Tensor:
        store = zarr.open_array(str(self.folder / "t.zarr"), mode="r")
        return torch.from_numpy(np.asarray(store[index % 4]))  # the costly line


class SomeNaN(Frames):
    """Constant rows are divided by their deviation."""

    def prepare(self) -> None:
        self.rows[::8] = 1.0

    def __getitem__(self, index: int) -> torch.Tensor:
        with np.errstate(all="ignore"):
            return torch.from_numpy(self.rows[index] / self.rows[index].std() * 0.0 + 1.0)


class Missing(Frames):
    """Some values of each sample are missing."""

    def __getitem__(self, index: int) -> torch.Tensor:
        row = self.rows[index].copy()
        row[index % 96] = np.nan
        return torch.from_numpy(row)


class Vocabulary:
    """As tokenisers of libraries: a class is asked to read one."""

    def __init__(self, words: dict[str, int]) -> None:
        self.words = words

    @classmethod
    def of(cls, size: int) -> Vocabulary:
        return cls({f"word-{number}": number for number in range(size)})


class LoadsVocabulary(Frames):
    def __getitem__(self, index: int) -> torch.Tensor:
        vocabulary = Vocabulary.of(2000)  # the costly line
        return torch.tensor(vocabulary.words[f"word-{index}"])


class ArrowRows(Frames):
    """Rows of an Arrow table, as Python lists."""

    def prepare(self) -> None:
        self.table = pa.table({"row": pa.array(self.rows.reshape(FRAMES, -1).tolist())})

    def __getitem__(self, index: int) -> torch.Tensor:
        row = self.table.slice(index, 1).to_pylist()[0]["row"][:9]  # the costly line
        return torch.from_numpy(np.array(row))


class Line(Frames):
    """A line of a file that is read from its start."""

    count = 12_000

    def prepare(self) -> None:
        lines = (f"{number} " * 12 + "\n" for number in range(self.count))
        (self.folder / "corpus.txt").write_text("".join(lines))

    def __getitem__(self, index: int) -> torch.Tensor:
        with (self.folder / "corpus.txt").open() as file:
            for number, text in enumerate(file):  # the costly line
                if number == index:
                    return torch.tensor([int(one) for one in text.split()])
        raise IndexError(index)


class WardAnew(Ward):
    """Connects for each sample."""

    def __getitem__(self, index: int) -> torch.Tensor:
        with sqlite3.connect(self.folder / "ward.db") as connection:
            found = connection.execute("SELECT value FROM readings LIMIT 4").fetchall()
        connection.close()
        return torch.tensor(found)


class MadeLarge(Frames):
    """A picture is enlarged, and a small part of it is taken."""

    def __getitem__(self, index: int) -> torch.Tensor:
        picture = Image.fromarray(self.rows[index].astype(np.uint8))
        picture = picture.resize((400, 400))  # the costly line
        picture = picture.crop((0, 0, 40, 40))  # the part
        return torch.from_numpy(np.array(picture))


class PoolAnew(Frames):
    """A pool of threads for work that takes less than to start one of them."""

    def __getitem__(self, index: int) -> torch.Tensor:
        with ThreadPoolExecutor(max_workers=16) as pool:
            parts = list(pool.map(np.sum, self.rows[index][:16]))  # the costly line
        return torch.tensor(parts)


class PoolKept(Frames):
    """The same, in a pool that stays."""

    def prepare(self) -> None:
        self.pool: Any = None

    def __getitem__(self, index: int) -> torch.Tensor:
        if self.pool is None:
            self.pool = ThreadPoolExecutor(max_workers=2)
        return torch.tensor(list(self.pool.map(np.sum, self.rows[index][:16])))


def filled_up(samples: list[Any]) -> torch.Tensor:
    """To the length of the longest of all, whatever the batch holds."""
    batch = torch.zeros(len(samples), 2000, 40)
    for place, one in enumerate(samples):
        batch[place, : len(one)] = one
    return batch


def filled_up_with_lengths(samples: list[Any]) -> Any:
    return filled_up(samples), torch.tensor([len(one) for one in samples])


def filled(folder: Any, collate: Any) -> DataLoader[Any]:
    return DataLoader(AsLong(folder), batch_size=8, collate_fn=collate)


class Gzipped(Frames):
    """A chunk for each sample, which HDF5 unpacks."""

    compression: str | None = "gzip"

    def prepare(self) -> None:
        with h5py.File(self.folder / "rows.h5", "w") as file:
            file.create_dataset(
                "rows", data=self.rows, chunks=(1, *self.rows.shape[1:]),
                compression=self.compression,
            )  # fmt: skip
        self.file: Any = None

    def __getitem__(self, index: int) -> torch.Tensor:
        if self.file is None:
            self.file = h5py.File(self.folder / "rows.h5", "r")
        return torch.from_numpy(self.file["rows"][index])  # the costly line


class AsItIs(Gzipped):
    compression = None


class Across(Frames):
    """A column of a table that lies in rows."""

    def prepare(self) -> None:
        self.voxels = np.arange(2_000_000, dtype=np.float32).reshape(20_000, 100)

    def __getitem__(self, index: int) -> torch.Tensor:
        return torch.from_numpy(self.voxels[:, index].copy())  # the costly line


class AcrossTensor(Across):
    """Of PyTorch, and by an axis in the middle."""

    def prepare(self) -> None:
        self.voxels = torch.arange(2_000_000).reshape(4000, 100, 5)  # type: ignore[assignment]

    def __getitem__(self, index: int) -> torch.Tensor:
        return self.voxels[:, index] + 1  # type: ignore[return-value]  # the costly line


class Along(Across):
    def __getitem__(self, index: int) -> torch.Tensor:
        return torch.from_numpy(self.voxels[index].copy())  # the costly line


class AcrossInOrder(Across):
    """Its memory is in the order that columns ask for."""

    def prepare(self) -> None:
        super().prepare()
        self.voxels = np.asfortranarray(self.voxels)

    def __getitem__(self, index: int) -> torch.Tensor:
        return torch.from_numpy(self.voxels[:, index].copy())  # the costly line


class NumberByNumber(Frames):
    """A file that is read two bytes at a time."""

    def prepare(self) -> None:
        (self.folder / "row").write_bytes(bytes(4000))

    def __getitem__(self, index: int) -> torch.Tensor:
        found = []
        with (self.folder / "row").open("rb") as file:
            for _ in range(2000):
                found.append(file.read(2)[0])  # the costly line
        return torch.tensor(found)


class PartByPart(Frames):
    """A file that is read in large parts."""

    def prepare(self) -> None:
        (self.folder / "row").write_bytes(bytes(100 << 18))

    def __getitem__(self, index: int) -> torch.Tensor:
        found = 0
        with (self.folder / "row").open("rb") as file:
            for _ in range(100):
                found += len(file.read(1 << 18))  # the costly line
        return torch.tensor(found)


class ArchiveAnew(Frames):
    """An archive of many arrays, each of which is a sample."""

    def prepare(self) -> None:
        np.savez(self.folder / "rows.npz", **{f"row{at}": row for at, row in enumerate(self.rows)})

    def __getitem__(self, index: int) -> torch.Tensor:
        return torch.from_numpy(np.load(self.folder / "rows.npz")[f"row{index}"])


class RowFiles(Frames):
    """Each a file of its own, which nobody keeps open."""

    def prepare(self) -> None:
        for at, row in enumerate(self.rows):
            np.save(self.folder / f"{at}.npy", row)

    def __getitem__(self, index: int) -> torch.Tensor:
        return torch.from_numpy(np.load(self.folder / f"{index}.npy"))


class StoreLate(Frames):
    """LMDB, opened when the first sample is read."""

    def prepare(self) -> None:
        with lmdb.open(str(self.folder / "rows")) as store, store.begin(write=True) as writing:
            for index in range(FRAMES):
                writing.put(str(index).encode(), bytes([index]))
        self.store: Any = None

    def __getitem__(self, index: int) -> torch.Tensor:
        if self.store is None:
            self.store = lmdb.open(str(self.folder / "rows"), readonly=True, lock=False)
        with self.store.begin() as reading:
            return torch.tensor(list(reading.get(str(index).encode())))


class JoinedAnew(Frames):
    """All episodes are made one, for a step of one of them."""

    def prepare(self) -> None:
        self.episodes = [*self.rows.reshape(20, -1, 96)]

    def __getitem__(self, index: int) -> torch.Tensor:
        steps = np.concatenate(self.episodes)  # the costly line
        return torch.from_numpy(steps[index])


class OwnEpisode(JoinedAnew):
    """The list is gone through, and not what its arrays hold."""

    def __getitem__(self, index: int) -> torch.Tensor:
        for episode in self.episodes:  # the costly line
            if index < len(episode):
                break
            index -= len(episode)
        return torch.from_numpy(episode[index])


class SeenByUsers(Frames):
    """What a user has seen is looked up in a list of their own, time and again."""

    def prepare(self) -> None:
        self.seen = [list(range(at, 4000 + at)) for at in range(FRAMES)]

    def __getitem__(self, index: int) -> torch.Tensor:
        seen, first = self.seen[index], 3990
        found = [one for one in range(first, 4020) if one not in seen]  # the costly line
        return torch.tensor(found)


class SeenBySets(SeenByUsers):
    def prepare(self) -> None:
        self.seen = [set(range(at, 4000 + at)) for at in range(FRAMES)]  # type: ignore[misc]

    def __getitem__(self, index: int) -> torch.Tensor:
        seen = self.seen[index]
        found = [one for one in range(3990, 4020) if one not in seen]  # the costly line
        return torch.tensor(found)
