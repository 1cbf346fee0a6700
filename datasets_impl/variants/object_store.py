"""Datasets over an object store: one request for each item, JPEG or raw-pixel objects (C03, X05).

A sample is a uint8 tensor, height x width x channel, 0-255, as `naive-fixed` gives it from a
folder. Construction takes the store's address, with its list of keys, and connects to nothing;
memory holds the keys. Each process connects on its first item, because neither connections nor
the event loop behind them survive a fork. Pickles to the address and the keys.
"""

from __future__ import annotations

import io
import os
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch.utils.data import Dataset

from datasets_impl.files.pictures import decoded, jpeg_files
from datasets_impl.indexing import position
from datasets_impl.media.object_store import StoreAddress, open_store


class _Objects(Dataset[torch.Tensor]):
    def __init__(self, address: StoreAddress) -> None:
        self.address = address
        self._store: Any = None
        self._owner = 0  # the process that connected

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_store": None, "_owner": 0}

    def __len__(self) -> int:
        return len(self.address.keys)

    def fetch(self, index: int) -> bytes:
        """The bytes of one object, by one GET.

        Raises:
            NoSuchItem: no such item.
            FileNotFoundError: the object is gone.
        """
        key = self.address.keys[position(index, len(self), "the object store")]
        if self._owner != os.getpid():
            self._store, self._owner = open_store(self.address), os.getpid()
        return bytes(self._store.cat_file(self.address.path(key)))


class JpegObjects(_Objects):
    """Fetch a JPEG object and decode it, on every access."""

    def __getitem__(self, index: int) -> torch.Tensor:
        fetched = io.BytesIO(self.fetch(index))
        return torch.from_numpy(decoded(fetched, self.address.keys[index]))


class RawObjects(_Objects):
    """Fetch an object of pixels in NumPy's `.npy` format, on every access."""

    def __getitem__(self, index: int) -> torch.Tensor:
        return torch.from_numpy(np.load(io.BytesIO(self.fetch(index)), allow_pickle=False))


def write_raw_objects(jpegs: str | Path, folder: str | Path) -> None:
    """Decode each JPEG file of `jpegs` into a `.npy` file of the same stem in `folder`."""
    for path in jpeg_files(jpegs):
        np.save(Path(folder) / f"{Path(path).stem}.npy", decoded(path))
