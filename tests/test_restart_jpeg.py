"""Restart markers: not a pixel changes, and a region is the part of the whole that it says."""

from __future__ import annotations

import io
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image

from datasets_impl.corpus import Corpus
from datasets_impl.errors import MissingPackage
from datasets_impl.formats.restart.jpeg import Record, Unsuitable
from datasets_impl.formats.restart.transcode import compiled
from datasets_impl.formats.restart.writing import with_restarts

numba = pytest.importorskip("numba", reason="transcoding needs numba")
SUBSAMPLINGS = (0, 1, 2)  # 4:4:4, 4:2:2, 4:2:0


def picture(height: int, width: int, seed: int = 0, grey: bool = False) -> np.ndarray[Any, Any]:
    """Smooth and noisy parts, so that blocks have few and many coefficients."""
    draw = np.random.default_rng(seed)
    y, x = np.mgrid[0:height, 0:width]
    smooth = np.stack([127 + 120 * np.sin(x / (5 + c) + y / 9) for c in range(3)], -1)
    noisy = smooth + draw.normal(0, 60, smooth.shape) * (x > width / 2)[..., None]
    pixels = np.clip(noisy, 0, 255).astype(np.uint8)
    return pixels[..., 0] if grey else pixels


def encoded(pixels: np.ndarray[Any, Any], **options: Any) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "JPEG", **options)
    return buffer.getvalue()


def decoded(data: Any) -> np.ndarray[Any, Any]:
    return np.array(Image.open(io.BytesIO(bytes(data))))


CASES = st.fixed_dictionaries(
    {
        "height": st.integers(1, 90),
        "width": st.integers(1, 140),
        "quality": st.sampled_from([30, 75, 98, 100]),
        "subsampling": st.sampled_from(SUBSAMPLINGS),
        "optimize": st.booleans(),
        "grey": st.booleans(),
        "seed": st.integers(0, 99),
        "old": st.integers(0, 3),
    }
)


def made(case: dict[str, Any]) -> bytes:
    pixels = picture(case["height"], case["width"], case["seed"], case["grey"])
    names = ("quality", "optimize") if case["grey"] else ("quality", "subsampling", "optimize")
    return encoded(
        pixels, **{name: case[name] for name in names}, restart_marker_blocks=case["old"]
    )


@settings(max_examples=120, suppress_health_check=list(HealthCheck))
@given(CASES, st.sampled_from([8, 32, 64, 1000]))
def test_not_a_pixel_changes(case: dict[str, Any], spacing: int) -> None:
    data = made(case)
    record = Record(with_restarts(data, spacing))
    assert record.has_restarts
    assert (record.height, record.width) == (case["height"], case["width"])
    np.testing.assert_array_equal(decoded(record.jpeg), decoded(data))


@settings(max_examples=120, suppress_health_check=list(HealthCheck))
@given(CASES, st.data())
def test_a_region_holds_the_pixels_of_its_box(case: dict[str, Any], data: Any) -> None:
    whole = made(case)
    height, width = case["height"], case["width"]
    top, left = data.draw(st.integers(0, height - 1)), data.draw(st.integers(0, width - 1))
    down = data.draw(st.integers(1, height - top))
    across = data.draw(st.integers(1, width - left))
    region = Record(with_restarts(whole, 32)).region(top, left, down, across)
    pixels = decoded(region.jpeg)
    assert pixels.shape[:2] == (region.height, region.width)
    found = pixels[region.top : region.top + down, region.left : region.left + across]
    np.testing.assert_array_equal(found, decoded(whole)[top : top + down, left : left + across])


def test_photographs_grow_little_and_a_region_is_small(corpus: Corpus) -> None:
    for path in corpus.paths:
        data = Path(path).read_bytes()
        assert len(with_restarts(data)) < 1.5 * len(data)
    large = encoded(picture(512, 512), quality=95)
    record = with_restarts(large)
    assert len(record) < 1.05 * len(large)
    assert len(Record(record).region(200, 200, 64, 64)[0]) < 0.15 * len(large)


@pytest.mark.parametrize(
    "data",
    [
        pytest.param(encoded(picture(40, 40), progressive=True), id="progressive"),
        pytest.param(b"\xff\xd8\xff\xd9", id="no scan"),
        pytest.param(b"\x89PNG", id="no JPEG"),
        pytest.param(b"", id="nothing"),
    ],
)
def test_what_has_no_place_for_markers_is_refused(data: bytes) -> None:
    with pytest.raises(Unsuitable):
        with_restarts(data)


def test_a_truncated_scan_is_refused_or_padded_as_decoders_do() -> None:
    data = encoded(picture(64, 64), quality=90)
    for cut in (len(data) // 2, len(data) - 200):
        try:
            with_restarts(data[:cut])
        except Unsuitable:
            continue


def test_a_header_longer_than_a_record_can_say_is_refused() -> None:
    data = encoded(picture(20, 20))
    segment = b"\xff\xe0" + (60_002).to_bytes(2, "big") + bytes(60_000)
    with pytest.raises(Unsuitable, match="a header of more bytes"):
        with_restarts(data[:2] + 2 * segment + data[2:])


@pytest.mark.parametrize("length", [2, 12, 20])
def test_a_record_that_is_cut_short_is_refused(length: int) -> None:
    record = with_restarts(encoded(picture(64, 64)))
    with pytest.raises(ValueError, match="damaged record"):
        Record(record[:length])


def test_a_missing_package_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "numba", None)
    monkeypatch.delitem(sys.modules, "datasets_impl.formats.restart.transcode", raising=False)
    with pytest.raises(MissingPackage, match=r"pip install '<this folder>\[stores\]'"):
        with_restarts(encoded(picture(20, 20)))


def test_an_ordinary_jpeg_is_its_own_record() -> None:
    data = encoded(picture(20, 20))
    record = Record(data)
    assert not record.has_restarts and bytes(record.jpeg) == data


@settings(max_examples=200, suppress_health_check=list(HealthCheck))
@given(st.integers(0, 10**9), st.integers(0, 255))
def test_damaged_bytes_never_crash(place: int, value: int) -> None:
    data = bytearray(encoded(picture(48, 48), quality=80))
    data[place % len(data)] = value
    try:
        with_restarts(bytes(data))
    except Unsuitable:
        return


def test_where_nothing_compiled_may_be_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    def njit(**options: bool) -> Any:
        if options.get("cache"):
            raise RuntimeError("cannot cache function: no locator available")
        return lambda function: function

    monkeypatch.setattr("numba.njit", njit)
    assert compiled(len) is len
