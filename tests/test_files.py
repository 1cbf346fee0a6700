"""Which files of a folder are its images, whether they changed, and how one is read."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from datasets_impl import registry
from datasets_impl.corrected.mapped import ReadOnlyMappedDataset
from datasets_impl.corrected.preloaded import PreloadedDataset
from datasets_impl.documented import InefficientDataset
from datasets_impl.errors import BadArgument, StudyError
from datasets_impl.files import pictures as files
from datasets_impl.files.pictures import decoded, fingerprint, jpeg_files
from datasets_impl.formats import ensure_stored
from datasets_impl.indexing import NoSuchItem, position
from datasets_impl.loaders.gathered_pixels import GatheredPixelsLoader
from datasets_impl.loaders.threaded_jpeg import ThreadedJpegLoader
from datasets_impl.variants.batch_decoding import BatchDecodingDataset
from datasets_impl.variants.preloaded_array import PreloadedArrayDataset
from datasets_impl.variants.raw_files import RawFileDataset


@pytest.fixture
def nested(tmp_path: Path) -> Path:
    """Two folders that use one name, another suffix, what is no image, and a hidden folder."""
    root = tmp_path / "photos"
    for number, name in enumerate(
        ["cat/1.jpg", "dog/1.jpg", "dog/2.JPEG", ".cache/3.jpg", "0.jpg"]
    ):
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (8, 6), (40 * number, 0, 0)).save(path, "jpeg")
    (root / "notes.txt").write_text("no image")
    return root


def test_images_of_all_folders_are_found_in_order(nested: Path) -> None:
    found = [str(Path(path).relative_to(nested)) for path in jpeg_files(nested)]
    assert found == ["0.jpg", "cat/1.jpg", "dog/1.jpg", "dog/2.JPEG"]


def test_images_of_one_name_stay_apart(nested: Path) -> None:
    kept, raw = PreloadedDataset(nested), RawFileDataset(nested)
    assert len(kept) == len(raw) == 4
    assert all((kept[index] == raw[index]).all() for index in range(4))


def test_a_folder_without_images_is_no_empty_epoch(nested: Path) -> None:
    for inner in ("cat", "dog"):
        shutil.rmtree(nested / inner)
    (nested / "0.jpg").unlink()
    for make in (PreloadedDataset, ThreadedJpegLoader):
        with pytest.raises(StudyError, match="no JPEG file"):
            make(nested)


def test_a_folder_of_images_is_not_to_be_deleted_for_a_stored_set(nested: Path) -> None:
    with pytest.raises(StudyError, match="make one of a folder of images") as told:
        GatheredPixelsLoader(nested)
    assert "delete" not in str(told.value)


def test_paths_as_a_person_gives_them(nested: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(nested.parent))
    monkeypatch.chdir(nested / "cat")
    for given in ("~/photos", "..", Path("../../photos")):
        assert jpeg_files(given) == jpeg_files(nested)
    assert ReadOnlyMappedDataset("..", "~/p").data_file == nested.parent / "p"
    assert Path(RawFileDataset("~/photos").files[0]).parent == nested.parent / "photos.raw"


@pytest.mark.parametrize("given", ["absent", "0.jpg"])
def test_what_cannot_be_listed_is_one_sentence(given: str, nested: Path) -> None:
    with pytest.raises(StudyError, match=r"cannot be listed .*; name a folder of JPEG files"):
        jpeg_files(nested / given)


def test_a_named_pipe_is_not_waited_for(nested: Path) -> None:
    os.mkfifo(nested / "cat" / "9.jpg")
    with pytest.raises(StudyError, match=r"9\.jpg is no regular file"):
        jpeg_files(nested)
    (nested / "cat" / "9.jpg").unlink()
    (nested / "cat" / "9.jpg").symlink_to(nested / "nowhere")
    with pytest.raises(StudyError, match=r"9\.jpg could not be read \(No such file"):
        fingerprint(jpeg_files(nested), nested)


# --- whether they changed --------------------------------------------------------------------


def swap(one: Path, other: Path) -> None:
    aside = one.with_name("aside")
    one.rename(aside)
    other.rename(one)
    aside.rename(other)


@pytest.mark.parametrize("size", [0, 20_000, 200_000])
def test_folders_that_changed_places(size: int, nested: Path) -> None:
    """Of the same names, sizes and times: what is stored of them is made anew."""
    for number, folder in enumerate(("cat", "dog")):
        path = nested / folder / "1.jpg"
        Image.new("RGB", (8, 6), (9, 9, 90 * number)).save(path, "jpeg")
        path.write_bytes(path.read_bytes().ljust(size, bytes([number])))
        os.utime(path, ns=(1, 1))
    (nested / "dog" / "2.JPEG").unlink()
    before = fingerprint(jpeg_files(nested), nested)
    old = bytes(ensure_stored(nested, "pixels", "pack").read(1))
    assert bytes(ReadOnlyMappedDataset(nested)[1].numpy()) == old
    assert bytes(RawFileDataset(nested)[1].numpy()) == old
    swap(nested / "cat", nested / "dog")
    assert fingerprint(jpeg_files(nested), nested) != before
    assert bytes(ensure_stored(nested, "pixels", "pack").read(1)) != old
    assert bytes(ReadOnlyMappedDataset(nested)[1].numpy()) != old
    assert bytes(RawFileDataset(nested)[1].numpy()) != old
    swap(nested / "cat", nested / "dog")
    assert fingerprint(jpeg_files(nested), nested) == before


def test_a_folder_that_was_moved_or_copied_is_the_same(nested: Path) -> None:
    before = fingerprint(jpeg_files(nested), nested)
    moved = nested.rename(nested.with_name("moved"))
    assert fingerprint(jpeg_files(moved), moved) == before
    copied = shutil.copytree(moved, nested)
    assert fingerprint(jpeg_files(copied), copied) == before


def test_of_many_files_some_are_opened(nested: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    opened: list[str] = []

    def count(path: str, size: int) -> int:
        opened.append(path)
        return 0

    monkeypatch.setattr(files, "sample", count)
    monkeypatch.setattr(files, "SAMPLED_FILES", 2)
    fingerprint(jpeg_files(nested), nested)
    assert opened == jpeg_files(nested)[::2]


def test_names_of_any_bytes(tmp_path: Path) -> None:
    name = os.fsdecode(b"\xff" + b"n" * 240 + b".jpg")
    Image.new("RGB", (8, 6)).save(tmp_path / "a.jpg")
    (tmp_path / "photos").mkdir()
    (tmp_path / "a.jpg").rename(tmp_path / "photos" / name)
    assert len(RawFileDataset(tmp_path / "photos")) == len(PreloadedDataset(tmp_path / "photos"))
    assert len(ensure_stored(tmp_path / "photos", "jpeg", "pack")) == 1


# --- pictures that cannot be read ------------------------------------------------------------


def garbage(path: Path) -> None:
    path.write_bytes(b"no picture")


def truncated(path: Path) -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (64, 64, 3), dtype=np.uint8)
    Image.fromarray(pixels).save(path, "jpeg")
    path.write_bytes(path.read_bytes()[:1500])


def bomb(path: Path) -> None:
    Image.new("RGB", (400, 300)).save(path, "jpeg")


def broken_png(path: Path) -> None:
    Image.new("RGB", (64, 64)).save(path, "png")
    whole = bytearray(path.read_bytes())
    whole[40:60] = bytes(20)
    path.write_bytes(whole)


READERS: dict[str, Callable[[Path], Any]] = {
    **{
        name: lambda root, name=name: registry.build(name, root)[0]  # type: ignore[misc,index]
        for name, row in registry.IMPLEMENTATIONS.items()
        if row.available and name not in ("naive", "preloaded", "preloaded-chw", "mapped")
    },
    "batch": lambda root: BatchDecodingDataset(root).__getitems__([0]),
    "decoded": lambda root: decoded(root / "a.jpg"),
}


# What Pillow takes for a bomb other decoders read.
WITHOUT_LIMIT = ("decode-image", "torchvision", "opencv", "simplejpeg", "batched-decoding")


@pytest.mark.parametrize("harm", [garbage, truncated, bomb, broken_png])
@pytest.mark.parametrize("reader", READERS)
def test_a_picture_that_cannot_be_read_is_named(
    reader: str, harm: Callable[[Path], None], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 128 * 64 // 2)
    (tmp_path / "photos").mkdir()
    harm(tmp_path / "photos" / "a.jpg")
    try:
        READERS[reader](tmp_path / "photos")
    except StudyError as error:
        assert "a.jpg" in str(error) and "\n" not in str(error)
    else:
        assert harm is bomb and reader in WITHOUT_LIMIT, "it was read"


def test_the_documented_stay_as_they_are(tmp_path: Path) -> None:
    garbage(tmp_path / "a.jpg")
    with pytest.raises(OSError, match="cannot identify"):
        InefficientDataset(tmp_path)[0]


@pytest.mark.parametrize(
    "make",
    [
        ReadOnlyMappedDataset,
        PreloadedArrayDataset,
        lambda root: ensure_stored(root, "pixels", "pack"),
        lambda root: BatchDecodingDataset(root).__getitems__(
            sorted(range(2), key=BatchDecodingDataset(root).image_paths.__getitem__)
        ),
    ],
)
def test_two_sizes_name_both_pictures(make: Callable[[Path], Any], tmp_path: Path) -> None:
    (tmp_path / "photos").mkdir()
    Image.new("RGB", (8, 6)).save(tmp_path / "photos" / "odd.jpg")
    Image.new("RGB", (9, 7)).save(tmp_path / "photos" / "usual.jpg")
    with pytest.raises(StudyError, match=r"usual\.jpg is 9x7 .*odd\.jpg, is 8x6"):
        make(tmp_path / "photos")


# --- indices ---------------------------------------------------------------------------------


@pytest.mark.parametrize("name", [name for name in READERS if name in registry.IMPLEMENTATIONS])
def test_indices_of_every_dataset(name: str, nested: Path) -> None:
    shutil.rmtree(nested / ".cache")
    dataset: Any = registry.build(name, nested / "cat")
    assert (registry.pixels(registry.implementation(name), dataset[-1]) >= 0).all()
    with pytest.raises(NoSuchItem, match=r"no item 1 .* only 1 \(0 to 0\)"):
        dataset[1]
    with pytest.raises(IndexError):
        dataset[-2]
    with pytest.raises(BadArgument, match="index is slice"):
        dataset[:1]
    assert len(list(dataset)) == 1, "iterating by index ends"


def test_positions() -> None:
    assert [position(index, 3) for index in (0, -1, np.int64(2), True)] == [0, 2, 2, 1]
    with pytest.raises(NoSuchItem, match=r"no item 0 in the set; it has none\."):
        position(0, 0, "the set")
