"""Which files of a folder are its images."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from PIL import Image

from datasets_impl.errors import StudyError
from datasets_impl.loaders.gathered_pixels import GatheredPixelsLoader
from datasets_impl.loaders.threaded_jpeg import ThreadedJpegLoader
from datasets_impl.variants.files import jpeg_files
from datasets_impl.variants.preloaded_fixed import PreloadedDataset
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
