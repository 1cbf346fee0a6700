"""Pictures a fast decoder refuses are read by Pillow; those that nobody can read are named."""

from __future__ import annotations

import io
import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from conftest import COUNT, PX
from PIL import Image
from torchvision.transforms.v2 import functional

from datasets_impl.errors import BadImage
from datasets_impl.formats import ensure_stored
from datasets_impl.loaders.centre_crops import CentreCrops
from datasets_impl.loaders.crops import random_box
from datasets_impl.loaders.decoded_images import DecodedImages
from datasets_impl.loaders.random_crops import RandomCrops
from datasets_impl.variants.decoding import BatchedDecodingDataset, DecodingDataset
from tests.loading import crops, decoded, loaded

SIZE = 24
LAST = "zz.jpg"  # index COUNT of the folder


def photograph() -> Image.Image:
    grain = np.random.default_rng(0).integers(0, 256, (PX // 4, PX // 4, 3), np.uint8)
    return Image.fromarray(grain).resize((PX, PX))


def saved(form: str, mode: str = "RGB", **options: Any) -> bytes:
    buffer = io.BytesIO()
    photograph().convert(mode).save(buffer, form, **options)
    return buffer.getvalue()


READABLE: dict[str, Callable[[], bytes]] = {
    "png": lambda: saved("PNG"),
    "png with transparency": lambda: saved("PNG", "RGBA"),
    "gif": lambda: saved("GIF", "P"),
    "webp": lambda: saved("WEBP", quality=90),
    "bmp": lambda: saved("BMP"),
    "tiff": lambda: saved("TIFF"),
    # An unknown marker in the scan: simplejpeg is strict about it.
    "jpeg with odd bytes": lambda: saved("JPEG", quality=95)[:-40] + bytes(20) + b"\xff\xd9",
}
UNREADABLE: dict[str, tuple[Callable[[], bytes], str]] = {
    "empty": (lambda: b"", "the file is empty"),
    "text": (lambda: b"no picture at all", "no picture that Pillow knows"),
    "a jpeg's first bytes": (lambda: saved("JPEG")[:20], ""),
    "half a jpeg": (lambda: saved("JPEG", quality=95)[:900], "truncated"),
    "half a png": (lambda: saved("PNG")[:300], ""),
    "a gif's header": (lambda: saved("GIF", "P")[:14], ""),
}
readable = pytest.mark.parametrize("data", READABLE.values(), ids=READABLE)
unreadable = pytest.mark.parametrize(("data", "why"), UNREADABLE.values(), ids=UNREADABLE)


def whole(source: Any) -> torch.Tensor:
    (batch,) = decoded(source, sampler=[COUNT], decode_with="simplejpeg")
    return batch[0].permute(1, 2, 0)


def cropped(source: Any) -> torch.Tensor:
    (batch,) = crops(source, size=SIZE, sampler=[COUNT])
    return batch[0]


def centred(source: Any) -> torch.Tensor:
    return CentreCrops(source, resize=PX, size=PX)[COUNT].permute(1, 2, 0)


def sampled(source: Any) -> torch.Tensor:
    return DecodingDataset(source)[COUNT]


def sampled_in_a_batch(source: Any) -> torch.Tensor:
    return BatchedDecodingDataset(source).__getitems__([COUNT, COUNT])[1]


READERS = {"whole": whole, "cropped": cropped, "centred": centred, "sampled": sampled,
           "batched": sampled_in_a_batch}  # fmt: skip
every_reader = pytest.mark.parametrize("read", READERS.values(), ids=READERS)


@pytest.mark.filterwarnings("ignore::RuntimeWarning")
@every_reader
@readable
def test_pillow_reads_what_the_fast_decoder_refuses(
    data: Callable[[], bytes], read: Any, folder: Path
) -> None:
    (folder / LAST).write_bytes(data())
    expected = torch.from_numpy(np.array(Image.open(folder / LAST).convert("RGB")))
    if read is cropped:
        box = random_box(PX, PX, 0, 0, COUNT)
        expected = functional.resized_crop(
            expected.permute(2, 0, 1), box.top, box.left, box.height, box.width, [SIZE, SIZE]
        )
        expected = expected.flip(-1) if box.flip else expected
    assert (read(folder).int() - expected.int()).abs().max() <= (read is cropped)


@pytest.mark.parametrize("kind", [DecodedImages, RandomCrops])
def test_it_is_said_once_and_listed(kind: Any, folder: Path) -> None:
    for name in ("zy.jpg", LAST):
        (folder / name).write_bytes(READABLE["png"]())
    data = kind(folder)
    loader = loaded(data, 2, threads=2)
    with pytest.warns(RuntimeWarning, match=r"z[yz]\.jpg.*Pillow decodes it") as said:
        list(loader)
        list(loader)
    assert len(said) == 1
    assert sorted(Path(name).name for name in data.refused) == ["zy.jpg", LAST]


@every_reader
@unreadable
def test_what_nobody_can_read_is_named(
    data: Callable[[], bytes], why: str, read: Any, folder: Path
) -> None:
    (folder / LAST).write_bytes(data())
    with pytest.raises(BadImage, match=rf"/zz\.jpg could not be read \(.*{why}.*\); ") as refused:
        read(folder)
    assert "object at 0x" not in str(refused.value)


@pytest.mark.parametrize("kind", [decoded, crops])
def test_a_folder_that_changes_in_mid_epoch(kind: Any, folder: Path) -> None:
    arriving = iter(kind(folder, 1, prefetch_factor=0, sampler=range(COUNT)))
    next(arriving)
    (gone,) = folder.glob("*11.jpg")
    gone.unlink()
    with pytest.raises(BadImage, match=r"11\.jpg could not be read \(No such file or directory\)"):
        list(arriving)
    assert len(list(kind(folder, 1))) == COUNT - 1


@every_reader
def test_above_pillows_limit(read: Any, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (folder / LAST).write_bytes(READABLE["png"]())
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 100)
    with pytest.raises(BadImage, match=r"zz\.jpg could not be read \(it has more than the 200"):
        read(folder)


def test_the_limit_is_pillows_and_only_for_what_it_reads(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    expected = list(decoded(folder))
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 100)
    assert torch.equal(next(iter(decoded(folder))), expected[0])


@pytest.mark.parametrize("form", ["restart", "tar"])
def test_of_a_stored_set(form: str, folder: Path) -> None:
    pytest.importorskip("numba", reason="transcoding needs numba")
    (folder / LAST).write_bytes(READABLE["png"]())
    stored = ensure_stored(folder, "jpeg", form)
    with pytest.warns(RuntimeWarning, match="image 12 of .*Pillow decodes it"):
        found = cropped(stored)
    with pytest.warns(RuntimeWarning):
        assert torch.equal(found, cropped(folder))


@pytest.mark.filterwarnings("ignore::RuntimeWarning")
@pytest.mark.filterwarnings("ignore::UserWarning:PIL")
def test_damaged_pictures_are_read_or_named_whatever_the_damage(folder: Path) -> None:
    """Bytes changed and cut at random: an image or a sentence, never a library's own error."""
    draw = random.Random(0)
    originals = [saved("JPEG"), saved("PNG"), saved("GIF", "P"), saved("WEBP"), saved("TIFF")]
    outcomes = set()
    for _ in range(150):
        data = bytearray(draw.choice(originals))
        for _ in range(draw.randrange(1, 30)):
            data[draw.randrange(min(len(data), draw.choice([40, 700, 10**6])))] = draw.randrange(
                256
            )
        (folder / LAST).write_bytes(
            data[: draw.randrange(len(data)) if draw.random() < 0.3 else None]
        )
        for read in READERS.values():
            try:
                outcomes.add(len(read(folder).shape))
            except BadImage as error:
                assert LAST in str(error)
                outcomes.add(0)
    assert outcomes == {0, 3}
