"""The documented flaws are kept, and the corrected variants do not have them."""

from __future__ import annotations

import os
import pickle
from pathlib import Path

import numpy as np
import pytest
import torch
from conftest import COUNT, PX
from PIL import Image
from torch.utils.data import default_collate

from datasets_impl import registry
from datasets_impl.corrected.mapped import ReadOnlyMappedDataset
from datasets_impl.documented import ImprovedDataset, InefficientDataset, MemoryMappedDataset
from datasets_impl.documented.memory_mapped import DATA_FILE
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
from datasets_impl.observe.files_opened import counting_opened_images
from datasets_impl.transforms import ToUint8
from tests.corpora import noise

DOCUMENTED = ("naive", "preloaded", "mapped")
CORRECTED = ("naive-fixed", "preloaded-fixed", "mapped-fixed")
PIXELS = COUNT * PX * PX * 3


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
        found = registry.pixels(registry.IMPLEMENTATIONS[name], dataset[index])
        np.testing.assert_array_equal(found, reference)


def test_naive_yields_a_tuple_of_one(folder: Path) -> None:
    sample = InefficientDataset(folder)[0]
    assert isinstance(sample, tuple) and len(sample) == 1
    batch = default_collate([sample, sample])
    assert isinstance(batch, list | tuple) and batch[0].shape == (2, PX, PX, 3)
    assert isinstance(registry.build("naive-fixed", folder)[0], torch.Tensor)


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
