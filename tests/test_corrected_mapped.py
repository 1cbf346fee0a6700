"""The corrected mapping is built once, whole or not at all, over nothing that it did not write."""

from __future__ import annotations

import os
import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from conftest import COUNT, PX

from datasets_impl.corrected import mapped as mapped_fixed
from datasets_impl.corrected.mapped import MAGIC, PAGE, ReadOnlyMappedDataset
from datasets_impl.errors import StudyError
from datasets_impl.files.atomic import MARK
from tests.corpora import noise
from tests.folders import snapshot

PIXELS = COUNT * PX * PX * 3


def pixels_of(dataset: Any) -> np.ndarray[Any, Any]:
    return np.stack([dataset[index].numpy() for index in range(len(dataset))])


def fresh(folder: Path, tmp_path: Path) -> np.ndarray[Any, Any]:
    """What a build that nothing came before gives."""
    return pixels_of(ReadOnlyMappedDataset(folder, tmp_path / "reference.pixels"))


def test_mapped_fixed_writes_beside_the_folder_and_nothing_into_it(folder: Path) -> None:
    before = snapshot(folder)
    dataset = ReadOnlyMappedDataset(folder)
    assert snapshot(folder) == before
    assert dataset.data_file.parent == folder.parent
    assert dataset.data_file.stat().st_size == PAGE + PIXELS + 8 * COUNT


def test_mapped_fixed_is_built_once(folder: Path) -> None:
    built = ReadOnlyMappedDataset(folder).data_file.stat()
    again = ReadOnlyMappedDataset(folder).data_file.stat()
    assert (again.st_ino, again.st_mtime_ns) == (built.st_ino, built.st_mtime_ns)


@pytest.mark.parametrize("change", ["rewritten", "added", "removed", "renamed"])
def test_mapped_fixed_is_rebuilt_when_a_file_changes(
    change: str, folder: Path, tmp_path: Path
) -> None:
    before = pixels_of(ReadOnlyMappedDataset(folder))
    first = folder / "00000.jpg"
    if change == "rewritten":
        noise(first, PX, PX)
    elif change == "added":
        noise(folder / "99999.jpg", PX, PX)
    elif change == "removed":
        first.unlink()
    else:
        first.rename(folder / "99999.jpg")
    after = pixels_of(ReadOnlyMappedDataset(folder))
    np.testing.assert_array_equal(after, fresh(folder, tmp_path))
    assert not np.array_equal(after, before)


def test_mapped_fixed_refuses_mixed_shapes_and_writes_nothing(empty: Path) -> None:
    noise(empty / "a.jpg", 32, 16)
    noise(empty / "b.jpg", 1, 1)
    before = snapshot(empty.parent)
    with pytest.raises(StudyError) as refusal:
        ReadOnlyMappedDataset(empty)
    sentence = str(refusal.value)
    assert "b.jpg" in sentence and "1x1" in sentence and "32x16" in sentence
    assert sentence.endswith(".") and "\n" not in sentence
    assert snapshot(empty.parent) == before


def test_mapped_fixed_names_the_image_it_cannot_read(empty: Path) -> None:
    noise(empty / "a.jpg", 32, 16)
    (empty / "b.jpg").write_bytes(b"not a JPEG")
    before = snapshot(empty.parent)
    with pytest.raises(StudyError, match=r"b\.jpg") as refusal:
        ReadOnlyMappedDataset(empty)
    assert "write" not in str(refusal.value), "reading failed, not writing"
    assert snapshot(empty.parent) == before


def test_mapped_fixed_refuses_an_empty_folder(empty: Path) -> None:
    with pytest.raises(StudyError, match="no JPEG file"):
        ReadOnlyMappedDataset(empty)
    assert snapshot(empty.parent) == {}


def test_mapped_fixed_keeps_the_old_pixels_when_a_rebuild_fails(folder: Path) -> None:
    dataset = ReadOnlyMappedDataset(folder)
    before = dataset.data_file.read_bytes()
    noise(folder / "99999.jpg", 8, 8)
    with pytest.raises(StudyError):
        ReadOnlyMappedDataset(folder)
    assert dataset.data_file.read_bytes() == before
    assert not list(folder.parent.glob(".*.tmp"))


def test_mapped_fixed_rebuild_does_not_disturb_an_open_mapping(folder: Path) -> None:
    reader = ReadOnlyMappedDataset(folder)
    before = pixels_of(reader)
    noise(folder / "00000.jpg", PX, PX)
    rebuilt = ReadOnlyMappedDataset(folder)
    np.testing.assert_array_equal(pixels_of(reader), before)
    assert not np.array_equal(pixels_of(rebuilt), before)


def test_mapped_fixed_is_replaced_whole_or_not_at_all(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Stopped at the last image, and then the pictures are put back as they were."""
    before = ReadOnlyMappedDataset(folder).data_file.read_bytes()
    picture = folder / "00000.jpg"
    content, status = picture.read_bytes(), picture.stat()
    noise(picture, PX, PX)
    real = mapped_fixed.decoded

    def killed(path: str) -> Any:
        if path.endswith(f"{COUNT - 1:05}.jpg"):
            raise KeyboardInterrupt
        return real(path)

    monkeypatch.setattr(mapped_fixed, "decoded", killed)
    with pytest.raises(KeyboardInterrupt):
        ReadOnlyMappedDataset(folder)
    monkeypatch.undo()
    picture.write_bytes(content)
    os.utime(picture, ns=(status.st_atime_ns, status.st_mtime_ns))
    again = ReadOnlyMappedDataset(folder)
    assert again.data_file.read_bytes() == before
    np.testing.assert_array_equal(pixels_of(again), fresh(folder, tmp_path))


@pytest.mark.parametrize("content", [b"", MAGIC, MAGIC + b"{", MAGIC + b"[]", MAGIC + b"null"])
def test_mapped_fixed_survives_a_spoilt_header(content: bytes, folder: Path) -> None:
    dataset = ReadOnlyMappedDataset(folder)
    before = pixels_of(dataset)
    whole = dataset.data_file.read_bytes()
    dataset.data_file.write_bytes(content and content.ljust(PAGE) + whole[PAGE:])
    np.testing.assert_array_equal(pixels_of(ReadOnlyMappedDataset(folder)), before)


@pytest.mark.parametrize("content", [b"years of work", b"{}", bytes(PIXELS)])
def test_mapped_fixed_never_replaces_what_it_did_not_write(
    content: bytes, folder: Path, tmp_path: Path
) -> None:
    for place in (tmp_path / "user.txt", folder.with_name("images.pixels")):
        place.write_bytes(content)
        with pytest.raises(StudyError, match="holds something else than mapped pixels"):
            ReadOnlyMappedDataset(folder, place)
        assert place.read_bytes() == content
    for place in (folder, folder.parent, folder / "00000.jpg"):
        with pytest.raises(StudyError, match="another place"):
            ReadOnlyMappedDataset(folder, place)
    link = tmp_path / "link"
    link.symlink_to(tmp_path / "user.txt")
    with pytest.raises(StudyError, match="symbolic link"):
        ReadOnlyMappedDataset(folder, link)
    assert len(snapshot(folder)) == COUNT


def test_mapped_fixed_replaces_what_it_once_wrote(folder: Path) -> None:
    old, header = folder.with_name("images.pixels"), folder.with_name("images.pixels.header")
    old.write_bytes(bytes(PIXELS))
    header.write_text(f'{{"fingerprint": "x", "shape": [{COUNT}, {PX}, {PX}, 3]}}')
    assert pixels_of(ReadOnlyMappedDataset(folder)).any()
    assert not header.exists()


def test_mapped_fixed_leaves_another_s_pixels_with_a_header_of_theirs(folder: Path) -> None:
    """Raw bytes, and beside them their shape and dtype, are what many write."""
    raw, header = folder.with_name("mine.raw"), folder.with_name("mine.raw.header")
    raw.write_bytes(bytes(12))
    header.write_text('{"shape": [3, 4], "dtype": "uint8"}')
    with pytest.raises(StudyError, match="left as it is"):
        ReadOnlyMappedDataset(folder, raw)
    assert raw.read_bytes() == bytes(12) and header.exists()


def test_mapped_fixed_checks_each_image_when_it_is_first_read(folder: Path) -> None:
    built = ReadOnlyMappedDataset(folder)
    with built.data_file.open("r+b") as file:
        file.seek(PAGE + 3 * PX * PX * 3)
        file.write(bytes(50))
    opened = ReadOnlyMappedDataset(folder)
    assert opened[2].any()
    with pytest.raises(StudyError, match=r"images\.pixels is damaged at image 3; delete it"):
        opened[3]
    with built.data_file.open("r+b") as file:
        file.seek(-4, os.SEEK_END)
        file.write(bytes(4))
    with pytest.raises(StudyError, match=r"images\.pixels is damaged; delete it"):
        ReadOnlyMappedDataset(folder)[2]


def test_mapped_fixed_pickled_before_it_was_made_anew(folder: Path) -> None:
    encoded = pickle.dumps(ReadOnlyMappedDataset(folder))
    noise(folder / "00000.jpg", PX, PX)
    ReadOnlyMappedDataset(folder)
    with pytest.raises(StudyError, match="was made anew, or is gone; open it again"):
        pickle.loads(encoded)[0]


def test_mapped_fixed_sweeps_what_a_killed_build_left(folder: Path) -> None:
    mine = folder.with_name(f".images.pixels.abcdefgh{MARK}")
    mine.write_bytes(MAGIC.ljust(PAGE) + b"half")
    other = folder.with_name(".images.pixels.work.tmp")
    other.write_text("years of work")
    ReadOnlyMappedDataset(folder)
    assert not mine.exists() and other.read_text() == "years of work"


def test_mapped_fixed_rebuilds_a_truncated_pixel_file(folder: Path) -> None:
    first = ReadOnlyMappedDataset(folder)
    before = pixels_of(first)
    whole = first.data_file.stat().st_size
    with first.data_file.open("r+b") as pixels:
        pixels.truncate(whole // 2)
    again = ReadOnlyMappedDataset(folder)
    assert again.data_file.stat().st_size == whole
    assert np.array_equal(pixels_of(again), before)
