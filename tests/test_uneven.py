"""Samples of uneven cost, and the loaders that are measured with them."""

from __future__ import annotations

import multiprocessing
from pathlib import Path
from typing import Any

import pytest
import torch
from conftest import COUNT, PX

from benchmarks.grids import Cell
from benchmarks.measures import uneven as measure_uneven
from datasets_impl.experiments import uneven
from datasets_impl.loaders.decoded_images import DecodedImages
from datasets_impl.loading import Shuffled

pytestmark = pytest.mark.usefixtures("threads_as_before")


def test_one_sample_in_so_many_is_decoded_so_many_times(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(uneven, "EVERY", 5)
    decoded: list[int] = []
    real = DecodedImages._decoded

    def counted(self: Any, index: int, out: Any) -> Any:
        decoded.append(index)
        return real(self, index, out)

    monkeypatch.setattr(DecodedImages, "_decoded", counted)
    slow, plain = uneven.SlowImages(folder), DecodedImages(folder)
    for index in range(COUNT):
        assert torch.equal(slow[index], plain[index])
    often = [decoded.count(index) - 1 for index in range(COUNT)]
    assert often == [uneven.TIMES if index % 5 == 0 else 1 for index in range(COUNT)]


@pytest.mark.usefixtures("corpus")
def test_the_larger_a_picture_the_rarer_it_is(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(uneven, "SIZES", (16, 24, 40))
    made = uneven.mixed_sizes(8, 20)
    sides = [made.decoding.size(made.source.read(index))[0] for index in range(len(made))]
    assert sides == [40, *[24] * 2, *[16] * 4]
    assert {tuple(made[index].shape) for index in range(len(made))} == {(3, 20, 20)}


@pytest.mark.parametrize("name", uneven.LOADERS)
def test_every_loader_gives_every_image_as_often(name: str, folder: Path) -> None:
    dataset = uneven.SlowImages(folder)
    with uneven.LOADERS[name](dataset, Shuffled(COUNT, 20 * COUNT)) as loader:
        found = [bytes(image.contiguous().numpy()) for batch in loader for image in batch]
        ordered = getattr(loader, "in_order", True)
    expected = [bytes(dataset[index].contiguous().numpy()) for index in Shuffled(COUNT, 20 * COUNT)]
    assert (found == expected) if ordered else sorted(found) == sorted(expected)
    assert ordered != (name == "dataloader-unordered")
    assert not multiprocessing.active_children()


@pytest.mark.usefixtures("corpus")
@pytest.mark.parametrize("mix", uneven.MIXES)
@pytest.mark.parametrize("impl", uneven.LOADERS)
def test_an_epoch_and_the_time_between_batches_are_measured(
    mix: str, impl: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(uneven, "SIZES", (16, PX))
    monkeypatch.setattr(measure_uneven, "BATCHES", 10)
    levels = {"n": COUNT, "px": PX, "mix": mix, "impl": impl}
    value, state = measure_uneven.uneven(Cell.at(list(levels), tuple(levels.values())))
    assert value > 0 and state["batches"] == 10
    assert state["also"]["p99"] >= state["median_ms"] > 0
    assert state["resident_after"] >= 0.99 and not multiprocessing.active_children()
