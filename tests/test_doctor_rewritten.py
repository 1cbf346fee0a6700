"""What a remedy writes again keeps all that the file held: its lines are run, and the whole of what
they write is compared."""

from __future__ import annotations

import functools
import gzip
import shutil
import zipfile
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pyarrow.parquet as pq
import pytest
import torch
import zarr

from datasets_impl.doctor.remedies import rechunked as module
from datasets_impl.doctor.remedies import row_groups as row_groups_module
from datasets_impl.doctor.remedies.clones import clones
from datasets_impl.doctor.remedies.kept_results import read_once, unpacked
from datasets_impl.doctor.remedies.rechunked import rechunked
from datasets_impl.doctor.remedies.remedy import Context, Inapplicable, seeded
from datasets_impl.doctor.remedies.rewriting import piece_of
from datasets_impl.doctor.remedies.row_groups import row_groups
from tests import doctor_rewritten
from tests.doctor_again import Weather
from tests.test_doctor_again import context, same_samples, with_share


def lines_of(make: Any, name: str, folder: Path) -> str:
    return checked(make, context(getattr(doctor_rewritten, name)(folder), folder))


def checked(make: Any, at: Context) -> str:
    (remedy,) = make(at)
    same_samples(at, remedy)
    return str(remedy.lines)


def run(lines: str, **names: Any) -> dict[str, Any]:
    space = {"shutil": shutil, "h5py": h5py, "zarr": zarr, "np": np, "torch": torch, **names}
    exec(lines, space)
    return space


def test_an_hdf5_file_is_written_again_with_all_that_it_holds(tmp_path: Path) -> None:
    lines = lines_of(rechunked, "Arm", tmp_path)
    assert "h5repack -l /camera/frames:CHUNK=1x96x96 " in lines
    run(lines, path=tmp_path / "arm.h5", new=tmp_path / "new.h5")
    with h5py.File(tmp_path / "arm.h5") as old, h5py.File(tmp_path / "new.h5") as new:
        known: list[str] = []
        old.visit(known.append)
        assert sorted([*known, "same"]) == sorted([*visited(new), "same"])
        for name in ["/", *known, "same"]:
            one, two = old[name], new[name]
            assert dict_of(one.attrs) == dict_of(two.attrs) and type(one) is type(two)
            if isinstance(one, h5py.Dataset):
                assert one.dtype == two.dtype and np.array_equal(one[()], two[()])
                assert one.maxshape == two.maxshape and one.fillvalue == two.fillvalue
        made = new["camera/frames"]
        assert made.chunks == (1, 96, 96) and new.get("same", getlink=True).path == made.name
        assert (made.compression, made.compression_opts) == ("gzip", 7)
        assert made.shuffle and made.fletcher32 and made.dims[0].keys() == ["t"]
    assert (tmp_path / "new.h5").stat().st_size < 2 * (tmp_path / "arm.h5").stat().st_size


def visited(file: Any) -> list[str]:
    found: list[str] = []
    file.visit(found.append)
    return found


def dict_of(attributes: Any) -> dict[str, str]:
    return {name: repr(value) for name, value in attributes.items() if name != "REFERENCE_LIST"}


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:Consolidated metadata")
def test_a_zarr_store_is_written_again_with_all_that_it_holds(tmp_path: Path) -> None:
    """In shards; the array that is a store by itself, below, is in none."""
    lines = lines_of(rechunked, "Climate", tmp_path)
    run(lines, path=tmp_path / "c.zarr", new=tmp_path / "new.zarr")
    old, new = (zarr.open_group(str(tmp_path / one), mode="r") for one in ("c.zarr", "new.zarr"))
    assert dict(old.attrs) == dict(new.attrs) and new.metadata.consolidated_metadata
    both = [dict(one.members(max_depth=None)) for one in (old, new)]
    assert both[0].keys() == both[1].keys() == {"air", "air/temperature", "time"}
    for name, one in both[0].items():
        two: Any = both[1][name]
        assert dict(one.attrs) == dict(two.attrs)
        if isinstance(one, zarr.Array):
            assert np.array_equal(one[:], two[:]) and one.compressors == two.compressors
            assert (one.fill_value, one.shards) == (two.fill_value, two.shards)
            assert one.metadata.dimension_names == two.metadata.dimension_names
    assert new["air/temperature"].chunks == (1, 96, 96)


def test_an_array_that_is_a_store_by_itself_is_written_again(tmp_path: Path) -> None:
    at = context(Weather(tmp_path), tmp_path)
    (remedy,) = rechunked(at)
    run(remedy.lines, path=tmp_path / "w.zarr", new=tmp_path / "new.zarr")
    old, new = (zarr.open_array(str(tmp_path / one), mode="r") for one in ("w.zarr", "new.zarr"))
    assert new.chunks == (1, 32, 32) and np.array_equal(new[:], old[:])


def test_a_packed_volume_is_unpacked_with_its_header(tmp_path: Path) -> None:
    lines = lines_of(rechunked, "Scans", tmp_path).partition("\nvolume")[0]
    run(lines, gzip=gzip, path=tmp_path / "v.nii.gz", new=tmp_path / "v.nii")
    with gzip.open(tmp_path / "v.nii.gz") as file:
        assert file.read() == (tmp_path / "v.nii").read_bytes()


@pytest.mark.parametrize(
    ("shape", "chunk", "found"),
    [
        ((1000, 96, 96), (20, 96, 96), (0, 100)),
        ((1000, 96, 96), (100, 12, 12), (0, 100)),
        ((3, 1_000_000), (3, 10), (1, 333_330)),
        ((2, 10_000_000), (2, 5_000_000), (1, 500_000)),  # one chunk is too much
    ],
)
def test_an_array_is_read_piece_by_piece(shape: Any, chunk: Any, found: Any) -> None:
    assert piece_of(shape, chunk, 4, 4_000_000) == found


@pytest.mark.parametrize("packed", [doctor_rewritten.Ledger.packed, "ZSTD", "NONE"])
def test_a_parquet_file_is_written_again_with_all_that_it_holds(
    packed: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(doctor_rewritten.Ledger, "packed", packed)
    monkeypatch.setattr(row_groups_module, "STEPS", 2)
    at = context(doctor_rewritten.Ledger(tmp_path), tmp_path, **with_share("reading"))
    for call in at.seen["repeats"]["calls"]:  # its line is that of the class it is made of
        call["share"] = 0.9 if call["name"].startswith("ParquetFile") else 0.01
    at.subject.make = lambda: doctor_rewritten.Ledger(tmp_path)
    (remedy,) = row_groups(at)
    same_samples(at, remedy)
    made = run(remedy.lines, pq=pq, path=tmp_path / "rows.parquet", new=tmp_path / "new.parquet")
    assert made["batch"].num_rows < 40_000, "not all of it at once"
    old, new = (pq.ParquetFile(tmp_path / one) for one in ("rows.parquet", "new.parquet"))
    assert old.schema_arrow.equals(new.schema_arrow, check_metadata=True)
    assert old.read().equals(new.read())
    each = [new.metadata.row_group(one) for one in range(new.num_row_groups)]
    assert len({one.num_rows for one in each[:-1]}) == 1
    for group in each:
        for number in range(2):
            was = old.metadata.row_group(0).column(number).compression
            assert group.column(number).compression == was


def test_whatever_part_is_drawn_lies_in_what_was_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where all of it may be written."""
    monkeypatch.setattr(module, "MOST_SECONDS", 1e9)
    at = context(doctor_rewritten.Crops(tmp_path), tmp_path)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "MOST_BYTES", 1000)
        with pytest.raises(Inapplicable, match="take another part of the store each time"):
            rechunked(at)
    (remedy,) = rechunked(at)
    assert "(1, 32, 32)" in remedy.lines
    with h5py.File(tmp_path / "arm.h5", "r+") as file:
        file["camera/frames"][...] = -1
    for place in range(len(at.part)):
        for draw in range(3):
            assert seeded(remedy.dataset, place, draw).min() >= 0, "the old one was read"


def test_all_arrays_of_an_archive_are_unpacked_or_read_once(tmp_path: Path) -> None:
    at = context(doctor_rewritten.Recording(tmp_path), tmp_path)
    names = {"path": tmp_path / "r.npz", "folder": tmp_path / "r", "name": "flow"}
    made = run(checked(unpacked, at), zipfile=zipfile, **names)
    assert isinstance(made["array"], np.memmap)
    once = run(checked(read_once, at), functools=functools)["once"]
    for name, array in np.load(tmp_path / "r.npz").items():
        assert np.array_equal(np.load(tmp_path / "r" / f"{name}.npy"), array)
        assert np.array_equal(once(tmp_path / "r.npz", name), array)
    assert once.cache_info().maxsize == 2, "both that samples take stay"


def test_what_else_a_file_of_tensors_holds_is_saved_too(tmp_path: Path) -> None:
    lines = lines_of(clones, "Bundles", tmp_path)
    before = (tmp_path / "3.pt").read_bytes()
    run(lines, path=tmp_path / "3.pt", new=tmp_path / "new.pt")
    old, new = torch.load(tmp_path / "3.pt"), torch.load(tmp_path / "new.pt")
    assert torch.equal(old["frame"], new["frame"]) and new["more"][1] == 3
    assert torch.equal(old["more"][0], new["more"][0])
    assert (tmp_path / "new.pt").stat().st_size < len(before) / 2
    assert (tmp_path / "3.pt").read_bytes() == before, "until all are written"
