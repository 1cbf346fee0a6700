"""Stored sets where they are read and written: full disks, read-only folders, sets made anew."""

from __future__ import annotations

import errno
import json
import os
import pickle
import subprocess
import sys
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from conftest import COUNT, PX
from PIL import Image

from datasets_impl.corrected.mapped import ReadOnlyMappedDataset
from datasets_impl.errors import BadArgument, StudyError
from datasets_impl.files.pictures import seal
from datasets_impl.formats import FORMATS, conversion, ensure_stored, open_stored, plan
from datasets_impl.formats.stored import HEADER
from datasets_impl.indexing import NoSuchItem
from datasets_impl.variants.raw_files import RawFileDataset
from datasets_impl.variants.stored_pixels import StoredPixelsDataset
from tests.stored_sets import contents, every_case, expected


def mount(place: Path, options: str) -> None:
    command = ["mount", "-t", "tmpfs", "-o", options, "none", str(place)]
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode:
        pytest.skip(f"no file system of its own can be mounted: {done.stderr.strip()}")


@pytest.fixture
def mounted(tmp_path: Path) -> Iterator[Path]:
    """Where a test may mount something; taken away afterwards."""
    if os.geteuid():
        pytest.skip("only root may mount a file system")
    place = tmp_path / "mounted"
    place.mkdir()
    yield place
    subprocess.run(["umount", "-l", str(place)], capture_output=True)


@every_case
def test_a_full_disk_is_one_sentence(name: str, kind: Any, folder: Path, mounted: Path) -> None:
    mount(mounted, "size=64k" if kind == "pixels" else "size=12k")
    with pytest.raises(StudyError, match=r"^The disk is full: could not write .*; free some space"):
        ensure_stored(folder, kind, name, target=mounted / "set", threads=2)
    assert not (mounted / "set").exists()
    subprocess.run(["mount", "-o", "remount,size=2m", str(mounted)], check=True)
    again = ensure_stored(folder, kind, name, target=mounted / "set")
    assert contents(again) == expected(folder, kind, name)


@every_case
def test_a_disk_that_is_full_by_its_word_alone(
    name: str, kind: Any, folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As where no file system can be mounted; the next conversion is whole."""
    form = FORMATS[name].load("Format")
    make = form.writer

    def full(*given: Any) -> Any:
        writer = make(*given)

        def write(*given: Any) -> None:
            if name == "lmdb":
                import lmdb

                raise lmdb.DiskError(f"mdb_put: {os.strerror(errno.ENOSPC)}")
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

        writer.write = write
        return writer

    with monkeypatch.context() as patch:
        patch.setattr(form, "writer", full)
        with pytest.raises(StudyError, match=r"^The disk is full: could not write .*; free some"):
            ensure_stored(folder, kind, name, target=tmp_path / "set", threads=2)
    assert not (tmp_path / "set").exists()
    again = ensure_stored(folder, kind, name, target=tmp_path / "set")
    assert contents(again) == expected(folder, kind, name)


def test_a_map_of_lmdb_that_is_full_is_one_sentence(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    lmdb = pytest.importorskip("lmdb")
    real = lmdb.open
    small = {"map_size": 1 << 15}  # of eight pages
    with monkeypatch.context() as patch:
        patch.setattr(lmdb, "open", lambda *given, **more: real(*given, **(more | small)))
        with pytest.raises(StudyError, match=r"^Could not write .*MDB_MAP_FULL.*\.$") as told:
            ensure_stored(folder, "pixels", "lmdb", target=tmp_path / "set")
    assert "\n" not in str(told.value) and not (tmp_path / "set").exists()
    again = ensure_stored(folder, "pixels", "lmdb", target=tmp_path / "set")
    assert contents(again) == expected(folder, "pixels", "lmdb")


@pytest.mark.parametrize("make", [ReadOnlyMappedDataset, RawFileDataset])
def test_a_full_disk_beside_the_pictures(make: Any, corpus: Any, mounted: Path) -> None:
    mount(mounted, "size=80k")
    (mounted / "images").mkdir()
    for path in corpus.paths:
        (mounted / "images" / Path(path).name).write_bytes(Path(path).read_bytes())
    before = sorted(path.name for path in mounted.iterdir())
    with pytest.raises(StudyError, match="The disk is full"):
        make(mounted / "images")
    left = {path.name for path in mounted.iterdir()}
    assert sorted(left) == before


@every_case
def test_a_set_is_read_where_nothing_may_be_written(
    name: str, kind: Any, folder: Path, mounted: Path
) -> None:
    mount(mounted, "size=4m")
    ensure_stored(folder, kind, name, target=mounted / "set")
    subprocess.run(["mount", "-o", "remount,ro", str(mounted)], check=True)
    again = ensure_stored(folder, kind, name, target=mounted / "set")
    assert contents(again) == expected(folder, kind, name)
    (folder / "00000.jpg").unlink()
    with pytest.raises(StudyError, match="set may not be written; choose another folder"):
        ensure_stored(folder, kind, name, target=mounted / "set")


def test_a_set_that_is_current_needs_no_lock(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    first = ensure_stored(folder, "jpeg", "pack")
    monkeypatch.setattr(conversion, "locked", None)
    assert contents(ensure_stored(folder, "jpeg", "pack")) == contents(first)


@pytest.mark.parametrize("number", [13, 1])
def test_a_set_that_may_not_be_read_is_not_to_be_deleted(
    number: int, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    target = ensure_stored(folder, "jpeg", "pack").folder

    def refuse(path: Path) -> bytes:
        raise OSError(number, os.strerror(number), str(path))

    monkeypatch.setattr(Path, "read_bytes", refuse)
    with pytest.raises(StudyError, match="cannot be read") as told:
        open_stored(target)
    assert "delete" not in str(told.value)


# --- a set that was converted anew -----------------------------------------------------------


def converted_anew(folder: Path, kind: str, name: str) -> None:
    for number, path in enumerate(sorted(folder.iterdir())):
        Image.new("RGB", (PX, PX), (number, 90, 200)).save(path, quality=95)
    ensure_stored(folder, kind, name)  # type: ignore[arg-type]


@every_case
def test_a_handle_of_a_set_that_was_converted_anew_says_so(
    name: str, kind: Any, folder: Path
) -> None:
    images = ensure_stored(folder, kind, name)
    encoded, good = pickle.dumps(images), expected(folder, kind, name)
    assert bytes(images.read(0)) == good[0]
    converted_anew(folder, kind, name)
    again = pickle.loads(encoded)
    with pytest.raises(StudyError, match="was converted anew; open it again"):
        again.read(0)
    for index in range(COUNT):  # what was open still gives the old images, or says so
        try:
            assert bytes(images.read(index)) == good[index]
        except StudyError as error:
            assert "was converted anew; open it again" in str(error)
    with pytest.raises(StudyError, match="was converted anew"):
        images.require_same()


def test_a_set_that_is_gone_says_so(folder: Path) -> None:
    images = ensure_stored(folder, "jpeg", "pack")
    images.folder.rename(folder.with_name("elsewhere"))
    with pytest.raises(StudyError, match="There is no stored set"):
        images.read(0)


def test_a_set_converted_again_to_the_same_is_the_same(folder: Path) -> None:
    images = ensure_stored(folder, "jpeg", "tar")
    encoded = pickle.dumps(images)
    good = (images.folder / HEADER).read_bytes()
    (images.folder / HEADER).write_bytes(good.replace(b'"seal": "', b'"seal": "x'))
    ensure_stored(folder, "jpeg", "tar")
    assert (images.folder / HEADER).read_bytes() == good
    assert contents(pickle.loads(encoded)) == expected(folder, "jpeg", "tar")


# --- which one is asked for ------------------------------------------------------------------


@every_case
def test_indices_are_those_of_a_list(name: str, kind: Any, folder: Path) -> None:
    images, good = (
        open_stored(ensure_stored(folder, kind, name).folder),
        expected(folder, kind, name),
    )
    assert type(images) is FORMATS[name].load("Images")
    assert bytes(images.read(-1)) == good[-1] and bytes(images.read(-COUNT)) == good[0]
    for index in (COUNT, -COUNT - 1):
        with pytest.raises(NoSuchItem, match=rf"no item {index} in .*; it has only 12 \(0 to 11\)"):
            images.read(index)
    for wrong in (slice(2), 1.5, "0", [0]):
        with pytest.raises(BadArgument, match=r"index is .*; give a whole number"):
            images.read(wrong)  # type: ignore[arg-type]


def test_pixels_of_a_set_by_its_folder_and_of_nothing_else(folder: Path) -> None:
    stored = ensure_stored(folder, "pixels", "arrow")
    by_folder = StoredPixelsDataset(str(stored.folder))
    assert (by_folder[-1] == StoredPixelsDataset(stored)[COUNT - 1]).all()
    with pytest.raises(StudyError, match="is no stored set"):
        StoredPixelsDataset(folder)
    with pytest.raises(BadArgument, match=r"images is .*; give a stored set"):
        StoredPixelsDataset([1, 2])  # type: ignore[arg-type]


@every_case
def test_a_set_of_many_files_needs_few_descriptors(
    name: str, kind: Any, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(plan, "CHUNK", 1)
    images = ensure_stored(folder, kind, name)
    before = len(list(Path("/proc/self/fd").iterdir()))
    assert contents(images) == expected(folder, kind, name)
    assert len(list(Path("/proc/self/fd").iterdir())) <= before + 1


@every_case
def test_a_folder_whose_name_is_no_utf8(name: str, kind: Any, folder: Path) -> None:
    odd = folder.with_name(os.fsdecode(b"photos \xff\n[b]"))
    folder.rename(odd)
    assert contents(ensure_stored(odd, kind, name)) == expected(odd, kind, name)


@every_case
def test_threads_that_read_first_at_the_same_time(name: str, kind: Any, folder: Path) -> None:
    ensure_stored(folder, kind, name)
    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    try:
        for turn in range(3):
            images = ensure_stored(folder, kind, name, folder.with_name(f"set {turn}"))
            start = threading.Barrier(8)

            def first(images: Any = images, start: Any = start) -> bytes:
                start.wait()
                return bytes(images.read(0))

            with ThreadPoolExecutor(8) as pool:
                assert len({each.result() for each in [pool.submit(first) for _ in range(8)]}) == 1
    finally:
        sys.setswitchinterval(before)


@pytest.mark.parametrize("error", [OSError(12, "Cannot allocate memory"),
                                   RuntimeError("data.lmdb: Cannot allocate memory"),
                                   RuntimeError("errno = 24, 'Too many open files'")])  # fmt: skip
def test_a_set_is_not_to_be_deleted_for_what_the_system_lacks(
    error: Exception, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    images = ensure_stored(folder, "jpeg", "pack")

    def lacks(handle: Any, index: int) -> Any:
        raise error

    monkeypatch.setattr(images, "get", lacks)
    with pytest.raises(StudyError, match="mend that and open it again") as told:
        images.read(0)
    assert "delete the stored set" not in str(told.value)


def test_a_mounted_file_system_is_no_place_for_a_set(folder: Path, mounted: Path) -> None:
    mount(mounted, "size=1m")
    with pytest.raises(StudyError, match="name a place in it"):
        ensure_stored(folder, "jpeg", "pack", target=mounted)
    assert sorted(path.name for path in mounted.parent.iterdir() if "mounted" in path.name) == [
        "mounted"
    ]


@pytest.mark.parametrize("place", ["/proc/set", "/sys/set"])
def test_where_no_lock_can_be_made_is_one_sentence(place: str, folder: Path) -> None:
    if not Path(place).parent.is_dir():
        pytest.skip(f"there is no {Path(place).parent}")
    with pytest.raises(StudyError, match=f"{place}"):
        ensure_stored(folder, "jpeg", "pack", target=place)


def test_a_set_of_a_newer_version_is_called_so(folder: Path) -> None:
    """It was called damaged, and to be deleted."""
    images = ensure_stored(folder, "jpeg", "pack")
    header = images.folder / HEADER
    fields = json.loads(header.read_text()) | {"codec": "zstd"}
    del fields["seal"]
    header.write_text(json.dumps(fields | {"seal": seal(fields)}))
    with pytest.raises(StudyError, match=r"newer version .*codec"):
        open_stored(images.folder)
    header.write_text(json.dumps(fields | {"seal": "0"}))
    with pytest.raises(StudyError, match="damaged"):
        open_stored(images.folder)


def test_a_picture_given_as_a_set_is_not_to_be_deleted(folder: Path) -> None:
    with pytest.raises(StudyError, match="is a file, and a stored set is a folder") as found:
        open_stored(next(folder.rglob("*.jpg")))
    assert "delete" not in str(found.value)


def test_pixels_that_cannot_be_mapped_are_one_sentence(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    data = ReadOnlyMappedDataset(folder)

    def without_descriptor(*_: Any) -> Any:
        raise OSError(errno.EMFILE, os.strerror(errno.EMFILE))

    monkeypatch.setattr(np, "memmap", without_descriptor)
    with pytest.raises(StudyError, match=r"cannot be read: .*Too many open files"):
        data[0]
