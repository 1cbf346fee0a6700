"""Samples that are wrong without an error, and time that passes before the first batch."""

from __future__ import annotations

import random
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch.utils.data import DataLoader, Dataset, IterableDataset, Sampler

from datasets_impl.doctor.findings.findings import findings
from datasets_impl.doctor.probes import target
from datasets_impl.doctor.probes.integrity import integrity
from datasets_impl.doctor.probes.looking import look
from datasets_impl.doctor.probes.starting import starting
from datasets_impl.doctor.probes.target import Subject, subject_of

COUNT, LONG = 40, 60.0  # seconds that no probe needs


class Rows(Dataset[Any]):
    """Healthy: rows of an array, copied."""

    def __init__(self) -> None:
        self.rows = np.random.default_rng(0).random((COUNT, 32))

    def __len__(self) -> int:
        return len(self.rows)

    def __getitem__(self, index: int) -> Any:
        return torch.from_numpy(self.rows[index].copy())


class Kept(Rows):
    """Finished samples are kept, with what was drawn for them, in a dictionary or a list."""

    def __init__(self, store: Any, draws: bool = True) -> None:
        super().__init__()
        self.store, self.draws = store, draws

    def __getitem__(self, index: int) -> Any:
        if index not in self.store if isinstance(self.store, dict) else self.store[index] is None:
            first = random.randrange(16) if self.draws else 0
            self.store[index] = torch.from_numpy(self.rows[index, first : first + 16].copy())
        return self.store[index]


class KeptRaw(Kept):
    """As it should be: what is random is drawn from what was kept."""

    def __getitem__(self, index: int) -> Any:
        self.store.setdefault(index, self.rows[index].copy())
        return torch.from_numpy(self.store[index]) + random.random()


class InPlace(Rows):
    def __getitem__(self, index: int) -> Any:
        self.rows[index] -= 0.5
        return torch.from_numpy(self.rows[index])


class FilledInPlace(Rows):
    """A cache in an array, filled when a sample is first read."""

    def __init__(self) -> None:
        super().__init__()
        self.cache = np.zeros_like(self.rows)
        self.counts = np.zeros(COUNT)

    def __getitem__(self, index: int) -> Any:
        if not self.cache[index].any():
            self.cache[index] = self.rows[index]
        self.counts[index] += 1
        return torch.from_numpy(self.cache[index].copy())


class Epochs(Rows):
    """The epoch decides; in memory that workers share, or in the trainer's alone."""

    def __init__(self, shared: bool) -> None:
        super().__init__()
        self.epoch = torch.zeros((), dtype=torch.int64)
        if shared:
            self.epoch.share_memory_()
        self.shared = shared

    def set_epoch(self, epoch: int) -> None:
        if self.shared:
            self.epoch.fill_(epoch)
        else:
            self.epoch = torch.tensor(epoch)

    def __getitem__(self, index: int) -> Any:
        return torch.from_numpy(self.rows[index] + int(self.epoch))


class Replaced(Rows):
    def __init__(self, black: bool = False) -> None:
        super().__init__()
        self.black = black

    def __getitem__(self, index: int) -> Any:
        if index % 4 == 1:
            return torch.zeros(32) if self.black else super().__getitem__(0)
        return super().__getitem__(index)


class Twice(Rows):
    """Goes over its samples twice in an epoch, on purpose."""

    def __len__(self) -> int:
        return 2 * COUNT

    def __getitem__(self, index: int) -> Any:
        return super().__getitem__(index % COUNT)


class Pairs(Rows):
    def __init__(self, pictures: list[Any], masks: list[Any]) -> None:
        super().__init__()
        self.pictures, self.masks = pictures, masks


def named(pattern: str, order: Any = range(COUNT)) -> list[str]:
    return [pattern.format(number) for number in order]


SHUFFLED = random.Random(0).sample(range(COUNT), COUNT)
PICTURES, MASKS = named("a/{:03}.png"), named("b/mask_of_{}.png")


def names(made: Any, **more: Any) -> list[str]:
    subject = made if isinstance(made, Subject) else subject_of("x", made)
    seen = {"look": look(subject, LONG), "integrity": integrity(subject, LONG)}
    seen["settings"] = subject.settings
    return [one.name for one in findings(seen | more)]


def loader(dataset: Any, **options: Any) -> DataLoader[Any]:
    return DataLoader(dataset, batch_size=4, **options)


@pytest.mark.parametrize(
    ("made", "name"),
    [
        (lambda: Kept({}), "kept-random"),
        (lambda: Kept([None] * COUNT), "kept-random"),
        (InPlace, "rewritten"),
        (lambda: loader(Epochs(False), num_workers=1, persistent_workers=True), "stale-epoch"),
        (Replaced, "replaced"),
        (lambda: Pairs(PICTURES, named("b/mask_of_{}.png", SHUFFLED)), "paired"),
        (lambda: Pairs([Path(one) for one in PICTURES], MASKS[::-1]), "paired"),
        (lambda: loader(Kept({}, draws=False), num_workers=1), "lost-cache"),
    ],
)
def test_what_is_wrong_is_named_first(made: Any, name: str) -> None:
    assert names(made())[0] == name


@pytest.mark.parametrize(
    "made",
    [
        Rows,
        lambda: Kept({}, draws=False),
        lambda: KeptRaw({}),
        FilledInPlace,
        lambda: loader(Epochs(True), num_workers=1, persistent_workers=True),
        lambda: loader(Epochs(False), num_workers=1),
        lambda: Replaced(black=True),
        Twice,
        lambda: Pairs(PICTURES, MASKS),
        lambda: Pairs(PICTURES, named("a/{:03}.png", SHUFFLED)),  # in another order on purpose
        lambda: Pairs(PICTURES, named("b/{}.png", range(COUNT, 2 * COUNT))),
        lambda: loader(Kept({}, draws=False), num_workers=1, persistent_workers=True),
    ],
)
def test_what_is_right_is_left_in_peace(made: Any) -> None:
    found = names(made())
    assert not {one for one in found if one != "shared"}  # the memory of a store may be given


def test_a_cache_that_cannot_fit_is_named() -> None:
    room = {"machine": {"room": {"memory": 1000}}}
    assert "endless-cache" in names(Kept({}, draws=False), **room)
    assert "endless-cache" not in names(Rows(), **room)


def test_the_dataset_is_as_before() -> None:
    dataset = Kept({}, draws=False)
    dataset[0]
    held = dataset.store
    integrity(subject_of("x", dataset), LONG)
    assert dataset.store is held and torch.equal(held[0], dataset[0])


class Slow(Sampler[int]):
    """Thinks before its first index."""

    def __len__(self) -> int:
        return COUNT

    def __iter__(self) -> Iterator[int]:
        time.sleep(0.35)
        return iter(range(COUNT))


class ReadsAll(Sampler[int]):
    def __init__(self, dataset: Any) -> None:
        self.lengths = [len(dataset[index]) for index in range(len(dataset))]

    def __len__(self) -> int:
        return len(self.lengths)

    def __iter__(self) -> Iterator[int]:
        return iter(range(len(self.lengths)))


class SlowRows(Rows):
    def __getitem__(self, index: int) -> Any:
        time.sleep(0.01)
        return super().__getitem__(index)


def reads_all() -> DataLoader[Any]:
    dataset = SlowRows()
    return loader(dataset, sampler=ReadsAll(dataset))


def starts(subject: Subject) -> list[str]:
    seen = {"look": look(subject, LONG), "starting": starting(subject, 2.0)}
    return [one.name for one in findings(seen)]


def test_a_sampler_that_takes_the_time_is_named() -> None:
    assert starts(subject_of("x", loader(Rows(), sampler=Slow())))[0] == "sampler"
    assert starts(subject_of("x", loader(Rows(), shuffle=True))) == []


def test_reading_all_samples_first_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(target, "imported", lambda _: None)
    monkeypatch.setattr(target, "attribute_of", lambda *_: reads_all)
    subject = target.load("any:reads_all", {})
    assert subject.made_seconds >= COUNT * 0.01
    assert starts(subject)[0] == "reads-all-first"


class Buffered(IterableDataset[Any]):
    def __iter__(self) -> Iterator[Any]:
        time.sleep(0.5)
        yield from (torch.tensor([float(number)]) for number in range(200))


def test_a_stream_that_fills_a_buffer_first_is_named() -> None:
    subject = subject_of("x", Buffered())
    found = [one.name for one in findings({"look": look(subject, LONG)})]
    assert found[0] == "stream-start"
