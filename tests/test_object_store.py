"""Objects read by the datasets and measured by the benchmarks, from a server on loopback."""

from __future__ import annotations

import multiprocessing
import pickle
import shutil
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from asv_runner.benchmarks.mark import SkipNotImplemented
from conftest import COUNT, PX
from PIL import Image
from torch.utils.data import StackDataset, default_collate

from benchmarks import storage
from benchmarks.measures import objects as measure_objects
from datasets_impl.corpus import Corpus
from datasets_impl.errors import VoidMeasurement
from datasets_impl.loading import loader, run_epoch
from datasets_impl.media import object_store as module
from datasets_impl.media.object_store import ObjectStore, Served, object_store
from datasets_impl.variants.object_store import JpegObjects, RawObjects, write_raw_objects
from tests.with_cells import records, tiny, with_cells

pytestmark = pytest.mark.usefixtures("object_libraries")


CLASSES = {"jpeg": JpegObjects, "raw": RawObjects}
every_dataset = pytest.mark.parametrize("kind", CLASSES)
WORKERS = {"fork": 2, "spawn": 1}


@pytest.fixture(scope="module")
def stores(
    corpus: Corpus, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[dict[str, ObjectStore]]:
    """One server for each kind of object, over the same photographs."""
    raw = tmp_path_factory.mktemp("raw")
    write_raw_objects(corpus.root, raw)
    with object_store(corpus.root) as jpegs, object_store(raw) as pixels:
        yield {"jpeg": jpegs, "raw": pixels}


def by_pil(path: Path) -> np.ndarray[Any, Any]:
    with Image.open(path) as picture:
        return np.array(picture.convert("RGB"))


def expected_pixels(corpus: Corpus) -> list[np.ndarray[Any, Any]]:
    return [by_pil(path) for path in sorted(corpus.root.iterdir())]


def dataset_of(kind: str, stores: dict[str, ObjectStore]) -> JpegObjects | RawObjects:
    return CLASSES[kind](stores[kind].address)


@every_dataset
def test_pixels_equal_pil_for_every_index(
    kind: str, stores: dict[str, ObjectStore], corpus: Corpus
) -> None:
    dataset = dataset_of(kind, stores)
    assert len(dataset) == COUNT
    for index, expected in enumerate(expected_pixels(corpus)):
        sample = dataset[index]
        assert sample.dtype == torch.uint8 and sample.shape == (PX, PX, 3)
        np.testing.assert_array_equal(sample.numpy(), expected)
    with pytest.raises(IndexError):
        dataset[COUNT]


@pytest.mark.slow
def test_width_and_height_are_not_swapped(tmp_path: Path) -> None:
    folder, raw = tmp_path / "jpeg", tmp_path / "raw"
    folder.mkdir()
    raw.mkdir()
    wide = np.random.default_rng(0).integers(0, 256, (24, 40, 3), dtype=np.uint8)
    Image.fromarray(wide).save(folder / "wide.jpg", quality=98)
    write_raw_objects(folder, raw)
    shutil.copy(folder / "wide.jpg", raw)  # both in one store, the JPEG file first
    with object_store(raw) as store:
        for number, kind in enumerate(CLASSES):
            found = CLASSES[kind](store.address)[number]
            np.testing.assert_array_equal(found.numpy(), by_pil(folder / "wide.jpg"))


@every_dataset
def test_sample_may_be_changed_in_place(kind: str, stores: dict[str, ObjectStore]) -> None:
    """Writable, as the naive sample is, and a change does not reach the store."""
    dataset = dataset_of(kind, stores)
    before = dataset[0].clone()
    dataset[0].zero_()
    assert before.any() and torch.equal(dataset[0], before)


@every_dataset
def test_an_item_is_one_request(kind: str, stores: dict[str, ObjectStore], corpus: Corpus) -> None:
    """Also the first: connecting asks the server for nothing, and no size is asked for."""
    store, dataset = stores[kind], dataset_of(kind, stores)
    before = store.served()
    size = len(dataset.fetch(3))
    dataset[3]
    assert store.served().since(before) == Served(requests=2, bytes=2 * size, other=0)


@every_dataset
def test_pickling_keeps_no_connection(
    kind: str, stores: dict[str, ObjectStore], corpus: Corpus
) -> None:
    dataset = dataset_of(kind, stores)
    dataset[0]
    encoded = pickle.dumps(dataset)
    assert len(encoded) < 2_000
    copy = pickle.loads(encoded)
    assert copy._store is None
    np.testing.assert_array_equal(copy[1].numpy(), expected_pixels(corpus)[1])


@pytest.mark.parametrize("start_method", WORKERS)
def test_workers_connect_for_themselves(
    start_method: str, stores: dict[str, ObjectStore], corpus: Corpus
) -> None:
    """Two epochs through workers, although this process holds open connections already."""
    datasets = {kind: dataset_of(kind, stores) for kind in CLASSES}
    assert all(dataset[0].any() for dataset in datasets.values())
    before = {kind: stores[kind].served() for kind in CLASSES}
    expected = Counter(pixels.tobytes() for pixels in expected_pixels(corpus))
    with loader(StackDataset(**datasets), WORKERS[start_method], start_method, 4) as batches:
        for _ in range(2):
            seen = list(batches)
            for kind in CLASSES:
                found = Counter(sample.numpy().tobytes() for b in seen for sample in b[kind])
                assert found == expected
    for kind in CLASSES:
        assert stores[kind].served().since(before[kind]).requests == 2 * COUNT
        assert stores[kind].served().since(before[kind]).other == 0
        assert datasets[kind][1].any(), "the parent's own connection is as it was"
    assert not any(p.name.startswith("Dataloader") for p in multiprocessing.active_children())


@every_dataset
def test_epoch_in_this_process(kind: str, stores: dict[str, ObjectStore]) -> None:
    dataset = dataset_of(kind, stores)
    expected = default_collate([dataset[index] for index in range(COUNT)])
    with loader(dataset, batch_size=5) as batches:
        assert [len(batch) for batch in batches] == [5, 5, COUNT - 10]
        assert run_epoch(batches) == COUNT
        assert Counter(s.numpy().tobytes() for b in batches for s in b) == Counter(
            s.numpy().tobytes() for s in expected
        )


@pytest.fixture
def log(log: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[], dict[str, Any]]:
    """The only line of the log; each cell is measured no longer than needed."""
    monkeypatch.setattr(measure_objects, "EPOCH_SECONDS", 0)
    monkeypatch.setattr(measure_objects, "ITEM_SECONDS", 0)

    def only() -> dict[str, Any]:
        (line,) = records(log)
        return line

    return only


def size_of(impl: str, corpus: Corpus) -> int:
    if impl == "naive":
        return sum(path.stat().st_size for path in corpus.root.iterdir())
    return COUNT * (PX * PX * 3 + 128)  # the header of .npy is 128 bytes


@pytest.mark.slow
@pytest.mark.parametrize(("impl", "workers"), [("naive", 0), ("naive", 2), ("raw-files", 0)])
def test_epoch_logs_what_was_served(
    impl: str, workers: int, log: Callable[[], dict[str, Any]], corpus: Corpus
) -> None:
    result = with_cells(storage.ObjectStoreEpoch).track_epoch(COUNT, PX, workers, 5, impl)
    record = log()
    assert result["samples"] == [record["value"]] and record["value"] > 0
    assert record["benchmark"] == "storage.ObjectStoreEpoch"
    assert record["factors"]["latency_ms"] == 5 and record["factors"]["workers"] == workers
    assert record["requests"] == COUNT * record["epochs"]
    assert record["bytes_served"] == size_of(impl, corpus) * record["epochs"]
    assert record["get_ms"] >= 5
    # Arithmetic: one process waits for every request in turn.
    assert workers or record["value"] >= 5_000


@pytest.mark.parametrize("stage", ["read", "convert"])
def test_share_logs_what_was_served(
    stage: str, log: Callable[[], dict[str, Any]], corpus: Corpus
) -> None:
    result = with_cells(storage.ObjectStoreItem).track_stage_share(COUNT, PX, 5, stage, "naive")
    record = log()
    assert result["samples"] == [record["value"]] and 0 < record["value"] < 100
    assert record["us_per_item"] >= 5_000 and sum(record["shares"].values()) <= 100
    assert record["requests"] == COUNT * record["passes"]
    assert record["bytes_served"] == size_of("naive", corpus) * record["passes"]


@pytest.mark.slow
@pytest.mark.parametrize(
    ("function", "stage", "cheat"),  # each function with each, each stage once
    [("epoch", "item", "remembers"), ("epoch", "item", "asks twice"),
     ("stage_share", "read", "asks twice"), ("stage_share", "decode", "remembers")],
)  # fmt: skip
def test_another_number_of_requests_voids(
    function: str, stage: str, cheat: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A dataset that remembers, or asks twice, must not pass for one that fetches."""
    fetch = JpegObjects.fetch
    remembered: dict[int, bytes] = {}

    def from_memory(self: JpegObjects, index: int) -> bytes:
        if index not in remembered:
            remembered[index] = fetch(self, index)
        return remembered[index]

    def twice(self: JpegObjects, index: int) -> bytes:
        fetch(self, index)
        return fetch(self, index)

    monkeypatch.setattr(JpegObjects, "fetch", from_memory if cheat == "remembers" else twice)
    with pytest.raises(VoidMeasurement, match="served"):
        getattr(measure_objects, function)(tiny(stage=stage))


@pytest.mark.parametrize(
    "served", [Served(4, 10, 0), Served(6, 20, 0), Served(4, 20, 1), Served(0, 0, 0)]
)
def test_only_the_exact_count_is_valid(served: Served) -> None:
    assert measure_objects.require_fetched(Served(4, 20, 0), [4, 6], 2)["bytes_served"] == 20
    with pytest.raises(VoidMeasurement):
        measure_objects.require_fetched(served, [4, 6], 2)


def test_an_answer_before_its_latency_voids(stores: dict[str, ObjectStore]) -> None:
    dataset = dataset_of("jpeg", stores)
    assert measure_objects.require_latency(dataset, 0)["get_ms"] > 0
    with pytest.raises(VoidMeasurement, match="less than"):
        measure_objects.require_latency(dataset, 60_000)


def test_what_has_no_objects_is_refused() -> None:
    with pytest.raises(ValueError, match="preloaded"):
        measure_objects.epoch(tiny(impl="preloaded"))
    with pytest.raises(ValueError, match="unknown stage"):
        measure_objects.stage_share(tiny(stage="item"))


def test_skipped_without_the_libraries(
    log: Callable[[], dict[str, Any]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "NEEDED", ("s3fs", "no_such_library"))
    with pytest.raises(SkipNotImplemented, match="no_such_library"):
        with_cells(storage.ObjectStoreEpoch).track_epoch(COUNT, PX, 0, 5, "naive")
    assert "needs no_such_library" in log()["skipped"]
