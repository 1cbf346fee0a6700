"""The loops of C02: the same images in the same order, whatever loops over them."""

from __future__ import annotations

import math
import multiprocessing
import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from conftest import COUNT, PX
from PIL import Image
from torch.utils.data import DataLoader, SequentialSampler, default_collate

from benchmarks.grids import Cell
from benchmarks.measures import loops as measure_loops
from datasets_impl.documented import InefficientDataset
from datasets_impl.experiments import loops
from datasets_impl.loading import BATCH_SIZE, run_epoch
from datasets_impl.variants.inefficient_batches import InefficientBatchesDataset
from datasets_impl.variants.whole_batches import as_it_comes

every_loop = pytest.mark.parametrize("name", loops.LOOPS)
BATCH = 5  # does not divide COUNT, so that the last batch is a short one


def epochs_of(name: str, folder: Path) -> list[list[Any]]:
    """The batches of the first two epochs, each copied out of shared memory."""
    dataset = loops.LOOPS[name].dataset(folder)
    with loops.looping(name, dataset) as batches:
        return [[batch[0].clone() for batch in batches] for _ in range(2)]


def images(batches: list[Any]) -> list[bytes]:
    return [image.numpy().tobytes() for batch in batches for image in batch]


@every_loop
def test_same_images_in_the_same_shuffled_order(
    name: str, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(loops, "BATCH_SIZE", BATCH)
    dataset = InefficientDataset(folder)
    order = loops.Shuffled(COUNT)
    expected = [[dataset[index][0].numpy().tobytes() for index in order] for _ in range(2)]
    assert [images(epoch) for epoch in epochs_of(name, folder)] == expected
    assert expected[0] != expected[1], "every epoch has the same order"
    assert sorted(expected[0]) == sorted(expected[1]) and len(set(expected[0])) == COUNT


@every_loop
def test_batches(name: str, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(loops, "BATCH_SIZE", BATCH)
    dataset = loops.LOOPS[name].dataset(folder)
    with loops.looping(name, dataset) as batches:
        found = list(batches)
        assert run_epoch(batches) == COUNT, "touched as every epoch of the study is"
    assert all(type(batch) in (tuple, list) and len(batch) == 1 for batch in found)
    tensors = [batch[0] for batch in found]
    assert all(tensor.dtype == torch.uint8 and tensor.is_contiguous() for tensor in tensors)
    assert {tuple(tensor.shape[1:]) for tensor in tensors} == {(PX, PX, 3)}
    sizes = [1] * COUNT if name == "defaults" else [BATCH, BATCH, COUNT - 2 * BATCH]
    assert [len(tensor) for tensor in tensors] == sizes


def test_batch_sizes_are_what_the_table_says() -> None:
    sizes = {name: loop.batch_size for name, loop in loops.LOOPS.items()}
    assert sizes.pop("defaults") == 1
    assert set(sizes.values()) == {BATCH_SIZE}


@every_loop
@pytest.mark.usefixtures("own_children")
def test_workers_are_what_the_table_says_and_end(name: str, folder: Path) -> None:
    dataset = loops.LOOPS[name].dataset(folder)
    with loops.looping(name, dataset) as batches:
        pids = set()
        for _ in range(2):
            run_epoch(batches)
            pids |= {child.pid for child in multiprocessing.active_children()}
        assert len(pids) == (loops.cores() if loops.LOOPS[name].workers else 0), "they persist"
    assert not multiprocessing.active_children()


@pytest.mark.usefixtures("own_children")
def test_workers_end_after_an_error_too(folder: Path) -> None:
    with (
        pytest.raises(RuntimeError, match="stop"),
        loops.looping("tuned", InefficientDataset(folder)) as batches,
    ):
        next(iter(batches))
        raise RuntimeError("stop")
    assert not multiprocessing.active_children()


def test_defaults_are_the_defaults_but_for_the_order(folder: Path) -> None:
    dataset = InefficientDataset(folder)
    with loops.looping("defaults", dataset) as batches:
        assert isinstance(batches, DataLoader)
        plain = DataLoader(dataset)
        differing = {
            key for key, value in vars(plain).items() if getattr(batches, key) is not value
        }
    assert isinstance(plain.sampler, SequentialSampler)
    differing = {key for key in differing if not key.startswith("_")}
    assert differing <= {"sampler", "batch_sampler"}


@pytest.mark.parametrize("name", ["tuned", "tuned-batched"])
def test_tuned_settings(name: str, folder: Path) -> None:
    with loops.looping(name, loops.LOOPS[name].dataset(folder)) as batches:
        assert isinstance(batches, DataLoader)
        assert batches.num_workers == loops.cores() >= 1
        assert batches.prefetch_factor == loops.TUNED_PREFETCH > 2
        assert batches.persistent_workers and batches.batch_size == BATCH_SIZE
        assert (batches.collate_fn is as_it_comes) == (name == "tuned-batched")


def test_one_thread_in_every_loop(folder: Path) -> None:
    torch.set_num_threads(2)
    with loops.looping("hand-written", InefficientDataset(folder)):
        assert torch.get_num_threads() == 1


def test_cores_without_affinity(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr(os, "sched_getaffinity", raising=False)
    monkeypatch.setattr(os, "cpu_count", lambda: 7)
    assert loops.cores() == 7


def test_an_iterator_that_is_never_read_costs_no_epoch() -> None:
    order = loops.Shuffled(COUNT)
    iter(order)
    assert list(order) == list(loops.Shuffled(COUNT))


# --- a batch decoded at once -----------------------------------------------------------------


def test_batch_is_what_collating_gives(folder: Path) -> None:
    dataset = InefficientBatchesDataset(folder)
    indices = [3, 0, 7]
    (batch,) = dataset.__getitems__(indices)
    (expected,) = default_collate([dataset[index] for index in indices])
    assert torch.equal(batch, expected) and batch.dtype == expected.dtype
    assert not batch.is_shared()


class _WasShared(InefficientBatchesDataset):
    """Says, in the worker that made a batch, whether it lies in shared memory already."""

    def __getitems__(self, indices: list[int]) -> Any:
        (batch,) = super().__getitems__(indices)
        return batch, batch.is_shared()


def test_worker_writes_straight_into_shared_memory(folder: Path) -> None:
    dataset = _WasShared(folder)
    found = DataLoader(
        dataset, batch_size=4, num_workers=1, collate_fn=as_it_comes, multiprocessing_context="fork"
    )
    batches = list(found)
    assert [shared for _, shared in batches] == [True] * 3
    expected = torch.stack([dataset[index][0] for index in range(COUNT)])
    assert torch.equal(torch.cat([batch for batch, _ in batches]), expected)


@pytest.mark.parametrize("shape", [(1, 1), (PX, 1), (1, PX), (PX + 1, PX)])
def test_images_of_another_shape_are_refused(shape: tuple[int, int], folder: Path) -> None:
    """Also those that broadcasting would stretch without a word."""
    dataset = InefficientBatchesDataset(folder)
    Image.fromarray(np.zeros((*shape, 3), np.uint8)).save(dataset.image_paths[1])
    with pytest.raises(ValueError, match="shape"):
        dataset.__getitems__([0, 1])


# --- the number ------------------------------------------------------------------------------


@pytest.mark.usefixtures("corpus", "on_disk")
@pytest.mark.parametrize("name", [*loops.LOOPS, "tuned-again"])
@pytest.mark.usefixtures("own_children")
def test_number_is_positive(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(measure_loops, "EPOCH_SECONDS", 0)
    value, state = measure_loops.loop_epoch(Cell.at(["n", "px", "loop"], (COUNT, PX, name)))
    assert math.isfinite(value) and value > 0
    workers = loops.cores() if name.startswith("tuned") else 0
    assert state["resident_before"] >= 0.99 and state["workers"] == workers
    assert state.get("batches", 0) == (100 if workers else 0) and state.get("epochs", 1) == 1
    assert not multiprocessing.active_children()


@pytest.mark.usefixtures("corpus", "on_disk")
def test_every_image_is_touched_in_every_loop(monkeypatch: pytest.MonkeyPatch) -> None:
    from datasets_impl import loading

    seen: list[int] = []
    real = loading.touch

    def counted(batch: Any) -> int:
        seen.append(real(batch))
        return seen[-1]

    monkeypatch.setattr(loading, "touch", counted)
    monkeypatch.setattr(measure_loops, "EPOCH_SECONDS", 0)
    for name in loops.LOOPS:
        seen.clear()
        measure_loops.loop_epoch(Cell.at(["n", "px", "loop"], (COUNT, PX, name)))
        first, timed = 4 + 5 * loops.cores(), 100  # batches, where workers run
        expected = BATCH_SIZE * (first + timed) if loops.LOOPS[name].workers else 2 * COUNT
        assert sum(seen) == expected, f"{name}: to warm up, and timed"
