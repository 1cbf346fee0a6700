"""A sampler that keeps everybody waiting costs its own answers alone."""

from __future__ import annotations

import signal
import threading
import time
from collections.abc import Iterator
from contextlib import suppress
from typing import Any

import pytest
import torch
from torch.utils.data import DataLoader, Sampler, TensorDataset

from datasets_impl.doctor.findings.findings import findings
from datasets_impl.doctor.probes import target
from datasets_impl.doctor.probes.inside import look_inside
from datasets_impl.doctor.probes.patience import Overdue, patience
from datasets_impl.doctor.probes.starting import starting
from datasets_impl.doctor.probes.target import subject_of
from datasets_impl.doctor.process.heard import Heard
from datasets_impl.doctor.report.diagnosis import diagnose

COUNT, AGES = 64, 60.0
ROWS = TensorDataset(torch.arange(COUNT))


class Slow(Sampler[Any]):
    def __init__(self, first: float = 0.0, length: float = 0.0) -> None:
        self.first, self.length, self.asked, self.measured = first, length, 0, 0

    def __len__(self) -> int:
        self.measured += 1
        time.sleep(self.length)
        return COUNT

    def __iter__(self) -> Iterator[Any]:
        self.asked += 1
        with suppress(Exception):  # as code that tries again what fails
            time.sleep(self.first)  # late
        yield from range(COUNT)


class SlowBatches(Slow):
    def __iter__(self) -> Iterator[Any]:
        yield [*super().__iter__()]


def loader(sampler: Slow) -> DataLoader[Any]:
    if isinstance(sampler, SlowBatches):
        return DataLoader(ROWS, batch_sampler=sampler)
    return DataLoader(ROWS, batch_size=8, sampler=sampler)


@pytest.mark.parametrize("kind", [Slow, SlowBatches])
def test_a_first_index_that_never_comes_is_a_finding(
    kind: type[Slow], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(target, "FIRST", 0.2)
    sampler = kind(first=AGES)
    subject = subject_of("x", loader(sampler))
    assert subject.order.late and not subject.keys and subject.read(3) == (torch.tensor(3),)
    inside = look_inside(subject, 1.0)
    found = starting(subject, 1.0)
    assert sampler.asked == 1, "it is not asked again"
    assert found["batch"] == (1 if kind is SlowBatches else 8), "as far as it is known"
    one = diagnose("x", Heard({"inside": inside, "starting": found}))
    assert one.findings[0].name == "sampler"
    assert f"{kind.__name__} needs more than 0.20 s before its first" in one.findings[0].evidence
    assert "def __iter__" in one.findings[0].places[0]
    assert any("samples were read by number" in said for said in one.not_done)


@pytest.mark.parametrize("kind", [Slow, SlowBatches])
def test_a_length_that_never_comes_costs_nothing_else(kind: type[Slow]) -> None:
    noted, sampler = list[dict[str, Any]](), kind(length=AGES)
    found = starting(subject_of("x", loader(sampler)), 0.3, lambda one: noted.append(dict(one)))
    assert sampler.measured == 1, "it is asked once, while there is an end to it"
    assert "sampler" in noted[0] and "batches" not in found and "sampler_lines" in found


@pytest.mark.parametrize("kind", [Slow, SlowBatches])
def test_others_are_left_in_peace(kind: type[Slow]) -> None:
    subject = subject_of("x", loader(kind()))
    assert len(subject.keys) == COUNT and not subject.order.late
    found = starting(subject, 1.0)
    assert found["batches"] and not findings({"starting": found})
    inside = look_inside(subject, 1.0)
    assert not diagnose("x", Heard({"inside": inside, "starting": found})).not_done


def test_a_timer_of_somebody_else_goes_on() -> None:
    heard = list[int]()
    kept = signal.signal(signal.SIGALRM, lambda number, _: heard.append(number))
    left, _ = signal.setitimer(signal.ITIMER_REAL, AGES)
    try:
        with pytest.raises(Overdue), patience(0.05):
            time.sleep(AGES)
        assert 0 < signal.getitimer(signal.ITIMER_REAL)[0] <= AGES and not heard
        signal.raise_signal(signal.SIGALRM)
        assert heard
    finally:
        signal.signal(signal.SIGALRM, kept)
        signal.setitimer(signal.ITIMER_REAL, left)


def test_in_another_thread_there_is_no_end() -> None:
    done = list[bool]()

    def wait() -> None:
        with patience(0.01):
            time.sleep(0.05)
            done.append(True)

    thread = threading.Thread(target=wait)
    thread.start()
    thread.join()
    assert done
