"""The structures of C10 hold the same records, and each gathers the same batch."""

from __future__ import annotations

import math
from contextlib import suppress
from functools import partial

import numpy as np
import pytest
import torch

from benchmarks.measures import samples as measure_samples
from datasets_impl.errors import VoidMeasurement
from datasets_impl.experiments.structures import (
    IMAGE_SHAPE,
    RECORDS,
    STRUCTURES,
    records,
)
from tests.with_cells import cell

every_structure = pytest.mark.parametrize("name", STRUCTURES)
every_record = pytest.mark.parametrize("kind", RECORDS)
COUNT = 70
POSITIONS = [69, 0, 3, 3, 41]
tiny = partial(cell, n=COUNT)


@every_record
def test_records_are_random_and_repeatable(kind: str) -> None:
    first = records(kind, COUNT)
    assert np.array_equal(first, records(kind, COUNT))
    assert not np.array_equal(first, records(kind, COUNT, seed=1))
    assert first.shape == ((COUNT,) if kind == "label" else (COUNT, *IMAGE_SHAPE))
    assert first.dtype == (np.int64 if kind == "label" else np.uint8)
    assert len(np.unique(first)) > 1


def test_unknown_record() -> None:
    with pytest.raises(ValueError, match="unknown record 'sound'"):
        records("sound", COUNT)


@every_structure
@every_record
def test_an_item_is_the_record(name: str, kind: str) -> None:
    source = records(kind, COUNT)
    held = STRUCTURES[name].build(source)
    assert len(held) == COUNT
    for index in range(COUNT):
        assert np.array_equal(np.asarray(held[index]), source[index])


@every_structure
@every_record
def test_a_batch_is_contiguous_and_its_own(name: str, kind: str) -> None:
    made, source = STRUCTURES[name], records(kind, COUNT)
    held = made.build(source)
    batch = made.gather(held, made.indices(POSITIONS))
    found = np.asarray(batch)
    assert np.array_equal(found, source[POSITIONS]) and found.dtype == source.dtype
    assert found.flags.c_contiguous
    found[...] = 0
    assert np.array_equal(np.asarray(held[POSITIONS[0]]), source[POSITIONS[0]]), "a view"


@every_structure
@every_record
def test_nothing_is_shared_with_the_source(name: str, kind: str) -> None:
    source = records(kind, COUNT)
    held = STRUCTURES[name].build(source)
    before = source[5].copy()
    source[...] = 0
    assert np.array_equal(np.asarray(held[5]), before)


def test_what_each_structure_holds() -> None:
    labels = {name: made.build(records("label", COUNT)) for name, made in STRUCTURES.items()}
    assert all(type(label) is int for label in labels["list"])
    assert isinstance(labels["numpy"], np.ndarray) and isinstance(labels["tensor"], torch.Tensor)
    images = STRUCTURES["list"].build(records("image", COUNT))
    assert all(image.base is None for image in images), "an object of its own each"


# --- the number ------------------------------------------------------------------------------


@pytest.fixture(autouse=True)
def short(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(measure_samples, "ACCESS_SECONDS", 0)


@pytest.mark.parametrize("name", [*STRUCTURES, "numpy-again"])
@pytest.mark.parametrize("access", ["item", "batch"])
@every_record
def test_number_is_positive(
    name: str, access: str, kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    # A list gives an item in less than the loop takes: on a busy machine few passes are void.
    for seconds in (0.03, 0.3, 3):
        monkeypatch.setattr(measure_samples, "ACCESS_SECONDS", seconds)
        with suppress(VoidMeasurement):
            value, state = measure_samples.access(tiny(structure=name, access=access, record=kind))
            break
    else:
        pytest.fail("no pass took longer than the empty loop's")
    assert math.isfinite(value) and value > 0
    assert state["loop_ns"] > 0 and state["passes"] >= 1


def test_the_empty_loop_is_taken_off(monkeypatch: pytest.MonkeyPatch) -> None:
    """With a clock that gives every visit 3 s and every empty loop 1 s."""
    answers = iter([1e-3, 1.0, 3.0])
    monkeypatch.setattr(measure_samples, "timed", lambda run: next(answers))
    value, state = measure_samples.access(tiny(access="item", record="label"))
    copies = round(measure_samples.PASS_SECONDS / 1e-3)
    each = 1e9 / (measure_samples.ACCESSES * copies)
    assert value == pytest.approx(2 * each)
    assert state["loop_ns"] == pytest.approx(each, abs=0.01)


@pytest.mark.parametrize("access", ["item", "batch"])
def test_every_record_drawn_is_read(access: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nanoseconds are per record: a batch counts as many as it gathers."""
    answers = iter([1.0, 1.0, 2.0])  # one copy is long enough
    monkeypatch.setattr(measure_samples, "timed", lambda run: next(answers))
    value, _ = measure_samples.access(tiny(access=access, record="label"))
    per_pass = {"item": measure_samples.ACCESSES, "batch": measure_samples.BATCHES * 64}
    assert value == pytest.approx(1e9 / per_pass[access])


def test_an_access_that_costs_nothing_is_void(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(measure_samples, "timed", lambda run: 1.0)
    with pytest.raises(VoidMeasurement, match="empty loop"):
        measure_samples.access(tiny())


def test_unknown_access() -> None:
    with pytest.raises(ValueError, match="unknown access 'unbatched'"):
        measure_samples.access(tiny(access="unbatched"))
