"""Random crops: torchvision's boxes, the same for everyone, and pixels near the reference."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image
from scipy import stats
from torchvision.transforms import v2
from torchvision.transforms.v2 import functional

from datasets_impl.corpus import Corpus, CorpusSpec, ensure_corpus
from datasets_impl.files.pictures import jpeg_files
from datasets_impl.formats import ensure_stored
from datasets_impl.loaders.crops import RATIO, SCALE, random_box
from tests.loading import crops

SIZE, COUNT, PX = 32, 8, 160
sides = st.integers(1, 3000)


@given(sides, sides, st.integers(0, 2**31), st.integers(0, 10**6), st.integers(0, 10**9))
def test_every_box_lies_in_its_image(h: int, w: int, seed: int, epoch: int, index: int) -> None:
    box = random_box(h, w, seed, epoch, index)
    assert box.top >= 0 and box.left >= 0 and box.height > 0 and box.width > 0
    assert box.top + box.height <= h and box.left + box.width <= w
    assert box == random_box(h, w, seed, epoch, index)


@pytest.mark.parametrize(("height", "width"), [(375, 500), (500, 500), (100, 900)])
def test_boxes_are_distributed_as_torchvisions(height: int, width: int) -> None:
    draws = 4000
    torch.manual_seed(0)
    image = torch.empty(3, height, width)
    theirs = np.array([_torchvision_box(image) for _ in range(draws)])
    ours = np.array(
        [
            (box.top, box.left, box.height, box.width)
            for box in (random_box(height, width, 5, 0, index) for index in range(draws))
        ]
    )
    for column in range(4):
        assert stats.ks_2samp(ours[:, column], theirs[:, column]).pvalue > 0.001


def _torchvision_box(image: torch.Tensor) -> tuple[int, int, int, int]:
    found = v2.RandomResizedCrop(SIZE, SCALE, RATIO).make_params([image])
    return found["top"], found["left"], found["height"], found["width"]


def test_half_of_the_images_are_turned() -> None:
    turned = sum(random_box(100, 100, 0, 0, index).flip for index in range(2000))
    assert 900 < turned < 1100


@pytest.fixture(scope="module")
def photographs(session_cache: Path) -> Corpus:
    return ensure_corpus(CorpusSpec(COUNT, PX), cache=session_cache)


def reference(folder: Path, seed: int, epoch: int) -> np.ndarray:
    """Full decode by Pillow, torchvision's antialiased resize of the same boxes."""
    found = []
    for index, path in enumerate(jpeg_files(folder)):
        pixels = torch.from_numpy(np.array(Image.open(path).convert("RGB"))).permute(2, 0, 1)
        box = random_box(*pixels.shape[1:], seed, epoch, index)
        crop = functional.resized_crop(
            pixels, box.top, box.left, box.height, box.width, [SIZE, SIZE], antialias=True
        )
        found.append((crop.flip(-1) if box.flip else crop).numpy())
    return np.stack(found)


def made(folder: Path, **options: Any) -> np.ndarray:
    loader = crops(folder, size=SIZE, sampler=range(COUNT), **options)
    return np.concatenate([batch.numpy().copy() for batch in loader])


@pytest.mark.parametrize(
    ("options", "mean"),
    [({"fast": True}, 1.5), ({"scaled": True}, 4.5), ({"scaled": True, "fast": True}, 4.5)],
)
def test_faster_ways_stay_near(photographs: Corpus, options: dict[str, Any], mean: float) -> None:
    found, expected = made(photographs.root, seed=3, **options), reference(photographs.root, 3, 0)
    assert 0 < np.abs(found.astype(int) - expected).mean() < mean


def test_an_epoch_sees_other_crops_and_a_seed_decides_them(photographs: Corpus) -> None:
    loader = crops(photographs.root, size=SIZE, sampler=range(COUNT))
    first, second = (next(iter(loader)).clone() for _ in range(2))
    assert not torch.equal(first, second)
    loader.set_epoch(0)
    assert torch.equal(next(iter(loader)), first)
    np.testing.assert_array_equal(made(photographs.root), first.numpy())


@pytest.mark.filterwarnings("ignore:.*Pillow decodes it:RuntimeWarning")
def test_images_of_any_shape_and_mode(photographs: Corpus, tmp_path: Path) -> None:
    folder = Path(shutil.copytree(photographs.root, tmp_path / "images"))
    for name, mode, size in (
        ("x1", "L", (40, 90)),
        ("x2", "CMYK", (300, 20)),
        ("x3", "RGB", (1, 1)),
    ):
        Image.new(mode, size, 128 if mode == "L" else None).save(folder / f"{name}.jpg")
    loader = crops(folder, size=SIZE, batch_size=4, scaled=True)
    assert sum(len(batch) for batch in loader) == COUNT + 3


def test_regions_give_the_pixels_of_a_full_decode(photographs: Corpus, tmp_path: Path) -> None:
    pytest.importorskip("numba", reason="transcoding needs numba")
    stored: Any = ensure_stored(photographs.root, "jpeg", "restart", target=tmp_path / "stored")
    for seed in range(5):
        loader = crops(stored, size=SIZE, sampler=range(COUNT), seed=seed)
        found = np.concatenate([batch.numpy().copy() for batch in loader])
        expected = reference(photographs.root, seed, 0)
        assert np.abs(found.astype(int) - expected).max() <= 1
