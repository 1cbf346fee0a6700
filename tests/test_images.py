"""Datasets that write images into a batch: the same samples from every source, wherever they go."""

from __future__ import annotations

import copy
import io
import itertools
import pickle
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from conftest import COUNT, PX
from torch.utils.data import DataLoader, Subset
from torch.utils.data._utils.collate import default_collate_fn_map
from torchvision.datasets import ImageFolder

from datasets_impl.corpus import Corpus
from datasets_impl.errors import BadArgument, StudyError
from datasets_impl.formats import FORMATS, ensure_stored
from datasets_impl.labelled import LabelledFolder
from datasets_impl.loaders.centre_crops import CentreCrops
from datasets_impl.loaders.decoded_images import DecodedImages
from datasets_impl.loaders.layout import WritesSamples
from datasets_impl.loaders.loader import ThreadedLoader
from datasets_impl.loaders.random_crops import RandomCrops
from datasets_impl.loaders.stored_pixels import StoredPixels
from datasets_impl.sources import JpegBytes
from tests.nursery import Nursery
from tests.samples import written

SIZE = 32


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


def same(one: Any, other: Any) -> bool:
    if isinstance(one, torch.Tensor):
        return one.dtype == other.dtype and torch.equal(one, other)
    return len(one) == len(other) and all(map(same, one, other))


WITH_WORKER, WITH_TARGETS = ("folder", "labelled", "pack"), ("folder", "labelled", "part", "pack")
# All in this process. To a worker, which takes longer, each kind once, and of one kind, and of
# stored pixels, every way to give sources and targets: how they are sent is the same for all kinds.
SENT = ("random", "stored")
CASES = [
    (kind, source, targets, workers)
    for kind, sources in (*((each, SOURCES) for each in DATASETS), ("stored", PIXELS))
    for source in sources
    for targets in (("own", "none", "array") if source in WITH_TARGETS else ("own",))
    for workers in (0, 1)
    if not workers
    or (source in WITH_WORKER and (kind in SENT or (source, targets) == ("labelled", "own")))
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


@pytest.mark.slow
def test_a_started_process_reads_the_same(photos: Path, tmp_path: Path, nursery: Nursery) -> None:
    datasets = [
        RandomCrops(LabelledFolder(photos), size=SIZE),
        DecodedImages(ensure_stored(LabelledFolder(photos), "jpeg", "pack")),
        StoredPixels(ensure_stored(LabelledFolder(photos), "pixels", "pack")),
    ]
    found = nursery.call(tmp_path, _samples_of, datasets, 7)
    for dataset, (image, target) in zip(datasets, found, strict=True):
        assert np.array_equal(image, dataset[7][0].numpy()) and target == int(dataset[7][1])


def _samples_of(datasets: list[Any], index: int) -> list[tuple[np.ndarray, int]]:
    samples = [dataset[index] for dataset in datasets]
    return [(image.numpy(), int(target)) for image, target in samples]


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


def test_what_cannot_be_meant_is_refused(photos: Path) -> None:
    pixels = ensure_stored(LabelledFolder(photos), "pixels", "pack")
    for build in (
        lambda: CentreCrops(photos, resize=200, size=201),
        lambda: RandomCrops(photos, flip=1),  # type: ignore[arg-type]
        lambda: DecodedImages(photos, [1, 2]),
        lambda: StoredPixels(7),
        lambda: StoredPixels(ensure_stored(photos, "pixels", "tar"), preload=True),
    ):
        with pytest.raises(BadArgument):
            build()
    for dataset in (DecodedImages(photos), StoredPixels(pixels)):
        assert same(dataset[-1], dataset[COUNT - 1])
        with pytest.raises(IndexError):
            dataset[COUNT]


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
        with pytest.raises(StudyError, match=r"has the index|no item|index is .*; give a whole"):
            list(ThreadedLoader(data, 2, sampler=[0, index], where=where))


def test_gathered_pixels_count_from_the_end_too(corpus: Corpus) -> None:
    data = StoredPixels(ensure_stored(corpus.root, "pixels", "pack"))
    (batch,) = ThreadedLoader(data, 2, sampler=[-1, 0], where="trainer")
    assert torch.equal(batch, torch.stack([data[len(data) - 1], data[0]]))


class Doubled:
    """A wrapper that passes on what it has not itself."""

    def __init__(self, dataset: Any) -> None:
        self.inner = dataset

    def __len__(self) -> int:
        return len(self.inner)

    def __getitem__(self, index: int) -> Any:
        return 255 - self.inner[index]

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__") or name == "inner":
            raise AttributeError(name)
        return getattr(self.inner, name)


def derived(kind: Any, method: str) -> Any:
    """A class over one of this package that changes what one of its methods does."""

    def negative(self: Any, index: int) -> Any:
        return 255 - kind.__getitem__(self, index)

    def turned(self: Any, index: int, row: Any) -> None:
        kind.write(self, index, row)
        row[...] = 255 - row

    def remade(self: Any, index: int) -> Any:
        return 255 - kind.made(self, index)

    def many(self: Any, indices: list[int]) -> Any:
        return [negative(self, index) for index in indices]

    own = {"__getitem__": negative, "write": turned, "made": remade, "__getitems__": many}
    return type("Own", (kind,), {method: own[method]})


@pytest.mark.parametrize("part", [False, True])
@pytest.mark.parametrize(
    ("kind", "how"),
    [
        (DecodedImages, "wrapper"),
        (DecodedImages, "__getitem__"),
        (DecodedImages, "__getitems__"),
        (DecodedImages, "made"),
        (DecodedImages, "write"),
        (StoredPixels, "wrapper"),
        (StoredPixels, "__getitem__"),
        (StoredPixels, "__getitems__"),
        (StoredPixels, "made"),
        (StoredPixels, "write"),
    ],
)
def test_a_dataset_derived_from_these_gives_its_own_samples(
    kind: Any, how: str, part: bool, folder: Path
) -> None:
    source = folder if kind is DecodedImages else ensure_stored(folder, "pixels", "pack")
    plain = kind(source)
    own = Doubled(plain) if how == "wrapper" else derived(kind, how)(source)
    dataset: Any = Subset(own, range(1, 9)) if part else own
    (batch,) = ThreadedLoader(dataset, 12, where="trainer")
    assert torch.equal(batch, next(iter(DataLoader(dataset, 12))))
    wanted = [255 - plain[index] for index in (range(1, 9) if part else range(len(plain)))]
    assert torch.equal(batch, torch.stack(wanted))


def test_a_function_that_is_registered_for_collating_tensors_is_called(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def darker(batch: Any, *, collate_fn_map: Any) -> torch.Tensor:
        return torch.stack(list(batch)) // 2

    monkeypatch.setitem(default_collate_fn_map, torch.Tensor, darker)
    data = DecodedImages(folder)
    (batch,) = ThreadedLoader(data, 12, where="trainer")
    assert torch.equal(batch, next(iter(DataLoader(data, 12))))
