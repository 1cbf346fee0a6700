"""Every storage format: what is read is what was stored; what is not whole is refused."""

from __future__ import annotations

import io
import multiprocessing
import pickle
import random
import shutil
from pathlib import Path
from typing import Any

import pytest
from conftest import COUNT, PX
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image

from datasets_impl import formats
from datasets_impl.errors import StudyError
from datasets_impl.files.pictures import jpeg_files
from datasets_impl.formats import FORMATS, ensure_stored
from datasets_impl.formats.conversion import JOURNAL
from datasets_impl.formats.images import StoredImages
from datasets_impl.formats.stored import HEADER, INDEX
from tests.nursery import Nursery
from tests.stored_sets import CASES, contents, every_case, expected, opened


def leftovers(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.parent.iterdir() if path.name.startswith("."))


@every_case
def test_a_set_that_was_moved_is_read_under_its_new_name(
    name: str, kind: Any, folder: Path
) -> None:
    """Also by a process that has it open: LMDB may open one file once only."""
    target = ensure_stored(folder, kind, name).folder
    good = contents(opened(name, target))
    assert contents(opened(name, target.rename(target.with_name("moved")))) == good


@every_case
def test_what_is_read_is_what_was_stored(
    name: str, kind: Any, folder: Path, chunks_of_two: None
) -> None:
    images = ensure_stored(folder, kind, name)
    assert contents(images) == expected(folder, kind, name) and len(images) == COUNT
    assert images.header.shape == ([PX, PX, 3] if kind == "pixels" else [])
    assert [int(length) for length in images.index["length"]] == [
        len(data) for data in expected(folder, kind, name)
    ]
    assert all(file.is_file() for file in images.files)
    assert not leftovers(folder)
    assert not (images.folder / JOURNAL).exists()
    with pytest.raises(IndexError):
        images.read(COUNT)


def each_of(sets: dict[Any, StoredImages]) -> dict[Any, list[bytes]]:
    return {case: contents(images) for case, images in sets.items()}


def test_works_in_a_process_started_after_it_was_read(
    folder: Path, tmp_path: Path, nursery: Nursery
) -> None:
    cases = [case for case in CASES if FORMATS[case[0]].available]
    sets = {case: ensure_stored(folder, case[1], case[0]) for case in cases}
    good = {case: expected(folder, case[1], case[0]) for case in cases}
    assert each_of(sets) == good
    assert nursery.call(tmp_path, each_of, sets) == good
    with multiprocessing.get_context("fork").Pool(2) as pool:
        found = {case: pool.map_async(contents, [images] * 3) for case, images in sets.items()}
        for case, answers in found.items():
            assert answers.get(60) == [good[case]] * 3, case
    for case, images in sets.items():
        assert contents(images) == good[case], f"{case}: the parent's handle was spoilt"


@every_case
def test_pickles_to_its_path(name: str, kind: Any, folder: Path) -> None:
    images = ensure_stored(folder, kind, name)
    images.read(0)
    encoded = pickle.dumps(images)
    again = pickle.loads(encoded)
    assert images.index.tobytes() not in encoded, "an index of millions would be sent to workers"
    assert contents(again) == expected(folder, kind, name)


@every_case
def test_converted_once_and_again_only_when_images_changed(
    name: str, kind: Any, folder: Path
) -> None:
    images = ensure_stored(folder, kind, name)
    before = (images.folder / HEADER).stat().st_mtime_ns
    assert (ensure_stored(folder, kind, name).folder / HEADER).stat().st_mtime_ns == before
    shutil.copyfile(jpeg_files(folder)[0], folder / "zzz.jpg")
    assert contents(ensure_stored(folder, kind, name)) == expected(folder, kind, name)


@settings(max_examples=15, suppress_health_check=list(HealthCheck))
@pytest.mark.parametrize("name", [name for name, kind in CASES if kind == "jpeg"])
@given(
    blobs=st.lists(st.binary(min_size=1, max_size=1200), min_size=1, max_size=150),
    threads=st.integers(1, 4),
)
def test_any_bytes_come_back(
    tmp_path_factory: pytest.TempPathFactory, name: str, blobs: list[bytes], threads: int
) -> None:
    """Behind a picture, since what is none is refused."""
    picture = io.BytesIO()
    Image.new("RGB", (8, 8)).save(picture, "JPEG")
    folder = tmp_path_factory.mktemp("blobs") / "images"
    folder.mkdir()
    for number, blob in enumerate(blobs):
        (folder / f"{number:04}.jpg").write_bytes(picture.getvalue() + blob)
    stored = contents(ensure_stored(folder, "jpeg", name, threads=threads))
    assert stored == expected(folder, "jpeg", name)


@every_case
def test_flipped_bits_never_give_wrong_bytes(name: str, kind: Any, folder: Path) -> None:
    images = ensure_stored(folder, kind, name)
    good, draw = expected(folder, kind, name), random.Random(0)
    data = [path for path in images.files if path.stat().st_size]
    for _ in range(40):
        path = draw.choice([*data, images.folder / HEADER, images.folder / INDEX])
        whole = path.read_bytes()
        damaged = bytearray(whole)
        damaged[draw.randrange(len(whole))] ^= 1 << draw.randrange(8)
        path.write_bytes(damaged)
        try:
            assert contents(opened(name, images.folder)) == good  # padding, or unused space
        except StudyError as error:
            assert "convert the images again" in str(error)
        path.write_bytes(whole)
    assert contents(opened(name, images.folder)) == good


@every_case
def test_a_flipped_bit_of_an_image_is_refused(name: str, kind: Any, folder: Path) -> None:
    images = ensure_stored(folder, kind, name)
    piece = expected(folder, kind, name)[COUNT // 2][-64:]
    for path in images.files:
        content = path.read_bytes()
        at = content.find(piece)
        if at >= 0:
            path.write_bytes(content[: at + 5] + bytes([content[at + 5] ^ 8]) + content[at + 6 :])
            break
    else:
        pytest.fail("no file holds the image's bytes as they are")
    with pytest.raises(StudyError, match="damaged at image 6"):
        contents(opened(name, images.folder))


@every_case
def test_truncated_files_are_refused_and_converted_again(
    name: str, kind: Any, folder: Path
) -> None:
    images = ensure_stored(folder, kind, name)
    for path in [*images.files, images.folder / HEADER, images.folder / INDEX][:6]:
        whole = path.read_bytes()
        for length in {0, len(whole) // 2, len(whole) - 1}:
            path.write_bytes(whole[:length])
            with pytest.raises(StudyError, match="convert the images again"):
                opened(name, images.folder)
        path.write_bytes(whole)
    images.files[0].unlink()
    with pytest.raises(StudyError, match="is missing; delete the stored set"):
        opened(name, images.folder)
    assert contents(ensure_stored(folder, kind, name)) == expected(folder, kind, name)


def test_what_does_not_exist_is_named(tmp_path: Path) -> None:
    with pytest.raises(StudyError, match=r"no stored set .*nothing; convert the images first"):
        opened("pack", tmp_path / "nothing")


def test_another_format_is_refused(folder: Path) -> None:
    images = ensure_stored(folder, "jpeg", "pack")
    with pytest.raises(StudyError, match="is in the format 'pack', not 'tar'"):
        opened("tar", images.folder)


def test_a_format_refuses_a_kind_it_does_not_store(folder: Path) -> None:
    with pytest.raises(ValueError, match=r"kind is 'jpeg'; give pixels, which .* 'zarr'"):
        ensure_stored(folder, "jpeg", "zarr")


def test_a_missing_library_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(formats.importlib.util, "find_spec", lambda name: None)
    with pytest.raises(ModuleNotFoundError, match="needs the package 'lmdb'"):
        FORMATS["lmdb"].load("Images")


def test_an_image_is_checked_once(folder: Path) -> None:
    images = ensure_stored(folder, "jpeg", "pack")
    assert images.unchecked(range(3)) == [0, 1, 2]
    images.read(1)
    assert images.unchecked(range(3)) == [0, 2]
    assert opened("pack", images.folder).unchecked(range(1)) == [0]
    unverified = FORMATS["pack"].load("Images")(images.folder, verify=False)
    assert unverified.unchecked(range(3)) == []
