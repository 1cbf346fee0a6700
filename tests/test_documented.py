"""The documented flaws are kept, and the corrected variants do not have them."""

from __future__ import annotations

import os
import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from conftest import COUNT, PX
from PIL import Image
from torch.utils.data import default_collate

from datasets_impl import registry
from datasets_impl.corrected import mapped as mapped_fixed
from datasets_impl.corrected.mapped import MAGIC, PAGE, ReadOnlyMappedDataset
from datasets_impl.documented import ImprovedDataset, InefficientDataset, MemoryMappedDataset
from datasets_impl.documented.memory_mapped import DATA_FILE
from datasets_impl.errors import StudyError
from datasets_impl.experiments import behaviour
from datasets_impl.experiments.behaviour import (
    REFUSED,
    RIGHT,
    SHAPE_MIXES,
    WRONG,
    changed_by_training,
    distinct_reads,
    images_opened,
    mixed_shapes,
)
from datasets_impl.files.atomic import MARK
from datasets_impl.observe.files_opened import counting_opened_images
from datasets_impl.transforms import ToUint8

DOCUMENTED = ("naive", "preloaded", "mapped")
CORRECTED = ("naive-fixed", "preloaded-fixed", "mapped-fixed")
PIXELS = COUNT * PX * PX * 3


def noise(path: Path, width: int, height: int, seed: int = 0) -> None:
    pixels = np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8)
    Image.fromarray(pixels).save(path, "JPEG", quality=95)


def listing(home: Path) -> dict[str, bytes]:
    """Every file below `home` with its bytes."""
    return {
        str(path.relative_to(home)): path.read_bytes() for path in home.rglob("*") if path.is_file()
    }


@pytest.fixture
def empty(tmp_path: Path) -> Path:
    folder = tmp_path / "home" / "images"
    folder.mkdir(parents=True)
    return folder


# --- which files, in which order -------------------------------------------------------------


@pytest.mark.parametrize("name", [*DOCUMENTED, *CORRECTED])
def test_suffixes(name: str, empty: Path) -> None:
    for position, label in enumerate(("a.jpg", "b.JPG", "c.jpeg", "d.Jpg")):
        noise(empty / label, 8, 8, position)
    Image.new("RGB", (8, 8)).save(empty / "e.png")
    assert len(registry.build(name, empty)) == (1 if name in DOCUMENTED else 4)


@pytest.mark.parametrize("name", [*DOCUMENTED, *CORRECTED])
def test_order(name: str, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    order = [f"{index:05d}.jpg" for index in (7, 0, 11, 3, 1, 2, 4, 5, 6, 8, 9, 10)]
    monkeypatch.setattr(os, "listdir", lambda path: list(order))
    dataset = registry.build(name, folder)
    monkeypatch.undo()
    expected = order if name in DOCUMENTED else sorted(order)
    for index, label in enumerate(expected):
        with Image.open(folder / label) as picture:
            reference = np.array(picture.convert("RGB"))
        found = registry.pixels(registry.implementation(name), dataset[index])
        np.testing.assert_array_equal(found, reference)


# --- example 1 -------------------------------------------------------------------------------


def test_naive_yields_a_tuple_of_one(folder: Path) -> None:
    sample = InefficientDataset(folder)[0]
    assert isinstance(sample, tuple) and len(sample) == 1
    batch = default_collate([sample, sample])
    assert isinstance(batch, list | tuple) and batch[0].shape == (2, PX, PX, 3)
    assert isinstance(registry.build("naive-fixed", folder)[0], torch.Tensor)


# --- example 2 -------------------------------------------------------------------------------


def test_preloaded_without_transform_cannot_be_collated(folder: Path) -> None:
    dataset = ImprovedDataset(folder)
    assert isinstance(dataset[0], Image.Image)
    with pytest.raises(TypeError, match="default_collate"):
        default_collate([dataset[0], dataset[1]])


@pytest.mark.parametrize("workers", [0, pytest.param(2, marks=pytest.mark.slow)])
def test_random_transform_is_frozen_only_in_the_documented_one(folder: Path, workers: int) -> None:
    assert distinct_reads("preloaded", folder, workers) == 1
    assert distinct_reads("preloaded-fixed", folder, workers) > 10
    assert distinct_reads("naive", folder, workers) > 10


def test_preloaded_items_are_the_stored_objects(folder: Path) -> None:
    stored = ImprovedDataset(folder, ToUint8())
    assert stored[0] is stored[0]
    fixed = registry.build("preloaded-fixed", folder)
    assert fixed[0] is not fixed[0]
    assert fixed[0].data_ptr() != fixed.data[0].data_ptr()  # type: ignore[attr-defined]


# --- example 3 -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "construction", "epoch", "second"),
    [("naive", 0, 1, 0), ("preloaded", 1, 0, 1), ("mapped", 2, 0, 2), ("mapped-fixed", 2, 0, 1)],
)
def test_files_opened(name: str, construction: int, epoch: int, second: int, folder: Path) -> None:
    """Each phase is asked of a fresh home, or the built file of the phase before would serve it.

    The corrected mapping opens each image once more, for the few bytes that tell it is the same.
    """
    found = []
    for number, phase in enumerate(behaviour.PHASES):
        home = folder.with_name(f"{folder.name}-{number}")
        home.mkdir()
        for source in folder.iterdir():
            (home / source.name).write_bytes(source.read_bytes())
        found.append(images_opened(name, home, phase))
    assert found == [construction, epoch, second]


def test_counter_sees_only_jpegs_below_its_root_inside_its_block(folder: Path) -> None:
    (folder / "notes.txt").write_text("not an image")
    noise(folder.parent / "beside.jpg", 8, 8)
    with counting_opened_images(folder) as counter:
        (folder / "00000.jpg").read_bytes()
        (folder / "notes.txt").read_text()
        (folder.parent / "beside.jpg").read_bytes()
    (folder / "00001.jpg").read_bytes()
    assert counter.count == 1


def test_mapped_rebuilds_the_file_in_place_each_time(folder: Path) -> None:
    MemoryMappedDataset(folder)
    inode = (folder / DATA_FILE).stat().st_ino
    (folder / DATA_FILE).write_bytes(b"spoilt" + bytes(PIXELS - 6))
    again = MemoryMappedDataset(folder)
    assert (folder / DATA_FILE).stat().st_ino == inode
    assert again.mmap.any() and (folder / DATA_FILE).read_bytes() == again.mmap.tobytes()


def test_mapped_truncates_the_file_under_another_mapping(folder: Path) -> None:
    first = MemoryMappedDataset(folder)
    assert first.mmap[-1].any()
    noise(Path(first.image_paths[-1]), PX, PX // 2)  # the second construction stops at this image
    with pytest.raises(ValueError, match="broadcast"):
        MemoryMappedDataset(folder)
    assert not first.mmap[-1].any()


def test_mapped_shares_its_samples_with_the_file(folder: Path) -> None:
    dataset = MemoryMappedDataset(folder)
    size = PX * PX * 3
    assert any((folder / DATA_FILE).read_bytes()[:size])
    dataset[0].zero_()
    content = (folder / DATA_FILE).read_bytes()
    assert not any(content[:size]) and any(content[size:])


def test_mapped_leaves_a_partial_file_on_mixed_shapes(empty: Path) -> None:
    for label in ("a.jpg", "b.jpg", "c.jpg"):
        (empty / label).touch()
    order = os.listdir(empty)  # noqa: PTH208 - the dataset's own order
    for label, shape in zip(order, ((32, 16), (32, 16), (16, 32)), strict=True):
        noise(empty / label, *shape)
    with pytest.raises(ValueError, match="broadcast"):
        MemoryMappedDataset(empty)
    content = np.fromfile(empty / DATA_FILE, np.uint8).reshape(3, 16, 32, 3)
    assert content[0].any() and content[1].any() and not content[2].any()


def test_mapped_stretches_one_pixel_over_an_image(empty: Path) -> None:
    for label in ("a.jpg", "b.jpg"):
        (empty / label).touch()
    first, second = os.listdir(empty)  # noqa: PTH208 - the dataset's own order
    noise(empty / first, 32, 16)
    Image.new("RGB", (1, 1), (200, 100, 50)).save(empty / second, quality=100)
    sample = MemoryMappedDataset(empty)[1]
    assert sample.shape == (16, 32, 3) and bool((sample == sample[0, 0]).all())
    assert sample[0, 0].sum() > 0


# "larger after 1x1" and the mixes that cannot be broadcast are refused; the rest is stretched.
STRETCHED = {"1x1 after larger", "1 pixel wide after larger", "1 pixel high after larger"}


@pytest.mark.parametrize("mix", SHAPE_MIXES)
def test_mixed_shapes(mix: str, tmp_path: Path) -> None:
    outcomes = {}
    for name in ("mapped", "mapped-fixed", "naive", "preloaded-fixed"):
        folder = tmp_path / name / "images"
        folder.mkdir(parents=True)
        outcomes[name] = mixed_shapes(name, folder, mix)
    equal = mix == "equal shapes"
    assert outcomes == {
        "mapped": RIGHT if equal else WRONG if mix in STRETCHED else REFUSED,
        "mapped-fixed": RIGHT if equal else REFUSED,
        "naive": RIGHT,
        "preloaded-fixed": RIGHT,
    }


def test_pickle_of_mapped_holds_all_pixels_and_of_mapped_fixed_none(folder: Path) -> None:
    assert len(pickle.dumps(MemoryMappedDataset(folder))) >= PIXELS
    fixed = ReadOnlyMappedDataset(folder)
    assert fixed[0].any()  # opened by now; the open mapping must not travel
    assert len(pickle.dumps(fixed)) < 1000


# --- a training step that changes its samples in place (X02) ---------------------------------

CORRUPTIBLE = {
    ("preloaded", "item", "memory"),
    ("preloaded", "unbatched", "memory"),
    *(
        ("mapped", access, where)
        for access in ("item", "unbatched")
        for where in ("memory", "disk")
    ),
}


@pytest.mark.parametrize("where", ["memory", "disk"])
@pytest.mark.parametrize("access", ["item", "unbatched", "batch"])
@pytest.mark.parametrize("name", [*DOCUMENTED, *CORRECTED])
def test_training_step(name: str, access: str, where: str, folder: Path) -> None:
    changed = changed_by_training(name, folder, access, where)
    assert changed == ((name, access, where) in CORRUPTIBLE)


# --- mapped-fixed ----------------------------------------------------------------------------


def pixels_of(dataset: Any) -> np.ndarray[Any, Any]:
    return np.stack([dataset[index].numpy() for index in range(len(dataset))])


def fresh(folder: Path, tmp_path: Path) -> np.ndarray[Any, Any]:
    """What a build that nothing came before gives."""
    return pixels_of(ReadOnlyMappedDataset(folder, tmp_path / "reference.pixels"))


def test_mapped_fixed_writes_beside_the_folder_and_nothing_into_it(folder: Path) -> None:
    before = listing(folder)
    dataset = ReadOnlyMappedDataset(folder)
    assert listing(folder) == before
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
    before = listing(empty.parent)
    with pytest.raises(StudyError) as refusal:
        ReadOnlyMappedDataset(empty)
    sentence = str(refusal.value)
    assert "b.jpg" in sentence and "1x1" in sentence and "32x16" in sentence
    assert sentence.endswith(".") and "\n" not in sentence
    assert listing(empty.parent) == before


def test_mapped_fixed_names_the_image_it_cannot_read(empty: Path) -> None:
    noise(empty / "a.jpg", 32, 16)
    (empty / "b.jpg").write_bytes(b"not a JPEG")
    before = listing(empty.parent)
    with pytest.raises(StudyError, match=r"b\.jpg") as refusal:
        ReadOnlyMappedDataset(empty)
    assert "write" not in str(refusal.value), "reading failed, not writing"
    assert listing(empty.parent) == before


def test_mapped_fixed_refuses_an_empty_folder(empty: Path) -> None:
    with pytest.raises(StudyError, match="no JPEG file"):
        ReadOnlyMappedDataset(empty)
    assert listing(empty.parent) == {}


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
    assert len(listing(folder)) == COUNT


def test_mapped_fixed_replaces_what_it_once_wrote(folder: Path) -> None:
    old, header = folder.with_name("images.pixels"), folder.with_name("images.pixels.header")
    old.write_bytes(bytes(PIXELS))
    header.write_text(f'{{"fingerprint": "x", "shape": [{COUNT}, {PX}, {PX}, 3]}}')
    assert pixels_of(ReadOnlyMappedDataset(folder)).any()
    assert not header.exists()


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
