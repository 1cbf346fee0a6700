"""What a corpus promises.

The same arguments give the same bytes; a smaller corpus is a prefix of a larger one; no two bundled
images are equal; at the defaults a pixel takes as many bytes as in ImageNet-1k.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from datasets_impl.corpus import DEFAULT_QUALITY, Content, CorpusSpec, ensure_corpus
from datasets_impl.corpus.photographs import Window, assign_sources, cut, source_of, window_of
from datasets_impl.errors import StudyError
from tests.corpora import SMALL, contents


def test_same_arguments_same_bytes(tmp_path: Path) -> None:
    first = ensure_corpus(SMALL, cache=tmp_path / "a")
    second = ensure_corpus(SMALL, cache=tmp_path / "b")
    assert first.manifest == second.manifest
    assert contents(first) == contents(second)
    other_seed = ensure_corpus(CorpusSpec(24, 64, seed=1), cache=tmp_path / "a")
    assert other_seed.manifest.content_hash != first.manifest.content_hash


@pytest.mark.parametrize("content", ["photographs", "noise"])
def test_smaller_corpus_is_a_prefix(tmp_path: Path, content: Content) -> None:
    small = ensure_corpus(CorpusSpec(11, 64, content=content), cache=tmp_path)
    large = ensure_corpus(CorpusSpec(40, 64, content=content), cache=tmp_path)
    assert contents(large)[:11] == contents(small)


def test_every_file_is_a_distinct_baseline_jpeg(tmp_path: Path) -> None:
    for quality in (30, DEFAULT_QUALITY):
        corpus = ensure_corpus(CorpusSpec(200, 64, quality), cache=tmp_path)
        assert len(set(contents(corpus))) == 200
        assert corpus.manifest.repeated == 0
    assert sorted(path.name for path in corpus.root.iterdir()) == [
        f"{index:05d}.jpg" for index in range(200)
    ]
    assert corpus.paths == sorted(corpus.paths)
    with Image.open(corpus.paths[0]) as image:
        assert (image.format, image.mode, image.size) == ("JPEG", "RGB", (64, 64))
        assert "progressive" not in image.info


def test_default_takes_as_many_bytes_per_pixel_as_imagenet(tmp_path: Path) -> None:
    manifest = ensure_corpus(CorpusSpec(64, 256), cache=tmp_path).manifest
    assert 0.5 <= manifest.bytes_per_pixel <= 0.7
    assert manifest.label == "bundled photographs"
    assert (manifest.found, manifest.used, manifest.quality) == (8, 8, str(DEFAULT_QUALITY))


def test_manifest_agrees_with_the_files_and_names_no_path(tmp_path: Path) -> None:
    corpus = ensure_corpus(SMALL, cache=tmp_path)
    sizes = sorted(map(len, contents(corpus)))
    manifest = corpus.manifest
    assert manifest.total_bytes == sum(sizes)
    assert (manifest.file_bytes.smallest, manifest.file_bytes.largest) == (sizes[0], sizes[-1])
    assert str(tmp_path) not in (corpus.root.parent / "manifest.json").read_text()


def test_quality_changes_the_encoding_not_the_pixels(tmp_path: Path) -> None:
    fine = ensure_corpus(CorpusSpec(16, 64, 100), cache=tmp_path)
    coarse = ensure_corpus(CorpusSpec(16, 64, 50), cache=tmp_path)
    assert coarse.manifest.total_bytes < fine.manifest.total_bytes
    for left, right in zip(fine.paths, coarse.paths, strict=True):
        difference = np.asarray(Image.open(left), int) - np.asarray(Image.open(right), int)
        assert abs(difference).mean() < 12


def test_noise_is_labelled_as_a_bound(tmp_path: Path) -> None:
    corpus = ensure_corpus(CorpusSpec(8, 64, content="noise"), cache=tmp_path)
    assert corpus.manifest.label == "uniform noise (a bound, not a photograph)"
    assert len(set(contents(corpus))) == 8


@pytest.mark.parametrize(
    "wrong",
    [
        {"count": 0},
        {"count": 100_001},
        {"resolution": 0},
        {"quality": 101},
        {"seed": -1},
        {"count": 2.5},
        {"count": "5"},
        {"resolution": None},
        {"quality": True},
    ],
)
def test_impossible_arguments_are_one_sentence(wrong: dict[str, int]) -> None:
    with pytest.raises(StudyError, match=f"{next(iter(wrong))} must be between"):
        replace(SMALL, **wrong)  # type: ignore[arg-type]


@given(
    st.integers(1, 40),
    st.integers(1, 40),
    st.integers(1, 60),
    st.integers(0, 9),
    st.integers(0, 99),
)
def test_a_crop_is_a_turned_window_of_the_mirrored_picture(
    height: int, width: int, side: int, seed: int, index: int
) -> None:
    pixels = np.arange(height * width * 3).reshape(height, width, 3).astype(np.uint8)
    window = window_of(seed, index, 0, side, height, width)
    crop = cut(pixels, window, side)
    assert crop.shape == (side, side, 3)
    assert crop.dtype == np.uint8
    assert crop.base is None  # a view would keep the whole picture in memory
    assert crop.flags.c_contiguous

    # NumPy's own mirror reflection as the oracle.
    spread = 2 * (side + max(height, width))
    plane = np.pad(pixels, ((0, spread), (0, spread), (0, 0)), mode="symmetric")
    plain = plane[window.top : window.top + side, window.left : window.left + side]
    turned = np.rot90(plain, window.orientation % 4)
    np.testing.assert_array_equal(crop, turned[:, ::-1] if window.orientation >= 4 else turned)
    if height >= 1.25 * side and width >= 1.25 * side:  # room enough: no mirroring
        assert window.top + side <= height
        assert window.left + side <= width


def test_eight_orientations_differ() -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (9, 9, 3), dtype=np.uint8)
    assert len({cut(pixels, Window(2, 1, turn), 5).tobytes() for turn in range(8)}) == 8


@given(st.integers(0, 5), st.integers(1, 80), st.integers(1, 20))
def test_each_run_of_images_uses_every_picture_once(seed: int, count: int, sources: int) -> None:
    groups = assign_sources(seed, count, sources)
    assert sorted(index for group in groups for index in group) == list(range(count))
    assert max(map(len, groups)) - min(map(len, groups)) <= 1
    assert all(source_of(seed, i, sources) == s for s, group in enumerate(groups) for i in group)
