"""A loader's state is taken over the same samples, wherever they are, and refused over others."""

from __future__ import annotations

import io
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from PIL import Image
from torch.utils.data import ConcatDataset, Subset

from datasets_impl.corrected.jpeg import JpegDataset
from datasets_impl.errors import BadArgument
from datasets_impl.files.packed import PackedPaths
from datasets_impl.formats import ensure_stored
from datasets_impl.labelled import LabelledFolder
from datasets_impl.loaders.centre_crops import CentreCrops
from datasets_impl.loaders.decoded_images import DecodedImages
from datasets_impl.loaders.loader import ThreadedLoader
from datasets_impl.loaders.random_crops import RandomCrops
from tests.samples import Made, Written

Build = Callable[[Path], Any]


@pytest.fixture
def pictures(tmp_path: Path) -> Path:
    """Names of pictures: none of them is read."""
    for name in ("cat/a.jpg", "cat/b.jpg", "dog/c.jpg", "dog/d.jpg"):
        path = tmp_path / "here" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    return tmp_path / "here"


def image_folder(root: Path) -> Any:
    return pytest.importorskip("torchvision.datasets").ImageFolder(str(root))


BUILD: dict[str, Build] = {
    "folder": DecodedImages,
    "labelled": lambda root: RandomCrops(LabelledFolder(root)),
    "ImageFolder": image_folder,
    "of an ImageFolder": lambda root: CentreCrops(image_folder(root)),
    "list": lambda root: DecodedImages([path for path, _ in LabelledFolder(root).samples]),
    "plain": JpegDataset,
    "part": lambda root: Subset(image_folder(root), [2, 0, 3]),
    "several": lambda root: ConcatDataset([image_folder(root), JpegDataset(root)]),
}


def state_of(dataset: Any) -> Any:
    """As it comes from a file."""
    file = io.BytesIO()
    torch.save(ThreadedLoader(dataset, 2, seed=1).state_dict(), file)
    file.seek(0)
    return torch.load(file)


def load(dataset: Any, state: Any) -> None:
    ThreadedLoader(dataset, 2, seed=1).load_state_dict(state)


@pytest.mark.parametrize("build", BUILD.values(), ids=BUILD)
def test_a_state_is_taken_elsewhere_and_refused_over_files_of_other_names(
    build: Build, pictures: Path, tmp_path: Path
) -> None:
    state = state_of(build(pictures))
    there = Path(shutil.copytree(pictures, tmp_path / "a place" / "there"))
    load(build(there), state)
    (there / "cat" / "a.jpg").rename(there / "dog" / "e.jpg")
    (there / "dog" / "c.jpg").rename(there / "cat" / "c.jpg")
    with pytest.raises(BadArgument, match=r"^state is of a loader with samples .* same samples\.$"):
        load(build(there), state)
    del state["describes"]["dataset"], state["describes"]["samples"]  # as of an earlier version
    load(build(there), state)


OTHERS: dict[str, tuple[Build, Build, str]] = {
    "class": (RandomCrops, CentreCrops, "dataset RandomCrops, seed=0, and this one has CentreCrop"),
    "seed": (RandomCrops, lambda root: RandomCrops(root, seed=7), "RandomCrops, seed=7;"),
    "part": (
        lambda root: Subset(RandomCrops(root), [0, 1]),
        lambda root: Subset(RandomCrops(root), [0, 2]),
        "samples",
    ),
    "class of a user's": (lambda _: Made("tensor"), lambda _: Written(), "dataset Made"),
}


@pytest.mark.parametrize(("build", "other", "said"), OTHERS.values(), ids=OTHERS)
def test_a_state_of_another_dataset_is_refused(
    build: Build, other: Build, said: str, pictures: Path
) -> None:
    state = state_of(build(pictures))
    load(build(pictures), state)
    with pytest.raises(BadArgument, match=said):
        load(other(pictures), state)


def test_a_stored_set_is_known_by_its_pictures(tmp_path: Path) -> None:
    for folder, colours in (("one", (10, 20)), ("other", (20, 10))):
        (tmp_path / folder).mkdir()
        for number, colour in enumerate(colours):
            Image.new("L", (8, 8), colour).save(tmp_path / folder / f"{number}.jpg")
    one, other = (
        DecodedImages(ensure_stored(tmp_path / name, "jpeg", "pack")) for name in ("one", "other")
    )
    state = state_of(one)
    load(DecodedImages(ensure_stored(tmp_path / "one", "jpeg", "tar")), state)
    with pytest.raises(BadArgument, match="loader with samples"):
        load(other, state)


def test_names_have_the_same_digest_in_every_process() -> None:
    assert PackedPaths(["/a/b/c/1.jpg", "/a/b/d/2.jpg"]).digest() == 12477154913733083519
    assert PackedPaths(["/b/c/1.jpg", "/b/d/2.jpg"]).digest() == 12477154913733083519
    assert PackedPaths(["/b/c1.jpg", "/b/c2.jpg"]).digest() != PackedPaths(["1", "2"]).digest()


def test_a_seed_that_is_set_later_counts(pictures: Path) -> None:
    dataset = RandomCrops(pictures)
    made = ThreadedLoader(dataset, 2, seed=1)
    state = made.state_dict()
    dataset.seed = 7
    with pytest.raises(BadArgument, match="seed=7"):
        made.load_state_dict(state)
