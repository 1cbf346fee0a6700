"""Decoders: the pixels Pillow gives, or within a stated distance of them; into memory of ours."""

from __future__ import annotations

import io
import warnings
from pathlib import Path

import numpy as np
import pytest
import torchvision.io  # noqa: F401 - makes a folder for PyTorch's compiler, so before any test
from PIL import Image, ImageOps

from datasets_impl import decoders
from datasets_impl.corpus import Corpus
from datasets_impl.corrected.jpeg import JpegDataset
from datasets_impl.decoders import (
    BY_SPEED,
    DECODERS,
    decode_or_pillow,
    decoder,
    default_decoder,
)
from datasets_impl.doctor.probes import ceiling as ceilings
from datasets_impl.doctor.probes.target import subject_of
from datasets_impl.files.jpeg import orientation, upright

every_decoder = pytest.mark.parametrize(
    "name",
    [
        pytest.param(
            name,
            marks=pytest.mark.skipif(not row.available, reason=f"{row.package} is not installed"),
        )
        for name, row in DECODERS.items()
    ],
)
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
def test_four_colours_are_converted_as_pillow_does(name: str, photographs: list[bytes]) -> None:
    data = encoded(by_pil(photographs[0]), "CMYK")
    found = decode_or_pillow(decoder(name).decode, data, None)
    np.testing.assert_array_equal(found, by_pil(data))


@every_decoder
@pytest.mark.parametrize("turned", range(1, 9))
def test_no_decoder_turns_a_picture_and_each_can_be_turned(
    name: str, turned: int, photographs: list[bytes]
) -> None:
    picture = Image.open(io.BytesIO(photographs[0])).crop((0, 0, 40, 24))
    exif = Image.Exif()
    exif[0x0112] = turned
    buffer = io.BytesIO()
    picture.save(buffer, "JPEG", exif=exif)
    data = buffer.getvalue()
    found, exact = decoder(name).decode(data, None), by_pil(data)
    assert found.shape == exact.shape == (24, 40, 3)
    assert np.abs(found.astype(int) - exact).max() <= (0 if decoder(name).exact else FAST_MOST)
    with Image.open(buffer) as opened:
        expected = np.array(ImageOps.exif_transpose(opened).convert("RGB"))
    assert orientation(data) == turned
    np.testing.assert_array_equal(upright(exact, turned), expected)


@pytest.mark.parametrize(("kind", "found"), [("PNG", 6), ("WEBP", 6), ("TIFF", 1)])
def test_other_pictures_say_how_they_are_turned(kind: str, found: int) -> None:
    """But for TIFF, which Pillow has turned when it is decoded."""
    exif = Image.Exif()
    exif[0x0112] = 6
    buffer = io.BytesIO()
    Image.new("RGB", (4, 3)).save(buffer, kind, exif=exif)
    assert orientation(buffer.getvalue()) == found


@pytest.mark.parametrize("data", [b"", b"\xff\xd8\xff\xe1\x00\x10Exif\0\0MM", b"no picture at all"])
def test_what_is_damaged_is_not_turned(data: bytes) -> None:
    assert orientation(data) == 1


@pytest.fixture
def without(monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest) -> list[str]:
    """Packages that are not installed here."""
    real, missing = decoders.importlib.util.find_spec, request.param
    monkeypatch.setattr(
        decoders.importlib.util, "find_spec", lambda name: None if name in missing else real(name)
    )
    default_decoder.cache_clear()
    request.addfinalizer(default_decoder.cache_clear)
    return missing


@pytest.mark.parametrize(
    ("without", "expected"),
    [(["simplejpeg"], "torchcodec"), (["simplejpeg", "torchcodec", "cv2"], "torchvision")],
    indirect=["without"],
)
def test_the_default_falls_to_the_next_and_says_so_once(without: list[str], expected: str) -> None:
    pytest.importorskip(expected)
    with pytest.warns(RuntimeWarning, match=f"simplejpeg cannot be used, and {expected} decodes"):
        assert default_decoder().name == expected
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert default_decoder().name == expected


@pytest.mark.parametrize(
    ("without", "expected"),
    [([], "simplejpeg"), (["simplejpeg"], "torchcodec")],
    indirect=["without"],
)
def test_the_doctors_ceiling_falls_to_the_next_too(
    without: list[str], expected: str, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip(expected)
    monkeypatch.setattr(ceilings, "_copying", lambda nbytes, seconds: 0.0)
    for path in folder.iterdir():
        Image.open(path).resize((96, 96)).save(path)
    found = ceilings.ceiling(subject_of("photos", JpegDataset(folder)), 0.3)
    assert found["of"] == f"decoding each with {expected}"


def test_the_default_is_exact_and_warns_of_nothing_where_it_is_there() -> None:
    default_decoder.cache_clear()
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert default_decoder().name == "simplejpeg"
    assert set(BY_SPEED) == {row.name for row in DECODERS.values() if row.exact}


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
