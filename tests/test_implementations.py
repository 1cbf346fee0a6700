"""The contract: what every implementation of the registry promises."""

from __future__ import annotations

import multiprocessing
import pickle
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import pytest
import torch
from conftest import COUNT, PX
from PIL import Image
from torch.utils.data import StackDataset, default_collate

from datasets_impl import registry
from datasets_impl.corpus import Corpus
from datasets_impl.corrected.mapped import ReadOnlyMappedDataset
from datasets_impl.errors import StudyError
from datasets_impl.formats import ensure_stored
from datasets_impl.loading import loader, run_epoch
from datasets_impl.variants.raw_files import RawFileDataset
from tests.further import EVERY as IMPLEMENTATIONS
from tests.further import available, registered

every_implementation = pytest.mark.parametrize(
    "name",
    [
        pytest.param(
            row.name,
            marks=pytest.mark.skipif(not available(name), reason="its package is not installed"),
        )
        for name, row in IMPLEMENTATIONS.items()
    ],
)


@pytest.fixture(scope="module", autouse=True)
def rows_of_all() -> Iterator[None]:
    with registered():
        yield


# By spawn a worker is sent the same pickle as by forkserver, and imports everything anew: it takes
# seconds, which `test_records` and `test_object_store` spend on it.
START_METHODS = ("fork", "forkserver")


def by_pil(path: str | Path) -> np.ndarray[Any, Any]:
    """The reference: height x width x channel, uint8."""
    with Image.open(path) as picture:
        return np.array(picture.convert("RGB"))


def all_pixels(name: str, dataset: Any) -> list[np.ndarray[Any, Any]]:
    entry = IMPLEMENTATIONS[name]
    return [registry.pixels(entry, dataset[index]).copy() for index in range(len(dataset))]


def unbatched(batch: Any) -> list[bytes]:
    tensor = batch[0] if isinstance(batch, list | tuple) else batch
    return [sample.numpy().tobytes() for sample in tensor]


@every_implementation
def test_samples_are_in_memory_whatever_the_default_device_is(name: str, folder: Path) -> None:
    if name in ("pil-to-tensor", "preloaded-chw"):
        pytest.skip("torchvision makes its tensors on the default device")
    expected = all_pixels(name, registry.build(name, folder))
    with torch.device("meta"):  # stands for any device: nothing on it can be read
        found = all_pixels(name, registry.build(name, folder))
    assert all(np.array_equal(*pair) for pair in zip(found, expected, strict=True))


@every_implementation
def test_sample(name: str, folder: Path) -> None:
    entry, dataset = IMPLEMENTATIONS[name], registry.build(name, folder)
    assert len(dataset) == COUNT
    for index in range(COUNT):
        sample = dataset[index]
        if entry.sample == "tuple":
            assert isinstance(sample, tuple) and len(sample) == 1
            (sample,) = sample
        assert isinstance(sample, torch.Tensor)
        assert sample.dtype == entry.dtype
        assert sample.shape == ((PX, PX, 3) if entry.layout == "HWC" else (3, PX, PX))
    batch = default_collate([dataset[0], dataset[1]])
    assert (batch[0] if entry.sample == "tuple" else batch).shape[0] == 2


@every_implementation
def test_pixels_equal_pil_for_every_index(name: str, folder: Path) -> None:
    """Exactly, torchvision's decoder too: its libjpeg-turbo rounds as Pillow's does."""
    dataset = registry.build(name, folder)
    paths = registry.listed(dataset, folder)
    assert sorted(paths) == sorted(str(path) for path in folder.glob("*.jpg"))
    for path, found in zip(paths, all_pixels(name, dataset), strict=True):
        np.testing.assert_array_equal(found, by_pil(path), err_msg=Path(path).name)


@every_implementation
def test_width_and_height_are_not_swapped(name: str, tmp_path: Path) -> None:
    folder = tmp_path / "home" / "images"
    folder.mkdir(parents=True)
    wide = np.random.default_rng(0).integers(0, 256, (24, 40, 3), dtype=np.uint8)
    Image.fromarray(wide).save(folder / "wide.jpg", quality=98)
    (found,) = all_pixels(name, registry.build(name, folder))
    np.testing.assert_array_equal(found, by_pil(folder / "wide.jpg"))


@every_implementation
def test_pickling_gives_the_same_pixels(name: str, folder: Path) -> None:
    dataset = registry.build(name, folder)
    expected = all_pixels(name, dataset)  # read first, so that lazily opened state is pickled too
    encoded = pickle.dumps(dataset)
    np.testing.assert_array_equal(all_pixels(name, pickle.loads(encoded)), expected)
    from_memory = not IMPLEMENTATIONS[name].files(dataset) or name == "mapped"  # it pickles its map
    assert (len(encoded) >= COUNT * PX * PX * 3) == from_memory


@every_implementation
def test_files_are_what_an_epoch_reads(name: str, folder: Path) -> None:
    entry, dataset = IMPLEMENTATIONS[name], registry.build(name, folder)
    files = entry.files(dataset)
    assert all(path.is_file() for path in files)
    if entry.one_file_per_item:
        assert [str(path) for path in files] == registry.listed(dataset, folder)


@every_implementation
def test_two_epochs_give_every_sample_once_each(name: str, folder: Path) -> None:
    dataset = registry.build(name, folder)
    expected = Counter(unbatched(default_collate([dataset[index] for index in range(COUNT)])))
    assert len(expected) == COUNT
    orders = []
    with loader(dataset) as batches:
        for _ in range(2):
            seen = [sample for batch in batches for sample in unbatched(batch)]
            assert Counter(seen) == expected
            orders.append(seen)
        assert run_epoch(batches) == COUNT
    assert orders[0] != orders[1], "the loader does not shuffle"


# --- worker processes ------------------------------------------------------------------------


@pytest.fixture(scope="module", params=START_METHODS)
def from_worker(
    request: pytest.FixtureRequest, corpus: Corpus, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[tuple[dict[str, Any], dict[str, list[str]], list[int]]]:
    """All implementations through one worker: a fresh interpreter for each would cost seconds.

    Yields one batch by name, the files by name, and the pids of the workers that made it.
    """
    datasets: dict[str, Any] = {"index": range(COUNT)}
    paths = {}
    for name in IMPLEMENTATIONS:
        if not available(name):
            continue
        folder = tmp_path_factory.mktemp(name) / "images"
        folder.mkdir()
        for source in corpus.root.iterdir():
            (folder / source.name).write_bytes(source.read_bytes())
        datasets[name] = registry.build(name, folder)
        paths[name] = registry.listed(datasets[name], folder)
    with loader(StackDataset(**datasets), 1, request.param) as batches:
        iterator = iter(batches)
        batch = next(iterator)
        pids = [worker.pid for worker in iterator._workers]  # type: ignore[attr-defined]
        assert all(psutil.pid_exists(pid) for pid in pids)
    yield batch, paths, pids


@every_implementation
def test_worker_gives_the_same_pixels(name: str, from_worker: Any) -> None:
    batch, paths, _ = from_worker
    assert sorted(batch["index"].tolist()) == list(range(COUNT))
    samples = batch[name][0] if IMPLEMENTATIONS[name].sample == "tuple" else batch[name]
    for index, sample in zip(batch["index"].tolist(), samples, strict=True):
        sample = (sample,) if IMPLEMENTATIONS[name].sample == "tuple" else sample
        pixels = registry.pixels(IMPLEMENTATIONS[name], sample)
        np.testing.assert_array_equal(pixels, by_pil(paths[name][index]))


@pytest.mark.usefixtures("own_children")
def test_no_worker_is_left_behind(from_worker: Any) -> None:
    _, _, pids = from_worker
    assert len(pids) == 1
    assert multiprocessing.active_children() == []
    assert not any(psutil.pid_exists(pid) for pid in pids)


@every_implementation
@pytest.mark.usefixtures("own_children")
def test_one_worker_persists_over_two_epochs(name: str, folder: Path) -> None:
    """Each implementation alone, under fork, which costs little."""
    dataset = registry.build(name, folder)
    expected = Counter(unbatched(default_collate([dataset[index] for index in range(COUNT)])))
    with loader(dataset, 1, "fork") as batches:
        pids = set()
        for _ in range(2):
            assert Counter(s for batch in batches for s in unbatched(batch)) == expected
            pids.add(batches._iterator._workers[0].pid)  # type: ignore[union-attr]
    assert len(pids) == 1
    assert multiprocessing.active_children() == []


# --- the registry itself ---------------------------------------------------------------------


@every_implementation
def test_transform_is_used_or_refused(name: str, folder: Path) -> None:
    if IMPLEMENTATIONS[name].takes_transform:
        dataset = registry.build(name, folder, "heavy", PX)
        before = all_pixels(name, registry.build(name, folder))
        assert not np.array_equal(all_pixels(name, dataset), before)
    else:
        with pytest.raises(ValueError, match=name):
            registry.build(name, folder, "heavy", PX)


def test_what_another_version_pickled_is_one_sentence(folder: Path) -> None:
    """Its fields are not those that are read today."""
    mapped, raw = ReadOnlyMappedDataset(folder), RawFileDataset(folder)
    for made in (mapped, raw, ensure_stored(folder, "jpeg", "pack")):
        state = made.__reduce_ex__(4)[2]
        for name in {"header", "digests"} & state.keys():
            with pytest.raises(
                StudyError, match=f"another version of datasets_impl, without {name}"
            ):
                made.__setstate__({key: state[key] for key in state if key != name})
