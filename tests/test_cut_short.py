"""Files that are read through a mapping and are cut short: a sentence, where an epoch begins.

What is read behind the end of a mapped file ends the process: each look is in time or not at all.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from torch.utils.data import DataLoader, Subset

from datasets_impl import ThreadedLoader
from datasets_impl.convert import convert_to_shards
from datasets_impl.corrected.mapped import ReadOnlyMappedDataset
from datasets_impl.errors import StudyError
from datasets_impl.formats import FORMATS, ensure_stored, open_stored
from datasets_impl.loaders.decoded_images import DecodedImages
from datasets_impl.loaders.stored_pixels import StoredPixels
from tests.stored_sets import Here

MAPPED = [name for name in ("pack", "tar", "arrow", "restart") if FORMATS[name].available]
SAID = "cut short|should have"


def mapped(folder: Path) -> tuple[Any, Path]:
    dataset = ReadOnlyMappedDataset(folder)
    return dataset, dataset.data_file


def stored(name: str) -> Callable[[Path], tuple[Any, Path]]:
    def made(folder: Path) -> tuple[Any, Path]:
        images = ensure_stored(folder, "jpeg", name)
        return DecodedImages(images), images.files[-1]

    return made


def pixels(folder: Path) -> tuple[Any, Path]:
    images = ensure_stored(folder, "pixels", "pack")
    return StoredPixels(images), images.files[0]


def shards(folder: Path) -> tuple[Any, Path]:
    target = folder.with_name("shards")
    convert_to_shards(folder, target, "tar", "jpeg", shard_images=5, executor=Here())
    images = open_stored(target)
    return DecodedImages(images), images.files[-1]


CASES = {
    "mapped": mapped, "pixels": pixels, "shards": shards, **{one: stored(one) for one in MAPPED}
}  # fmt: skip


@pytest.mark.parametrize("where", ["process", "trainer"])
@pytest.mark.parametrize("case", CASES)
def test_the_next_epoch_of_a_loader_says_so(case: str, where: str, folder: Path) -> None:
    dataset, file = CASES[case](folder)
    content = file.read_bytes()
    for whole in (dataset, Subset(dataset, range(8))):
        with ThreadedLoader(whole, 4, where=where) as loader:
            assert len(list(loader)) >= 2
            assert len(list(loader)) >= 2, "a whole file is read on"
            os.truncate(file, 10)
            with pytest.raises(StudyError, match=SAID):
                list(loader)
            file.write_bytes(content)


@pytest.mark.parametrize("workers", [0, 2])
def test_a_mapped_file_behind_a_data_loader(workers: int, folder: Path) -> None:
    dataset, file = mapped(folder)
    loader: Any = DataLoader(dataset, 4, num_workers=workers)
    assert len(list(loader)) == 3
    os.truncate(file, 5000)
    with pytest.raises(StudyError, match=r"cut short|was made anew, or is gone"):
        list(loader)


@pytest.mark.parametrize("case", CASES)
def test_what_is_open_stays_where_the_file_was_deleted(case: str, folder: Path) -> None:
    dataset, file = CASES[case](folder)
    with ThreadedLoader(dataset, 4, where="trainer") as loader:
        before = len(list(loader))
        if case == "mapped":
            file.unlink()
        else:
            (file.parent / "header.json").unlink()
        assert len(dataset) and (case == "shards" or len(list(loader)) == before)
