"""Samples that cost nothing (X03): what arrives, how it travelled, and what is refused."""

from __future__ import annotations

import math
import multiprocessing
import resource
from collections import namedtuple
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from benchmarks.measures import samples as measure_samples
from benchmarks.transport import BySize
from datasets_impl.errors import Unsupported
from datasets_impl.experiments import free_samples as free
from datasets_impl.experiments.free_samples import CARRIERS, FreeSamples, free_samples, touch_sample
from datasets_impl.system import shared_memory
from tests.with_cells import cell

every_carrier = pytest.mark.parametrize("carrier", CARRIERS)
KIB = 8
KINDS = {"tensor": torch.Tensor, "numpy": np.ndarray}


@every_carrier
def test_an_access_copies_nothing(carrier: str) -> None:
    samples = FreeSamples(KIB, carrier)
    first, second = samples[0], samples[10**9]
    assert type(first) is KINDS[carrier]
    assert np.shares_memory(np.asarray(first), samples.array)
    assert np.shares_memory(np.asarray(second), samples.array)
    assert np.asarray(first).nbytes == KIB * 1024


def test_a_sent_tensor_does_not_make_the_next_one_free() -> None:
    """Sharing moves a tensor's storage in place; the next sample must need it again."""
    samples = FreeSamples(KIB, "tensor")
    sent = samples[0].share_memory_()
    assert sent.is_shared() and not samples[1].is_shared()
    assert not np.shares_memory(sent.numpy(), samples.array)


@every_carrier
@pytest.mark.parametrize("workers", [0, 1])
def test_samples_arrive_as_they_were_sent(carrier: str, workers: int) -> None:
    expected = FreeSamples(KIB, carrier).array
    with free_samples(KIB, carrier, workers) as samples:
        for _ in range(5):
            sample = next(samples)
            assert type(sample) is KINDS[carrier], "the default makes tensors of arrays"
            assert np.array_equal(np.asarray(sample), expected)
            if carrier == "tensor":
                assert sample.is_shared() == bool(workers)
        assert len(multiprocessing.active_children()) == workers
    assert not multiprocessing.active_children()


def test_every_tensor_has_shared_memory_of_its_own() -> None:
    with free_samples(KIB, "tensor", 1) as samples:
        kept = [next(samples) for _ in range(6)]
        assert len({sample.data_ptr() for sample in kept}) == 6
        kept[0].zero_()
        assert all(sample.any() for sample in (*kept[1:], next(samples)))


def test_unknown_carrier() -> None:
    with pytest.raises(ValueError, match="unknown carrier 'pigeon'"), free_samples(1, "pigeon", 0):
        pass


@every_carrier
@pytest.mark.parametrize("workers", [0, 1])
def test_too_little_shared_memory(
    carrier: str, workers: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Only tensors from workers need it."""
    usage = namedtuple("usage", "total used free")
    small = usage(64, 60, 4 * KIB * 1024 - 1)
    monkeypatch.setattr(shared_memory.shutil, "disk_usage", lambda path: small)
    monkeypatch.setattr(shared_memory, "SHARED_MEMORY", Path())
    if carrier == "tensor" and workers:
        with pytest.raises(Unsupported, match="MiB free"), free_samples(KIB, carrier, workers):
            pass
    else:
        with free_samples(KIB, carrier, workers) as samples:
            next(samples)


@every_carrier
def test_every_page_is_touched(carrier: str, monkeypatch: pytest.MonkeyPatch) -> None:
    read = []

    class Spied:
        def __init__(self, sample: Any) -> None:
            self.addresses = range(np.asarray(sample).nbytes)

        def __getitem__(self, part: slice) -> Any:
            read.append(self.addresses[part])
            return np.zeros(1)

    monkeypatch.setattr(free.torch, "as_tensor", Spied)
    touch_sample(FreeSamples(KIB, carrier)[0])
    (addresses,) = read
    page = resource.getpagesize()
    assert {address // page for address in addresses} == set(range(-(-KIB * 1024 // page)))


# --- the number ------------------------------------------------------------------------------


@pytest.mark.parametrize("carrier", [*CARRIERS, "tensor-again"])
@pytest.mark.parametrize("workers", [0, 1])
def test_number_is_positive(carrier: str, workers: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(measure_samples, "TRANSPORT_SECONDS", 0)
    value, state = measure_samples.transport(cell(kib=KIB, carrier=carrier, workers=workers))
    assert math.isfinite(value) and value > 0
    assert state["samples"] >= (100 if workers else measure_samples.SAMPLES)
    assert state["mb_per_s"] == pytest.approx(KIB * 1024 / value, rel=0.01, abs=0.05)
    assert not multiprocessing.active_children()


def test_microseconds_per_sample(monkeypatch: pytest.MonkeyPatch) -> None:
    """With a clock that gives every take one second."""
    monkeypatch.setattr(measure_samples, "TRANSPORT_SECONDS", 0)
    monkeypatch.setattr(measure_samples, "timed", lambda run: (run(), 1.0)[1])
    value, state = measure_samples.transport(cell(kib=KIB, carrier="numpy", workers=0))
    assert value == pytest.approx(1e6 / measure_samples.SAMPLES)
    assert state["samples"] == measure_samples.SAMPLES


def test_workers_stand_side_by_side() -> None:
    assert BySize.param_names[-1] == "workers" and BySize.params[-1] == [0, 1]
    assert not BySize.needs_corpus
