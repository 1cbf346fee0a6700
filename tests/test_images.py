"""Datasets that write images into a batch: the samples are the reference's, wherever they go."""

from __future__ import annotations

import copy
import io
import itertools
import multiprocessing
import pickle
import shutil
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image, ImageOps
from torch.utils.data import DataLoader, Subset
from torchvision.datasets import ImageFolder
from torchvision.transforms import v2

from datasets_impl import decoders
from datasets_impl.corpus import Corpus, CorpusSpec, ensure_corpus
from datasets_impl.decoders import default_decoder
from datasets_impl.errors import BadArgument, BadImage, StudyError
from datasets_impl.formats import FORMATS, ensure_stored
from datasets_impl.labelled import LabelledFolder
from datasets_impl.loaders.centre_crops import CentreCrops
from datasets_impl.loaders.crops import random_box
from datasets_impl.loaders.decoded_images import DecodedImages
from datasets_impl.loaders.layout import WritesSamples
from datasets_impl.loaders.loader import ThreadedLoader
from datasets_impl.loaders.random_crops import RandomCrops
from datasets_impl.loaders.stored_pixels import StoredPixels
from datasets_impl.sources import JpegBytes

COUNT, PX, SIZE = 12, 48, 32
DATASETS: dict[str, Callable[..., Any]] = {
    "decoded": DecodedImages,
    "random": lambda source, targets=None: RandomCrops(source, targets, size=SIZE, seed=3),
    "random-scaled": lambda source, targets=None: RandomCrops(
        source, targets, size=20, scaled=True, fast=True
    ),
    "centre": lambda source, targets=None: CentreCrops(source, targets, resize=40, size=SIZE),
}
SOURCES: dict[str, Callable[[Path], Any]] = {
    "folder": lambda root: root,
    "labelled": LabelledFolder,
    "image-folder": ImageFolder,
    "list": lambda root: LabelledFolder(root).samples,
    "part": lambda root: Subset(Subset(ImageFolder(root), range(COUNT)[::-1]), range(COUNT)[::-1]),
    "bytes": lambda root: JpegBytes(LabelledFolder(root)),
    **{
        name: lambda root, name=name: ensure_stored(LabelledFolder(root), "jpeg", name)
        for name, row in FORMATS.items()
        if row.available and "jpeg" in row.kinds
    },
    "set-without": lambda root: (
        ensure_stored(root, "jpeg", "pack", target=root.with_name("without")).folder
    ),
}
PIXELS = [name for name, row in FORMATS.items() if row.available and "pixels" in row.kinds]


@pytest.fixture(scope="session")
def photos(corpus: Corpus, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Photographs of one size in three classes; read only, and so are the sets beside it."""
    root = tmp_path_factory.mktemp("labelled") / "photos"
    for number, path in enumerate(corpus.paths):
        folder = root / f"class-{number % 3}"
        folder.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(path, folder / Path(path).name)
    return root


def written(dataset: Any, index: int) -> Any:
    """What `read_into` writes into a place of the layout's shape, dtype and strides."""
    layout = dataset.sample_layout(index)
    leaves = layout if isinstance(layout, tuple) else (layout,)
    made = [torch.empty_strided(x.shape, x.stride(), dtype=x.dtype).fill_(1) for x in leaves]
    into = tuple(x.numpy() for x in made)
    dataset.read_into(index, into if isinstance(layout, tuple) else into[0])
    return tuple(made) if isinstance(layout, tuple) else made[0]


def same(one: Any, other: Any) -> bool:
    if isinstance(one, torch.Tensor):
        return one.dtype == other.dtype and torch.equal(one, other)
    return len(one) == len(other) and all(map(same, one, other))


WITH_WORKER = ("folder", "labelled", "pack")
CASES = [
    (kind, source, targets, workers)
    for kind, sources in (*((each, SOURCES) for each in DATASETS), ("stored", PIXELS))
    for source in sources
    for targets in ("own", "none", "array")
    for workers in ((0, 1) if source in WITH_WORKER else (0,))
]


@pytest.mark.slow
@pytest.mark.parametrize(("kind", "source", "targets", "workers"), CASES)
def test_everyone_gives_the_same_samples(
    kind: str, source: str, targets: str, workers: int, photos: Path
) -> None:
    if kind == "stored":
        given: Any = ensure_stored(LabelledFolder(photos), "pixels", source)
    else:
        given = SOURCES[source](photos)
    build: Any = StoredPixels if kind == "stored" else DATASETS[kind]
    boxes = np.random.default_rng(0).random((COUNT, 4), np.float32)
    dataset = build(given, {"own": None, "none": False, "array": boxes}[targets])
    assert isinstance(dataset, WritesSamples) and len(dataset) == COUNT
    with_targets = targets == "array" or (
        targets == "own" and source not in ("folder", "set-without")
    )
    samples = [dataset[index] for index in range(COUNT)]
    for index, sample in enumerate(samples):
        assert same(written(dataset, index), sample)
        image = sample[0] if with_targets else sample
        assert image.dtype == torch.uint8 and image.shape[0] == 3
        assert image.is_contiguous(memory_format=torch.channels_last) or image.stride(0) == 1
        if with_targets:
            expected: Any = boxes[index] if targets == "array" else index // (COUNT // 3)
            assert sample[1].dtype == (torch.float32 if targets == "array" else torch.int64)
            np.testing.assert_array_equal(sample[1].numpy(), expected)
    batches: Any = list(DataLoader(dataset, 5, num_workers=workers))
    images = [batch[0] if with_targets else batch for batch in batches]
    assert torch.equal(
        torch.cat(images), torch.stack([s[0] if with_targets else s for s in samples])
    )
    where = "process" if workers else "trainer"
    loader: Any = ThreadedLoader(dataset, 5, threads=2, where=where)
    loaded = [copy.deepcopy(batch) for batch in loader]  # its memory may be used again
    assert all(map(same, loaded, batches)) and len(loaded) == len(batches)
    for batch in loaded:
        image = batch[0] if with_targets else batch
        assert image.is_contiguous(memory_format=torch.channels_last), "nothing was copied"


@pytest.mark.parametrize("method", ["spawn", "forkserver"])
def test_a_started_process_reads_the_same(method: str, photos: Path) -> None:
    datasets = [
        RandomCrops(LabelledFolder(photos), size=SIZE),
        DecodedImages(ensure_stored(LabelledFolder(photos), "jpeg", "pack")),
        StoredPixels(ensure_stored(LabelledFolder(photos), "pixels", "pack")),
    ]
    with multiprocessing.get_context(method).Pool(1) as pool:
        for dataset in datasets:
            image, target = pool.apply(_sample_of, (dataset, 7))
            assert np.array_equal(image, dataset[7][0].numpy()) and target == int(dataset[7][1])


def _sample_of(dataset: Any, index: int) -> tuple[np.ndarray, int]:
    image, target = dataset[index]
    return image.numpy(), int(target)


def test_a_dataset_pickles_to_little(photos: Path) -> None:
    stored = ensure_stored(LabelledFolder(photos), "jpeg", "pack")
    dataset = DecodedImages(stored)
    assert len(pickle.dumps(dataset)) < 3000
    assert dataset.targets is not None and dataset.targets.tobytes() not in pickle.dumps(dataset)
    many = DecodedImages([(f"/data/{number:07}.jpg", number % 9) for number in range(50_000)])
    assert len(pickle.dumps(many)) < 50_000 * (11 + 8 + 8) + 5000


def test_names_of_classes_come_along(photos: Path) -> None:
    names = ["class-0", "class-1", "class-2"]
    for source in (LabelledFolder(photos), ensure_stored(LabelledFolder(photos), "jpeg", "pack")):
        dataset = RandomCrops(source, size=SIZE)
        assert dataset.classes == names and dataset.class_to_idx["class-2"] == 2
    assert RandomCrops(photos, size=SIZE).class_to_idx == {}


# --- pixels against the reference ------------------------------------------------------------


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


def test_an_epoch_sees_other_boxes_and_a_flip_can_be_left_out(sizes: Path) -> None:
    dataset = RandomCrops(sizes, size=SIZE, scale=(1, 1), ratio=(1, 1), flip=False)
    first = dataset[0]
    dataset.set_epoch(1)
    assert torch.equal(dataset[0], first), "the whole square, never turned"
    varied = RandomCrops(sizes, size=SIZE)
    first = varied[0]
    varied.set_epoch(1)
    assert not torch.equal(varied[0], first)


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


def test_of_sixteen_bits_the_higher_eight_are_kept(tmp_path: Path) -> None:
    (tmp_path / "class").mkdir()
    ramp = np.linspace(0, 65535, 32 * 32).reshape(32, 32).astype(np.uint16)
    Image.fromarray(ramp).save(tmp_path / "class" / "a.png")
    with pytest.warns(RuntimeWarning, match=r"a\.png.*Pillow decodes it"):
        found = DecodedImages(LabelledFolder(tmp_path))[0][0]
    np.testing.assert_array_equal(found[0], ramp >> 8)


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


# --- what cannot be done ---------------------------------------------------------------------


def test_a_batch_of_two_sizes_is_refused(sizes: Path) -> None:
    dataset = DecodedImages(sizes)
    loader: Any = ThreadedLoader(dataset, 6, threads=1, where="trainer")
    with pytest.raises(BadImage, match=r"\.jpg has \d+ x \d+ pixels and .*need one size"):
        next(iter(loader))
    assert sum(1 for _ in ThreadedLoader(dataset, 1, where="trainer")) == 6


@pytest.mark.parametrize("kind", DATASETS)
@pytest.mark.parametrize("content", [b"", b"no picture", "cut short"])
def test_a_picture_that_cannot_be_read_is_named(
    kind: str, content: Any, corpus: Corpus, tmp_path: Path
) -> None:
    whole = Path(corpus.paths[0]).read_bytes()
    (tmp_path / "bad.jpg").write_bytes(
        whole[: len(whole) // 9] if content == "cut short" else content
    )
    dataset = DATASETS[kind](tmp_path)
    with pytest.raises(BadImage, match=r"bad\.jpg could not be read"):
        dataset[0]
    with pytest.raises(BadImage, match=r"bad\.jpg could not be read"):
        written(dataset, 0)


def test_what_cannot_be_meant_is_refused(photos: Path) -> None:
    pixels = ensure_stored(LabelledFolder(photos), "pixels", "pack")
    for build in (
        lambda: CentreCrops(photos, resize=200, size=201),
        lambda: RandomCrops(photos, size=0),
        lambda: RandomCrops(photos, flip=1),  # type: ignore[arg-type]
        lambda: DecodedImages(photos, [1, 2]),
        lambda: DecodedImages(photos, decode_with="libjpeg"),
        lambda: DecodedImages(pixels),
        lambda: StoredPixels(7),
        lambda: StoredPixels(ensure_stored(photos, "pixels", "tar"), preload=True),
    ):
        with pytest.raises(BadArgument):
            build()
    with pytest.raises(StudyError, match="holds JPEG bytes"):
        StoredPixels(ensure_stored(photos, "jpeg", "pack"))
    for dataset in (DecodedImages(photos), StoredPixels(pixels)):
        assert same(dataset[-1], dataset[COUNT - 1])
        with pytest.raises(IndexError):
            dataset[COUNT]


# --- gathering -------------------------------------------------------------------------------


@pytest.mark.parametrize("preload", [False, True])
def test_many_rows_are_gathered_at_once(preload: bool, photos: Path) -> None:
    dataset = StoredPixels(
        ensure_stored(LabelledFolder(photos), "pixels", "pack").folder, preload=preload
    )
    indices = [5, 0, 5, 11]
    images = np.zeros((4, PX, PX, 3), np.uint8).transpose(0, 3, 1, 2)
    for place in (images, np.zeros((4, 3, PX, PX), np.uint8)):  # also where rows lie otherwise
        targets = np.zeros(4, np.int64)
        dataset.read_many_into(indices, (place, targets))
        for row, target, index in zip(place, targets, indices, strict=True):
            image, label = dataset[index]
            assert np.array_equal(row, image) and target == label


def test_a_damaged_image_is_refused_when_it_is_gathered(photos: Path, tmp_path: Path) -> None:
    stored = ensure_stored(LabelledFolder(photos), "pixels", "pack", target=tmp_path / "set")
    data = stored.folder / "data"
    content = bytearray(data.read_bytes())
    content[4 * PX * PX * 3 + 9] ^= 1
    data.write_bytes(content)
    place = np.zeros((2, PX, PX, 3), np.uint8).transpose(0, 3, 1, 2)
    with pytest.raises(StudyError, match="damaged at image 4"):
        StoredPixels(stored.folder, False).read_many_into([3, 4], place)


def test_a_conversion_and_back_gives_the_image_folders_pictures(photos: Path) -> None:
    folder = ImageFolder(photos)
    stored = ensure_stored(folder, "pixels", "pack", target=photos.with_name("back"))
    for dataset in (StoredPixels(stored), DecodedImages(folder)):
        for (image, target), (picture, label) in itertools.zip_longest(
            (dataset[index] for index in range(COUNT)), folder
        ):
            assert target == label
            np.testing.assert_array_equal(image.permute(1, 2, 0), np.array(picture))
    buffer = io.BytesIO(pickle.dumps(stored))
    assert pickle.load(buffer).classes == folder.classes


@pytest.mark.parametrize("where", ["trainer", "process"])
@pytest.mark.parametrize("index", [99, -13, 1.0, "a", True, torch.tensor(True)])
def test_a_sampler_that_gives_no_index_is_one_sentence(
    index: Any, where: str, corpus: Corpus
) -> None:
    pixels = StoredPixels(ensure_stored(corpus.root, "pixels", "pack"))
    for data in (pixels, RandomCrops(corpus.root, size=8)):
        with pytest.raises(StudyError, match=r"no item|index is .*; give a whole number"):
            list(ThreadedLoader(data, 2, sampler=[0, index], where=where))


def test_gathered_pixels_count_from_the_end_too(corpus: Corpus) -> None:
    data = StoredPixels(ensure_stored(corpus.root, "pixels", "pack"))
    (batch,) = ThreadedLoader(data, 2, sampler=[-1, 0], where="trainer")
    assert torch.equal(batch, torch.stack([data[len(data) - 1], data[0]]))


@pytest.mark.parametrize("shape", [(1, 65_000), (65_000, 1)])
def test_a_strip_is_not_made_gigabytes_large(shape: tuple[int, int], tmp_path: Path) -> None:
    Image.new("RGB", shape).save(tmp_path / "strip.jpg")
    with pytest.raises(BadImage, match=r"strip.jpg .*resizing to 256 would make 16,640,000 x 256"):
        CentreCrops(tmp_path)[0]
    assert RandomCrops(tmp_path, size=8)[0].shape == (3, 8, 8)
