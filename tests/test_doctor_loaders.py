"""Whatever a loader is made with, its workers are timed, and what its functions raise is told."""

from __future__ import annotations

import math
import multiprocessing
from collections.abc import Callable
from itertools import chain, repeat
from typing import Any

import numpy as np
import pytest
import torch
from torch.utils.data import (
    BatchSampler,
    ConcatDataset,
    DataLoader,
    Dataset,
    SequentialSampler,
    Subset,
    default_collate,
    get_worker_info,
)

from datasets_impl.doctor.probes import clock, profiling
from datasets_impl.doctor.probes.batches import batches
from datasets_impl.doctor.probes.growth import PROOF, Packed, _grown, growth
from datasets_impl.doctor.probes.loaders import LATE, Part, There, collate_of, consume, opened
from datasets_impl.doctor.probes.part import part_of
from datasets_impl.doctor.probes.raised import sentence
from datasets_impl.doctor.probes.target import subject_of
from datasets_impl.doctor.remedies import trials
from datasets_impl.doctor.remedies.trials import tried


class Numbers(Dataset[Any]):
    """Gives a sample only where a worker knows the user's dataset as its own."""

    rng: Any = None

    def __len__(self) -> int:
        return 256

    def __getitem__(self, index: int) -> torch.Tensor:
        info: Any = get_worker_info()
        if info is not None:
            found = info.dataset
            while not isinstance(found, Numbers):
                found = found.datasets[0] if isinstance(found, ConcatDataset) else found.dataset
        return torch.full((8, 8), index % 251, dtype=torch.uint8)


def seeding(worker: int) -> None:
    info: Any = get_worker_info()
    assert isinstance(info.dataset, Numbers) and info.id == worker
    info.dataset.rng = np.random.default_rng(info.seed)


def seeding_inner(worker: int) -> None:
    info: Any = get_worker_info()
    info.dataset.dataset.rng = np.random.default_rng(info.seed)


def refusing(worker: int) -> None:
    raise RuntimeError("no licence for this worker")


class Own(DataLoader[Any]):
    """Takes other arguments than PyTorch's."""

    def __init__(self, name: str, **options: Any) -> None:
        super().__init__(Numbers(), **options)
        self.name = name


def loader(dataset: Any = None, **options: Any) -> DataLoader[Any]:
    return DataLoader(dataset or Numbers(), **{"batch_size": 16, "num_workers": 2} | options)


# Options that have nothing to do with one another go together: each loader starts many workers.
LOADERS: dict[str, Callable[[], DataLoader[Any]]] = {
    "worker_init_fn": lambda: loader(worker_init_fn=seeding),
    "worker_init_fn of a subset": lambda: loader(
        Subset(Numbers(), range(64)), worker_init_fn=seeding_inner
    ),
    "worker_init_fn, not forked": lambda: loader(
        worker_init_fn=seeding, multiprocessing_context="forkserver", num_workers=1
    ),
    "concatenated, generator, pinned": lambda: loader(
        ConcatDataset([Numbers(), Numbers()]),
        generator=torch.Generator().manual_seed(0), shuffle=True, pin_memory=True,
    ),
    "context, timeout, out of order": lambda: loader(
        multiprocessing_context=multiprocessing.get_context("fork"), timeout=100, in_order=False
    ),
    "batch sampler": lambda: DataLoader(
        Numbers(), num_workers=2, batch_sampler=BatchSampler(SequentialSampler(range(256)), 8, True)
    ),
    "of another class, persistent": lambda: Own(
        "train", batch_size=16, num_workers=2, persistent_workers=True, prefetch_factor=5,
        drop_last=True,
    ),
}  # fmt: skip


@pytest.mark.slow
@pytest.mark.parametrize("name", LOADERS)
def test_workers_are_timed(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    # What fails does so in the first round, of few batches; there is time for every remedy.
    monkeypatch.setattr(trials, "MOST_ROUNDS", 1)
    subject = subject_of(name, LOADERS[name]())
    assert batches(subject, 1.0)["first_batch"] > 0
    if "not forked" not in name:  # seconds for each start
        assert growth(subject, 0.5)["private"]
        found = tried(subject, 2.0, most=60.0)
        assert found["own"] and not found["failed"], found


@pytest.mark.parametrize(("shuffle", "ordered"), [(True, False), (False, True), (None, False)])
def test_samples_are_tried_in_the_order_that_training_has(
    shuffle: bool | None, ordered: bool
) -> None:
    """Mixed ones: where there is time for a few alone, these are not the first of a file."""
    numbers = Numbers()
    subject = subject_of("x", numbers if shuffle is None else loader(numbers, shuffle=shuffle))
    found = part_of(subject, 0.5)
    assert (found == sorted(found)) is ordered and len(set(found)) == len(found) > 8


@pytest.mark.parametrize(("method", "more"), [("fork", False), ("spawn", True)])
def test_workers_that_import_first_are_waited_for(method: str, more: bool) -> None:
    """torch from a slow disk, or on a busy machine, takes longer than any sample should."""
    subject = subject_of("x", loader(multiprocessing_context=method))
    with opened(subject, Part(subject, [0]), 1, default_collate) as made:
        assert (made.timeout > LATE) is more
    other = {"multiprocessing_context": "forkserver"}
    with opened(subject, Part(subject, [0]), 1, default_collate, **other) as made:
        assert made.timeout > LATE


def test_a_part_is_no_shorter_for_what_stood_still_while_the_first_were_timed(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Of too few samples no growth of memory is seen, and a line that waited once looks costly."""
    numbers, now = Numbers(), [0.0]

    def read(index: Any) -> Any:
        now[0] += 1e-5 if now[0] else 0.5  # seconds
        return numbers[index]

    monkeypatch.setattr(clock, "perf_counter", lambda: now[0])
    subject = subject_of("x", numbers)
    subject.read = read  # type: ignore[method-assign]
    assert len(part_of(subject, 0.1)) == len(numbers)


def test_a_worker_init_function_over_kept_samples_sees_the_users_dataset() -> None:
    subject = subject_of("x", loader(worker_init_fn=seeding))
    with opened(subject, There([Numbers()[0]], 32), 2, default_collate) as made:
        assert len(list(made)) == 2


@pytest.mark.parametrize("probe", [batches, growth, tried])
def test_what_a_worker_init_function_raises_is_told_with_its_line(probe: Any) -> None:
    subject = subject_of("x", loader(worker_init_fn=refusing))
    with pytest.raises(Exception, match="no licence") as raised:
        probe(subject, 1.0)
    line = refusing.__code__.co_firstlineno + 1
    said = sentence(raised.value)
    assert "RuntimeError: no licence for this worker" in said
    assert said.endswith(f"({__file__}:{line})")


@pytest.mark.parametrize(
    ("each", "until", "count"),
    [(0, math.inf, 1000), (PROOF // 100, math.inf, 128), (0, 0.0, 32)],
)
def test_epochs_grow_until_workers_have_grown_or_the_time_is_over(
    each: int, until: float, count: int
) -> None:
    begun, asked = 10**9, list[int]()

    def after(samples: int) -> int:
        asked.append(samples)
        return begun + each * samples

    assert _grown(after, begun, 8, 1000, until) == (count, begun + each * count)
    assert asked == [32, 128, 512, 1000][: len(asked)]


def test_what_takes_too_long_to_be_packed_is_left_as_it_is() -> None:
    assert list(Packed([{"a": 1}, (2,)])) == [{"a": 1}, (2,)]
    with pytest.raises(TimeoutError):
        Packed([1, 2], until=0.0)


def test_an_epoch_that_was_disturbed_does_not_count(monkeypatch: pytest.MonkeyPatch) -> None:
    took = chain([9.0, 0.1, 9.0], repeat(0.1))  # seconds; the first warms caches
    monkeypatch.setattr(profiling, "consume", lambda made: next(took))
    found = profiling.causes(subject_of("x", loader()), 1.0)
    assert 0 < found["collating"] <= 0.1 / found["samples"]


def collating_badly(samples: list[Any]) -> Any:
    raise SystemExit("no batch of these")


def test_what_a_collate_function_raises_is_told() -> None:
    subject = subject_of("x", loader(collate_fn=collating_badly))
    _, why = collate_of(subject, [Numbers()[0]] * 2)
    assert "SystemExit: no batch of these" in why and __file__ in why
    assert collate_of(subject_of("x", loader()), [Numbers()[0]]) == (default_collate, "")


def emptying(samples: list[Any]) -> Any:
    made = default_collate(samples)
    samples.clear()
    return made


def taking_out(samples: list[Any]) -> Any:
    return torch.stack([one[0].pop("x") for one in samples])


def leaving(samples: list[Any]) -> Any:
    return torch.stack([one[0]["x"] for one in samples])


class Named(Numbers):
    def __getitem__(self, index: int) -> Any:
        return {"x": super().__getitem__(index), "id": index}, [index]


@pytest.mark.usefixtures("forked_workers")
@pytest.mark.parametrize(
    ("dataset", "collate"), [(Numbers(), emptying), (Named(), taking_out), (Named(), leaving)]
)
def test_a_collate_function_may_change_what_it_is_given(dataset: Any, collate: Any) -> None:
    subject = subject_of("x", loader(dataset, collate_fn=collate, num_workers=1))
    found = profiling.causes(subject, 0.5)
    assert found["collating"] > 0 and found["not_collated"] == ""
    assert found["lines"], "those of the user's function among them"
    assert batches(subject, 1.0)["hand_over"] >= 0
    seen = tried(subject, 1.0)
    assert seen["own"] and not seen["failed"]


def test_batches_with_arrays_of_objects_are_read_over() -> None:
    assert consume([{"boxes": np.array([{}, 1], dtype=object), "a": torch.ones(2)}]) >= 0
