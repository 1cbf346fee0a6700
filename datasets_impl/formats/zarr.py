"""Zarr: pixels in one array, images x height x width x 3, a chunk (a file) for each image."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import zarr

from datasets_impl.formats.images import StoredImages
from datasets_impl.formats.plan import Format, Plan
from datasets_impl.formats.stored import Kind

DATA = "data.zarr"


class ZarrWriter:
    """Uncompressed: photographs' pixels hardly compress, and every reader would pay for it."""

    def __init__(self, folder: Path, plan: Plan) -> None:
        self.shape = plan.shape
        path = folder / DATA
        if path.exists():
            self.array: Any = zarr.open_array(path, mode="r+")
        else:
            self.array = zarr.create_array(
                store=path,
                shape=(len(plan.paths), *plan.shape),
                chunks=(1, *plan.shape),
                dtype="uint8",
                compressors=None,
                fill_value=0,
                config={"write_empty_chunks": True},
            )

    def write(self, number: int, indices: range, pieces: Sequence[bytes]) -> None:
        flat = np.frombuffer(b"".join(pieces), np.uint8)
        self.array[indices.start : indices.stop] = flat.reshape(len(indices), *self.shape)

    def read_back(self, number: int, indices: range) -> list[bytes]:
        return [row.tobytes() for row in self.array[indices.start : indices.stop]]

    def offsets(self) -> None:
        return None

    def close(self) -> None:
        return None  # every chunk is a file that was closed when it was written


class ZarrFormat(Format):
    name = "zarr"
    kinds: tuple[Kind, ...] = ("pixels",)

    def writer(self, folder: Path, plan: Plan) -> ZarrWriter:
        return ZarrWriter(folder, plan)


class ZarrImages(StoredImages):
    format = ZarrFormat.name

    def open(self) -> Any:
        return zarr.open_array(self.folder / DATA, mode="r")

    def get(self, handle: Any, index: int) -> np.ndarray[Any, np.dtype[np.uint8]]:
        self.require_same()  # every image is a file that is opened now
        return np.ascontiguousarray(handle[index])
