"""Decoders: the pixels Pillow gives, or within a stated distance of them; into memory of ours."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from datasets_impl import decoders
from datasets_impl.corpus import Corpus
from datasets_impl.decoders import DECODERS, decoder

every_decoder = pytest.mark.parametrize("name", DECODERS)
FAST_MEAN, FAST_MOST = 4.0, 60  # of 255: mean and largest difference of the fast DCT on photographs


def encoded(pixels: np.ndarray, mode: str = "RGB", **options: object) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(pixels).convert(mode).save(buffer, "JPEG", **options)
    return buffer.getvalue()


def by_pil(data: bytes) -> np.ndarray:
    return np.array(Image.open(io.BytesIO(data)).convert("RGB"))


@pytest.fixture(scope="module")
def photographs(corpus: Corpus) -> list[bytes]:
    return [Path(path).read_bytes() for path in corpus.paths]


@every_decoder
def test_pixels_against_pil(name: str, photographs: list[bytes]) -> None:
    row = decoder(name)
    for data in photographs:
        found, expected = row.decode(data, None), by_pil(data)
        assert found.dtype == np.uint8 and found.shape == expected.shape
        difference = np.abs(found.astype(int) - expected)
        if row.exact:
            assert not difference.any()
        else:
            assert 0 < difference.mean() < FAST_MEAN and difference.max() < FAST_MOST


@every_decoder
def test_fills_the_place_it_is_given(name: str, photographs: list[bytes]) -> None:
    data = photographs[0]
    place = np.zeros((3, *by_pil(data).shape), np.uint8)
    found = decoder(name).decode(data, place[1])
    assert np.shares_memory(found, place)
    np.testing.assert_array_equal(place[1], decoder(name).decode(data, None))
    assert not place[0].any() and not place[2].any()


@every_decoder
def test_reads_a_view_into_a_larger_file(name: str, photographs: list[bytes]) -> None:
    data = photographs[0]
    view = memoryview(b"before" + data + b"behind")[6 : 6 + len(data)]
    np.testing.assert_array_equal(
        decoder(name).decode(view, None), decoder(name).decode(data, None)
    )


@every_decoder
def test_grey_pictures_become_rgb(name: str) -> None:
    ramp = np.linspace(0, 255, 40 * 24).reshape(24, 40).astype(np.uint8)
    found = decoder(name).decode(encoded(ramp, "L"), None)
    assert found.shape == (24, 40, 3)
    assert np.abs(found.astype(int) - by_pil(encoded(ramp, "L"))).max() <= (
        0 if decoder(name).exact else 4
    )


@every_decoder
@pytest.mark.parametrize("shape", [(24, 41, 3), (25, 40, 3), (1, 40, 3), (40, 24, 3)])
def test_another_shape_than_the_place_is_refused(name: str, shape: tuple[int, ...]) -> None:
    data = encoded(np.zeros((24, 40, 3), np.uint8))
    with pytest.raises((ValueError, RuntimeError)):
        decoder(name).decode(data, np.zeros(shape, np.uint8))


@every_decoder
@pytest.mark.parametrize("data", [b"", b"no picture at all", b"\xff\xd8\xff"])
def test_what_is_no_picture_is_an_error(name: str, data: bytes) -> None:
    with pytest.raises((OSError, ValueError, RuntimeError)):
        decoder(name).decode(data, None)


def test_a_missing_package_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(decoders.importlib.util, "find_spec", lambda name: None)
    with pytest.raises(ModuleNotFoundError, match="'opencv' needs the package 'cv2'"):
        decoder("opencv")
