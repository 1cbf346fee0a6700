"""The training step of X09, and the share of time that is counted as waiting."""

from __future__ import annotations

import multiprocessing
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import torch
from asv_runner.benchmarks.mark import SkipNotImplemented
from conftest import COUNT, PX

from benchmarks.measures import loops as measure_loops
from benchmarks.stall import CudaByStep
from datasets_impl.errors import Unsupported
from datasets_impl.experiments import steps
from datasets_impl.experiments.steps import MultiplyingStep, WaitingStep, cuda_step
from tests.with_cells import records, tiny


class Clock:
    """Time that passes only in `sleep`: `part` of what was asked for, and `late` seconds."""

    def __init__(self, late: float = 0.0, part: float = 1.0) -> None:
        self.now, self.late, self.part, self.slept = 100.0, late, part, 0

    def perf_counter(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.now += self.part * seconds + self.late
        self.slept += 1


def test_a_step_lasts_until_its_deadline_and_counts_as_asked(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    clock = Clock(late=0.25)
    monkeypatch.setattr(steps, "time", clock)
    step = WaitingStep(500)
    assert step(arrived=clock.now) == 0.5
    assert clock.now == pytest.approx(100.75)
    assert step.overshoot == pytest.approx(0.25), "measured, and not counted as training"
    step(arrived=clock.now)
    assert step.overshoot == pytest.approx(0.5)


def test_time_since_the_batch_arrived_is_part_of_the_step(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = Clock()
    monkeypatch.setattr(steps, "time", clock)
    WaitingStep(500)(arrived=clock.now - 0.4)
    assert clock.now == pytest.approx(100.1)
    WaitingStep(500)(arrived=clock.now - 2.0)
    assert clock.now == pytest.approx(100.1) and clock.slept == 1, "a late step waits no more"


def test_a_sleep_that_ends_early_is_continued(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = Clock(late=0.01, part=0.5)
    monkeypatch.setattr(steps, "time", clock)
    WaitingStep(250)(arrived=100.0)
    assert clock.now >= 100.25 and clock.slept > 1


def test_a_waiting_step_leaves_the_cpu_alone() -> None:
    step = WaitingStep(200)
    busy, start = time.thread_time(), time.perf_counter()
    step(start)
    assert time.perf_counter() - start >= 0.2
    assert time.thread_time() - busy < 0.1


def test_a_multiplying_step_counts_what_it_took() -> None:
    step = MultiplyingStep(1, "cpu")
    assert step.times >= 1
    arrived = time.perf_counter() - 5
    assert step(arrived) >= 5


def test_more_milliseconds_mean_more_multiplications(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = Clock()
    monkeypatch.setattr(steps, "time", clock)
    monkeypatch.setattr(
        MultiplyingStep, "_multiply", lambda self, times: clock.sleep(0.001 * times)
    )
    assert MultiplyingStep(5, "cpu").times == 5
    assert MultiplyingStep(20, "cpu").times == 20
    assert MultiplyingStep(0.1, "cpu").times == 1


def test_no_cuda_device(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with pytest.raises(Unsupported, match="no CUDA device"):
        cuda_step(5)


@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")
def test_a_cuda_step_runs() -> None:
    assert cuda_step(5)(time.perf_counter()) > 0


# --- the share -------------------------------------------------------------------------------


cell = partial(tiny, step_ms=1)


@pytest.fixture
def short(monkeypatch: pytest.MonkeyPatch, corpus: Any, on_disk: None) -> None:
    monkeypatch.setattr(measure_loops, "STALL_SECONDS", 0)
    monkeypatch.setattr(measure_loops, "STEPS", 3)
    monkeypatch.setattr(measure_loops, "PASS_BATCHES", 5)


def counting(seconds: float, calls: list[float]) -> Callable[[float], Any]:
    """A step that takes no time and counts as `seconds`."""

    def step(arrived: float) -> float:
        calls.append(arrived)
        return seconds

    return lambda milliseconds: step


@pytest.mark.usefixtures("short")
@pytest.mark.parametrize("workers", [0, 2])
@pytest.mark.parametrize("impl", ["naive", "preloaded", "naive-again"])
def test_share_is_a_percentage(workers: int, impl: str) -> None:
    share, state = measure_loops.stall(cell(workers=workers, impl=impl))
    assert 0.01 <= share <= 99.99
    assert state["steps"] == (5 if workers else 3) and state["trained_ms"] == 1
    expected = 100 * state["waited_ms"] / (state["waited_ms"] + 1)
    assert share == pytest.approx(expected, rel=0.01, abs=0.02)
    assert state["overshoot_ms"] >= 0 and state["resident_before"] >= 0.99
    assert not multiprocessing.active_children()


@pytest.mark.usefixtures("short")
@pytest.mark.parametrize(("seconds", "share"), [(0.0, 99.99), (1e9, 0.01)])
def test_share_stays_off_its_ends(seconds: float, share: float) -> None:
    """So that the ratio of two shares exists."""
    assert measure_loops.stall(cell(), counting(seconds, []))[0] == share


@pytest.mark.usefixtures("short")
@pytest.mark.parametrize("workers", [0, 2])
def test_what_workers_had_ready_is_used_up_first(workers: int) -> None:
    calls: list[float] = []
    _, state = measure_loops.stall(cell(workers=workers), counting(1.0, calls))
    assert len(calls) - state["steps"] > 2 * workers, "two batches for each worker are prefetched"


@pytest.mark.usefixtures("short")
def test_a_short_step_is_repeated(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(measure_loops, "STALL_SECONDS", 1e9)
    monkeypatch.setattr(measure_loops, "MOST_STEPS", 9)
    assert measure_loops.stall(cell(), counting(0.0, []))[1]["steps"] == 9
    monkeypatch.setattr(measure_loops, "STALL_SECONDS", 7.5)
    assert measure_loops.stall(cell(), counting(1.5, []))[1]["steps"] == 5


@pytest.mark.usefixtures("short")
def test_no_epoch_starts_while_time_is_taken(monkeypatch: pytest.MonkeyPatch) -> None:
    """More steps than the images fill batches, from one iterator."""
    made = []
    real = torch.utils.data.DataLoader.__iter__

    def counted(self: Any) -> Any:
        made.append(self)
        return real(self)

    monkeypatch.setattr(torch.utils.data.DataLoader, "__iter__", counted)
    _, state = measure_loops.stall(cell(workers=2), counting(1.0, []))
    assert state["steps"] * 64 > COUNT and len(made) == 1


@pytest.mark.usefixtures("corpus", "on_disk")
def test_without_a_cuda_device_its_cells_say_so(log: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with pytest.raises(SkipNotImplemented, match="no CUDA device"):
        CudaByStep().track_stall(COUNT, PX, 2, 5, "naive")
    assert records(log)[0]["skipped"] == "no CUDA device"
