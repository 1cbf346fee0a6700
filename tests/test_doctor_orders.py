"""What a sampler takes for each batch, also one that is very slow, and one that repeats itself."""

from __future__ import annotations

import json
import random
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch.utils.data import (
    BatchSampler,
    DataLoader,
    DistributedSampler,
    RandomSampler,
    Sampler,
    SequentialSampler,
    TensorDataset,
    WeightedRandomSampler,
)

from datasets_impl.doctor.findings.findings import findings
from datasets_impl.doctor.findings.integrity import same_order
from datasets_impl.doctor.findings.starting import slow_sampler
from datasets_impl.doctor.probes import orders
from datasets_impl.doctor.probes.starting import starting
from datasets_impl.doctor.probes.target import Subject, subject_of
from datasets_impl.doctor.process.examine import _Followed
from datasets_impl.doctor.process.heard import Heard
from datasets_impl.doctor.report.diagnosis import diagnose

COUNT, SIZE = 640, 16
ROWS = TensorDataset(torch.arange(COUNT))
LOOK = {"type": "Rows", "length": COUNT, "kinds": [], "bytes": 8.0, "turn": 1e-8, "cost": 4e-5}


class Clock:
    """Goes on by what is said to have passed."""

    def __init__(self) -> None:
        self.now = 0.0

    def perf_counter(self) -> float:
        return self.now


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    made = Clock()
    monkeypatch.setattr(orders.clock, "perf_counter", made.perf_counter)
    monkeypatch.setattr(orders, "queue_seconds", lambda: 0.0)
    return made


class ByLength(Sampler[list[int]]):
    """Takes its time before the first batch, and for each of them."""

    def __init__(self, clock: Clock, first: float, each: float) -> None:
        self.clock, self.first, self.each, self.given = clock, first, each, 0

    def __iter__(self) -> Iterator[list[int]]:
        self.clock.now += self.first
        for begin in range(0, COUNT, SIZE):
            self.clock.now += self.each
            self.given += 1
            yield list(range(begin, begin + SIZE))

    def __len__(self) -> int:
        return COUNT // SIZE


class OneByOne(ByLength):
    def __iter__(self) -> Iterator[Any]:
        for batch in super().__iter__():
            yield from batch


def asked(clock: Clock, first: float, each: float) -> dict[str, Any]:
    made = DataLoader(ROWS, batch_sampler=ByLength(clock, first, each))
    return starting(subject_of("x", made), 2.0)


def test_a_sampler_that_is_slow_in_each_batch_is_the_cause(clock: Clock) -> None:
    found = asked(clock, 0.0, 0.1)
    assert found["sampler"] == pytest.approx(0.1) and found["sampler_each"] == pytest.approx(0.1)
    told = slow_sampler({"starting": found, "look": LOOK})
    assert told is not None and told.name == "sampler"
    assert "ByLength needs 100.0 ms for each batch" in told.evidence
    assert "4.0 s in an epoch; the batch's samples take 0.64 ms." in told.evidence
    assert told.places[0].startswith(f"{Path(__file__).name}:")
    heard = Heard({"look": LOOK, "starting": found, "causes": {"total": 4e-5, "causes": {}}})
    assert diagnose("x", heard).verdict.startswith("The sampler takes the time (test_doctor_")


def test_it_is_not_asked_for_all_batches(clock: Clock) -> None:
    sampler = ByLength(clock, 0.0, 0.5)
    starting(subject_of("x", DataLoader(ROWS, batch_sampler=sampler)), 2.0)
    assert sampler.given < 10 < len(sampler)


def test_one_index_after_the_other_makes_a_batch(clock: Clock) -> None:
    made = DataLoader(ROWS, batch_size=SIZE, sampler=OneByOne(clock, 1.0, 0.1))
    found = starting(subject_of("x", made), 2.0)
    assert found["sampler_each"] == pytest.approx(0.1, rel=0.2)
    assert found["sampler"] == pytest.approx(1.1, rel=0.2)


@pytest.mark.parametrize(
    ("each", "cost", "is_cause"),
    [(5e-4, 1e-7, False), (0.002, 4e-5, True), (0.002, 4e-3, False), (0.1, 4e-3, True)],
)
def test_a_sampler_is_compared_with_the_samples_of_a_batch(
    each: float, cost: float, is_cause: bool
) -> None:
    """What no step notices is no cause either."""
    start = {"sampler": each, "sampler_each": each, "batch": SIZE, "batches": 1000, "kind": "Own"}
    told = slow_sampler({"starting": start, "look": LOOK | {"cost": cost}})
    assert (told is not None) is is_cause


def test_samplers_of_the_library_are_no_cause() -> None:
    for made in (
        DataLoader(ROWS, batch_size=SIZE, shuffle=True),
        DataLoader(ROWS, batch_sampler=BatchSampler(SequentialSampler(ROWS), SIZE, False)),
    ):
        found = starting(subject_of("x", made), 2.0)
        assert found["sampler_each"] < 1e-3 and found["batch"] == SIZE and not found.get("alike")


def test_what_is_known_of_a_slow_sampler_is_told_before_more_is_tried(
    clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    noted = list[dict[str, Any]]()
    made = DataLoader(ROWS, batch_sampler=ByLength(clock, 30.0, 0.0))
    subject = subject_of("x", made)
    assert clock.now == pytest.approx(30.0)
    starting(subject, 2.0, lambda found: noted.append(dict(found)))
    assert noted[0]["sampler"] == pytest.approx(30.0)
    assert clock.now == pytest.approx(30.0), "it is not asked again"


def followed(tmp_path: Path, probe: str, *records: dict[str, Any]) -> Heard:
    """What is known after a process that was ended over its time."""
    (tmp_path / "stacks").write_text("Timeout!")
    made = _Followed(type("Child", (), {"pid": 1})(), tmp_path, 9.0, Heard(), lambda _: None)
    for record in records:
        made._hear(record)
    made._fail(ended=True)
    return made.heard


def test_a_probe_that_is_ended_has_answered_what_it_noted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(_Followed, "_hung", lambda _: {})
    start = {"sampler": 30.0, "kind": "ByLength", "batches": 10, "batch": 16}
    begun = {"probe": "starting", "limit": 8.0}
    heard = followed(tmp_path, "starting", begun, begun | {"partial": start})
    assert heard.answers == {"starting": start} and not heard.failures
    assert "starting" in heard.settled
    heard = followed(tmp_path, "starting", begun)
    assert not heard.answers and "took longer than 8 s" in heard.failures["starting"]


class Mixed(Sampler[int]):
    """Draws from a generator that goes on from epoch to epoch."""

    def __init__(self, seed: int = 0) -> None:
        self.seed, self.epoch, self.shuffle = seed, 0, True
        self.kept = torch.Generator().manual_seed(seed)

    def __len__(self) -> int:
        return COUNT

    def __iter__(self) -> Iterator[int]:
        return iter(torch.randperm(COUNT, generator=self.kept).tolist())


class SeedsItself(Mixed):
    def __iter__(self) -> Iterator[int]:
        torch.manual_seed(self.seed)  # seeds
        return iter(torch.randperm(COUNT).tolist())


class SeedsShuffle(Mixed):
    def __iter__(self) -> Iterator[int]:
        order = list(range(COUNT))
        random.Random(self.seed).shuffle(order)
        return iter(order)


class InBatches(Mixed):
    def __iter__(self) -> Iterator[Any]:
        order = np.random.default_rng(self.seed).permutation(COUNT)
        yield from order.reshape(-1, SIZE).tolist()


class ByEpoch(Mixed):
    def set_epoch(self, epoch: int) -> None:
        self.epoch = epoch

    def __iter__(self) -> Iterator[int]:
        drawn = torch.Generator().manual_seed(self.seed + self.epoch)
        return iter(torch.randperm(COUNT, generator=drawn).tolist())


class Deaf(ByEpoch):
    """Does not use the epoch that it is told."""

    def __iter__(self) -> Iterator[int]:
        drawn = torch.Generator().manual_seed(self.seed)
        return iter(torch.randperm(COUNT, generator=drawn).tolist())


class DrawnOnce(Mixed):
    """A part of the samples that was chosen by chance, to validate with."""

    def __init__(self) -> None:
        super().__init__()
        self.chosen = torch.randperm(COUNT).tolist()[:64]

    def __iter__(self) -> Iterator[int]:
        return iter(self.chosen)


class NotShuffled(SeedsShuffle):
    def __init__(self) -> None:
        super().__init__()
        self.shuffle = False


class Longest(Mixed):
    def __iter__(self) -> Iterator[int]:
        return iter(sorted(range(COUNT), key=lambda one: one % 7))


def of(sampler: Any) -> Subject:
    if isinstance(sampler, InBatches):
        return subject_of("x", DataLoader(ROWS, batch_sampler=sampler))
    return subject_of("x", DataLoader(ROWS, batch_size=SIZE, sampler=sampler))


@pytest.mark.parametrize("sampler", [SeedsItself, SeedsShuffle, InBatches, Deaf])
def test_a_sampler_that_draws_the_same_order_again_is_found(sampler: Any) -> None:
    before = torch.get_rng_state()
    try:
        found = starting(of(sampler()), 2.0)
    finally:
        torch.set_rng_state(before)
    told = same_order({"starting": json.loads(json.dumps(found))})
    assert told is not None and told.evidence.startswith(f"{sampler.__name__} draws its order")
    assert "first 256 of two epochs" in told.evidence
    assert "seed" in told.places[0] or "default_rng" in told.places[0] or "Random" in told.places[0]
    (first, *_) = findings({"starting": found})
    assert first.name == "same-order" and diagnose("x", Heard({"starting": found})).wrong


@pytest.mark.parametrize(
    "sampler",
    [
        Mixed, ByEpoch, DrawnOnce, NotShuffled, Longest,
        lambda: SequentialSampler(ROWS),
        lambda: RandomSampler(ROWS, generator=torch.Generator().manual_seed(0)),
        lambda: DistributedSampler(ROWS, num_replicas=2, rank=0),
        lambda: WeightedRandomSampler(torch.ones(COUNT), COUNT),
        lambda: [3, 1, 2, 0, 9, 8, 4, 5, 6],
    ],
)  # fmt: skip
def test_other_orders_are_fine(sampler: Any) -> None:
    assert same_order({"starting": starting(of(sampler()), 2.0)}) is None


@pytest.mark.slow
def test_a_very_slow_sampler_does_not_end_what_is_known_of_it() -> None:
    class Late(Sampler[int]):
        def __iter__(self) -> Iterator[int]:
            time.sleep(1.5)
            return iter(range(COUNT))

        def __len__(self) -> int:
            return COUNT

    found = starting(of(Late()), 1.0)
    assert found["sampler"] > 1.0 and "__iter__" in found["sampler_lines"][0][2]
