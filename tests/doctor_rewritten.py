"""Files that a remedy would write again, which hold more than what samples are slow to read. As in
`doctor_again`."""

from __future__ import annotations

import gzip
import sys
from types import ModuleType
from typing import Any, ClassVar

import h5py
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import torch
import zarr

from tests.doctor_again import FRAMES, Frames
from tests.doctor_habits import RowGroups


class Arm(Frames):
    """Frames of a robot in a group, with what belongs to them beside it."""

    def prepare(self) -> None:
        with h5py.File(self.folder / "arm.h5", "w") as file:
            group = file.create_group("camera")
            frames = group.create_dataset(
                "frames", data=self.rows, chunks=(20, 96, 96), compression="gzip",
                compression_opts=7, shuffle=True, fletcher32=True, fillvalue=3,
                maxshape=(None, 96, 96),
            )  # fmt: skip
            file["action"] = np.arange(FRAMES * 3.0).reshape(FRAMES, 3)
            file["note"], file["same"] = ["left", "right"], h5py.SoftLink("/camera/frames")
            file["time"] = np.arange(FRAMES)
            file["time"].make_scale("t")
            frames.dims[0].attach_scale(file["time"])
            frames.attrs.update({"unit": "counts", "gain": np.arange(3), "none": h5py.Empty("f4")})
            file.attrs["robot"], group.attrs["lens"] = "one", b"wide"

    def __getitem__(self, index: int) -> Any:
        with h5py.File(self.folder / "arm.h5") as file:
            frame = file["camera/frames"][index]  # the costly line
            return torch.from_numpy(frame), torch.from_numpy(file["action"][index])


class Climate(Frames):
    """A Zarr group whose metadata are gathered in one place, and in shards."""

    def prepare(self) -> None:
        store = zarr.open_group(str(self.folder / "c.zarr"), mode="w")
        store.attrs["title"] = "climate"
        made = store.create_array(
            "air/temperature", shape=self.rows.shape, chunks=(20, 96, 96), dtype="f4",
            shards=(40, 96, 96), fill_value=7, attributes={"unit": "K"},
            compressors=zarr.codecs.GzipCodec(level=1), dimension_names=("t", "y", "x"),
        )  # fmt: skip
        made[:] = self.rows
        store.create_array("time", data=np.arange(FRAMES))
        zarr.consolidate_metadata(str(self.folder / "c.zarr"))

    def __getitem__(self, index: int) -> Any:
        store = zarr.open_group(str(self.folder / "c.zarr"), mode="r")
        frame: Any = store["air/temperature"][index]  # type: ignore[index]  # the costly line
        return torch.from_numpy(frame), int(store["time"][index])  # type: ignore


class Crops(Arm):
    """A part of a frame that is drawn."""

    def __getitem__(self, index: int) -> Any:
        y, x = torch.randint(0, 64, (2,)).tolist()
        with h5py.File(self.folder / "arm.h5") as file:
            return torch.from_numpy(
                file["camera/frames"][index, y : y + 32, x : x + 32]  # the costly line
            )


class ArrayProxy:
    """As nibabel has it: an array in a file after `offset`, of which slices can be read."""

    def __init__(self, file_like: str, spec: Any) -> None:
        self.file_like = file_like
        self.shape, self.dtype, self.offset, self.slope, self.inter = spec
        self.ndim = len(self.shape)

    def __getitem__(self, selection: Any) -> Any:
        how: Any = gzip.open if self.file_like.endswith(".gz") else open
        with how(self.file_like, "rb") as file:
            flat = np.frombuffer(file.read(), self.dtype, offset=self.offset)
        return flat.reshape(self.shape)[selection] * self.slope + self.inter


class Scans(Frames):
    """Slices of packed volumes that have a header."""

    def prepare(self) -> None:
        module = sys.modules.setdefault("nibabel.arrayproxy", ModuleType("nibabel.arrayproxy"))
        module.ArrayProxy = ArrayProxy  # type: ignore[attr-defined]
        self.spec = (FRAMES, 96, 96), np.dtype("f4"), 7, 2.0, 1.0
        with gzip.open(self.folder / "v.nii.gz", "wb", 1) as file:
            file.write(b"header." + self.rows.tobytes())

    def __getitem__(self, index: int) -> Any:
        volume = ArrayProxy(str(self.folder / "v.nii.gz"), self.spec)
        return torch.from_numpy(volume[index])  # the costly line


class Ledger(RowGroups):
    """Columns are packed each in its own way, or not, and the table has a note."""

    packed: ClassVar[Any] = {"band_0": "GZIP", "band_1": "NONE"}

    def prepare(self) -> None:
        path = self.folder / "rows.parquet"
        drawn = np.arange(2 * self.count).reshape(2, -1)
        table = pa.table({f"band_{number}": row for number, row in enumerate(drawn)})
        table = table.replace_schema_metadata({"ward": "north"})
        if not path.exists():
            pq.write_table(table, path, row_group_size=17_000, compression=self.packed)
        super().prepare()


class Recording(Frames):
    """An archive of several arrays, of which samples take parts of two."""

    def prepare(self) -> None:
        np.savez_compressed(
            self.folder / "r.npz", frames=self.rows, flow=self.rows + 1, fps=np.array(30)
        )

    def __getitem__(self, index: int) -> Any:
        found = np.load(self.folder / "r.npz")
        frames, flow = found["frames"], found["flow"]  # the costly line
        return torch.from_numpy(frames[index] + flow[index])


class Bundles(Frames):
    """Each file holds several tensors that are views of larger ones."""

    def prepare(self) -> None:
        whole = torch.from_numpy(self.rows)
        for number in range(FRAMES):
            made = {"frame": whole[number, :32], "more": [whole[number, :2], number]}
            torch.save(made, self.folder / f"{number}.pt")

    def __getitem__(self, index: int) -> Any:
        return torch.load(self.folder / f"{index}.pt")["frame"]  # the costly line
