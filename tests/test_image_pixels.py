"""The pixels that a dataset of images writes are the reference's: of every size, kind and turn."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image, ImageOps
from torchvision.transforms import v2

from datasets_impl import decoders
from datasets_impl.corpus import Corpus, CorpusSpec, ensure_corpus
from datasets_impl.decoders import default_decoder
from datasets_impl.errors import BadImage
from datasets_impl.formats import ensure_stored
from datasets_impl.labelled import LabelledFolder
from datasets_impl.loaders.centre_crops import CentreCrops
from datasets_impl.loaders.crops import random_box
from datasets_impl.loaders.decoded_images import DecodedImages
from datasets_impl.loaders.random_crops import RandomCrops
from tests.samples import written

SIZE = 32


@pytest.fixture(scope="session")
def sizes(session_cache: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Photographs of several shapes, wide and high, small and large."""
    root = tmp_path_factory.mktemp("shapes")
    corpus = ensure_corpus(CorpusSpec(6, 300), cache=session_cache)
    shapes = ((300, 300), (300, 200), (187, 299), (64, 48), (33, 130), (300, 41))
    for path, (width, height) in zip(corpus.paths, shapes, strict=True):
        Image.open(path).crop((0, 0, width, height)).save(
            root / f"{width}x{height}.jpg", quality=93
        )
    return root


@pytest.mark.parametrize(
    ("resize", "size"), [(48, 48), (48, 40), (97, 64), (256, 224), (300, 300), (41, 1), (500, 384)]
)
def test_centre_crops_are_torchvisions(resize: int, size: int, sizes: Path) -> None:
    dataset = CentreCrops(sizes, resize=resize, size=size)
    reference = v2.Compose([v2.Resize(resize, antialias=True), v2.CenterCrop(size)])
    for index in range(len(dataset)):
        pixels = np.array(Image.open(dataset.name(index)).convert("RGB"))
        expected = reference(torch.from_numpy(pixels).permute(2, 0, 1).contiguous())
        difference = (dataset[index].int() - expected.int()).abs()
        assert difference.float().mean() <= 1 / 255 and difference.max() <= 1, dataset.name(index)


def test_centre_crops_at_a_reduced_scale_stay_near(sizes: Path) -> None:
    exact, near = (CentreCrops(sizes, resize=64, size=56, scaled=each) for each in (False, True))
    differences = [
        (exact[index].int() - near[index].int()).abs().float().mean() for index in range(len(exact))
    ]
    assert 0 < max(differences) < 6


@pytest.mark.parametrize("epoch", [0, 5])
def test_random_crops_are_those_of_a_full_decode(epoch: int, sizes: Path) -> None:
    dataset = RandomCrops(sizes, size=SIZE, seed=11)
    dataset.set_epoch(epoch)
    turned = set()
    for index in range(len(dataset)):
        pixels = torch.from_numpy(np.array(Image.open(dataset.name(index)).convert("RGB")))
        box = random_box(*pixels.shape[:2], 11, epoch, index)
        turned.add(box.flip)
        crop = v2.functional.resized_crop(
            pixels.permute(2, 0, 1),
            *(box.top, box.left, box.height, box.width),
            [SIZE, SIZE],
            antialias=True,
        )
        expected = crop.flip(-1) if box.flip else crop
        assert (dataset[index].int() - expected.int()).abs().max() <= 1
    assert turned == {False, True}


def test_a_flip_can_be_left_out(sizes: Path) -> None:
    dataset = RandomCrops(sizes, size=SIZE, scale=(1, 1), ratio=(1, 1), flip=False)
    first = dataset[0]
    dataset.set_epoch(1)
    assert torch.equal(dataset[0], first), "the whole square, never turned"


KINDS: dict[str, Callable[[np.ndarray], tuple[str, Image.Image]]] = {
    "grey": lambda pixels: ("a.jpg", Image.fromarray(pixels).convert("L")),
    "CMYK": lambda pixels: ("a.jpg", Image.fromarray(pixels).convert("CMYK")),
    "palette": lambda pixels: ("a.png", Image.fromarray(pixels).convert("P")),
    "alpha": lambda pixels: ("a.png", Image.fromarray(pixels).convert("RGBA")),
    "one bit": lambda pixels: ("a.png", Image.fromarray(pixels).convert("1")),
    "PNG named JPEG": lambda pixels: ("a.jpg", Image.fromarray(pixels)),
    "webp": lambda pixels: ("a.webp", Image.fromarray(pixels)),
    "tiff": lambda pixels: ("a.tif", Image.fromarray(pixels)),
}


@pytest.mark.parametrize("turned", [1, 6])
@pytest.mark.parametrize("kind", KINDS)
def test_pictures_of_every_kind_are_as_pillow_has_them(
    kind: str, turned: int, corpus: Corpus, tmp_path: Path
) -> None:
    pixels = np.array(Image.open(corpus.paths[0]).crop((0, 0, 44, 36)))
    name, picture = KINDS[kind](pixels)
    exif = Image.Exif()
    exif[0x0112] = turned
    path, form = tmp_path / "class" / name, {"PNG named JPEG": "PNG"}.get(kind)
    path.parent.mkdir()
    picture.save(path, form, exif=exif)
    with Image.open(path) as opened:
        lying = np.array(opened.convert("RGB"))
        upright = np.array(ImageOps.exif_transpose(opened).convert("RGB"))
    whole: dict[str, Any] = {"scale": (1, 1), "ratio": (0.01, 100), "flip": False}
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        warnings.filterwarnings("ignore", ".*Pillow decodes it", RuntimeWarning)
        for turn, expected in ((False, lying), (True, upright)):
            height, width, _ = expected.shape
            options: dict[str, Any] = {"apply_exif_orientation": turn}
            source = LabelledFolder(tmp_path)
            decoded = DecodedImages(source, **options)
            assert decoded.sample_layout(0)[0].shape == (3, height, width)
            np.testing.assert_array_equal(decoded[0][0].permute(1, 2, 0), expected)
            np.testing.assert_array_equal(written(decoded, 0)[0].permute(1, 2, 0), expected)
            side = min(height, width)
            centre = CentreCrops(source, resize=side, size=side, **options)[0][0].permute(1, 2, 0)
            top, left = round((height - side) / 2.0), round((width - side) / 2.0)
            np.testing.assert_array_equal(centre, expected[top : top + side, left : left + side])
            crop = RandomCrops(source, size=side, **whole, **options)[0][0]
            square = v2.functional.resize(
                torch.from_numpy(expected).permute(2, 0, 1), [side, side], antialias=True
            )
            assert (crop.int() - square.int()).abs().float().mean() < 12  # boxes need not be whole


@pytest.mark.parametrize("name", [row for row in decoders.DECODERS if "fast" not in row])
def test_all_decoders_turn_pictures_alike(name: str, corpus: Corpus, tmp_path: Path) -> None:
    if not decoders.DECODERS[name].available:
        pytest.skip(f"{name} is not installed")
    picture = Image.open(corpus.paths[0]).crop((0, 0, 44, 36))
    turns = tmp_path / "turned"
    turns.mkdir()
    for turned in range(1, 9):
        exif = Image.Exif()
        exif[0x0112] = turned
        picture.save(turns / f"{turned}.jpg", exif=exif)
    for stored in (turns, ensure_stored(turns, "jpeg", "restart", target=tmp_path / "set")):
        dataset = DecodedImages(stored, decode_with=name, apply_exif_orientation=True)
        for index in range(8):
            with Image.open(turns / f"{index + 1}.jpg") as opened:
                expected = np.array(ImageOps.exif_transpose(opened))
            np.testing.assert_array_equal(dataset[index].permute(1, 2, 0), expected)


def test_boxes_of_turned_pictures_lie_in_what_is_seen(corpus: Corpus, tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    picture = Image.open(corpus.paths[0]).crop((0, 0, 44, 36))
    path = tmp_path / "turned" / "a.jpg"
    path.parent.mkdir()
    picture.save(path, exif=exif, quality=95)
    stored = ensure_stored(path.parent, "jpeg", "restart", target=tmp_path / "set")
    with Image.open(path) as opened:
        upright = torch.from_numpy(np.array(ImageOps.exif_transpose(opened))).permute(2, 0, 1)
    box = random_box(44, 36, 0, 0, 0)
    place = (box.top, box.left, box.height, box.width)
    crop = v2.functional.resized_crop(upright, *place, [20, 20], antialias=True)
    expected = crop.flip(-1) if box.flip else crop
    for source in path.parent, stored:
        found = RandomCrops(source, size=20, apply_exif_orientation=True)[0]
        assert (found.int() - expected.int()).abs().max() <= 1


def test_without_simplejpeg_the_crops_are_the_same(
    sizes: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    by = {"random": lambda: RandomCrops(sizes, size=SIZE, scaled=True),
          "centre": lambda: CentreCrops(sizes, resize=40, size=SIZE)}  # fmt: skip
    exact = RandomCrops(sizes, size=SIZE), CentreCrops(sizes, resize=40, size=SIZE)
    expected = [[dataset[index] for index in range(len(dataset))] for dataset in exact]
    real = decoders.importlib.util.find_spec
    monkeypatch.setattr(
        decoders.importlib.util,
        "find_spec",
        lambda name: None if name == "simplejpeg" else real(name),
    )
    default_decoder.cache_clear()
    try:
        with pytest.warns(RuntimeWarning, match="simplejpeg cannot be used"):
            fallen = by["random"](), by["centre"]()
        for dataset, samples in zip(fallen, expected, strict=True):
            for index, sample in enumerate(samples):
                assert torch.equal(dataset[index], sample)
    finally:
        default_decoder.cache_clear()


@pytest.mark.parametrize("shape", [(1, 65_000), (65_000, 1)])
def test_a_strip_is_not_made_gigabytes_large(shape: tuple[int, int], tmp_path: Path) -> None:
    Image.new("RGB", shape).save(tmp_path / "strip.jpg")
    with pytest.raises(BadImage, match=r"strip.jpg .*resizing to 256 would make 16,640,000 x 256"):
        CentreCrops(tmp_path)[0]
    assert RandomCrops(tmp_path, size=8)[0].shape == (3, 8, 8)
