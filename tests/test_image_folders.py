"""A torchvision `ImageFolder` as a source: its targets as it gives them, and what is not used."""

from __future__ import annotations

import shutil
import warnings
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from PIL import Image
from torch.utils.data import Subset
from torchvision.datasets import ImageFolder

from datasets_impl.corpus import Corpus
from datasets_impl.errors import BadArgument
from datasets_impl.formats import ensure_stored, open_stored
from datasets_impl.loaders.decoded_images import DecodedImages


@pytest.fixture
def labelled(corpus: Corpus, tmp_path: Path) -> Path:
    """Photographs of four classes."""
    for number, path in enumerate(corpus.paths):
        folder = tmp_path / "photos" / "abcd"[number % 4]
        folder.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(path, folder / f"{number}.jpg")
    return tmp_path / "photos"


def turned(target: int) -> int:
    return 3 - target


def own_loader(path: str) -> Any:
    return Image.open(path)


def test_targets_are_as_the_folders_target_transform_makes_them(labelled: Path) -> None:
    given = ImageFolder(labelled, target_transform=turned)
    expected = [turned(target) for _, target in given.samples]
    assert expected != given.targets
    part = Subset(given, [3, 0])
    images: Any = DecodedImages(given)
    assert images.targets.tolist() == expected
    assert [int(images[index][1]) for index in (0, 3)] == [given[0][1], given[3][1]]
    assert DecodedImages(part).targets.tolist() == [part[0][1], part[1][1]]  # type: ignore[union-attr]
    plain: Any = ensure_stored(ImageFolder(labelled), "jpeg", "pack")
    assert plain.targets.tolist() == given.targets
    stored: Any = ensure_stored(given, "jpeg", "pack")
    assert stored.targets.tolist() == open_stored(stored.folder).targets.tolist() == expected  # type: ignore[union-attr]


def test_a_target_transform_to_what_is_no_number_is_refused(labelled: Path) -> None:
    for change in (str, lambda _: None):
        with pytest.raises(BadArgument, match=r"targets is .*; give a number"):
            DecodedImages(ImageFolder(labelled, target_transform=change))


@pytest.mark.parametrize(
    ("given", "names"),
    [({"transform": own_loader}, "transform"), ({"loader": own_loader}, "loader"),
     ({"transform": own_loader, "loader": own_loader}, "transform and loader"), ({}, "")],
)  # fmt: skip
def test_what_is_not_used_of_a_folder_is_said_once(
    given: dict[str, Any], names: str, labelled: Path
) -> None:
    for folder in (ImageFolder(labelled, **given), Subset(ImageFolder(labelled, **given), [0])):
        with warnings.catch_warnings(record=True) as said:
            warnings.simplefilter("always")
            DecodedImages(folder)
        found = [str(each.message) for each in said]
        assert [
            each.startswith(f"The {names} of ImageFolder will not be used") for each in found
        ] == [True] * bool(names)


class Labels(ImageFolder):
    def __getitem__(self, index: int) -> Any:
        return super().__getitem__(index)[0], 100


class Few(ImageFolder):
    def __len__(self) -> int:
        return 1


class Part(Subset[Any]):
    def __getitem__(self, index: Any) -> Any:
        return super().__getitem__(index)[0], 100

    def __getitems__(self, indices: list[int]) -> list[Any]:
        return [self[index] for index in indices]


class Same(ImageFolder):
    pass


@pytest.mark.parametrize(
    ("made", "said"),
    [
        (Labels, "The __getitem__ of Labels will not be used"),
        (Few, "The __len__ of Few will not be used"),
        (lambda folder: Part(ImageFolder(folder), [0]), "The __getitem__ of Part will not be used"),
        (Same, ""),
        (lambda folder: Subset(Same(folder), [0]), ""),
        (lambda folder: SimpleNamespace(samples=ImageFolder(folder).samples), ""),
    ],
)
def test_samples_of_a_class_of_ones_own_are_not_taken_without_a_word(
    made: Any, said: str, labelled: Path
) -> None:
    with warnings.catch_warnings(record=True) as found:
        warnings.simplefilter("always")
        DecodedImages(made(labelled))
    assert [str(each.message).partition(":")[0] for each in found] == [said] * bool(said)
