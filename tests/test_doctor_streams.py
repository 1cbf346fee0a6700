"""Streams whose workers do each other's work, by a clock that only the streams' own work moves."""

from __future__ import annotations

import itertools
import random
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest
import torch
from torch.utils.data import DataLoader, IterableDataset, get_worker_info

from datasets_impl.doctor.findings.findings import findings
from datasets_impl.doctor.findings.hazards import SPLIT
from datasets_impl.doctor.probes import clock, splitting
from datasets_impl.doctor.probes.rereading import repeated
from datasets_impl.doctor.probes.target import subject_of

CHAPTERS, PAGES = 8, 40
UNPACKING, SKIPPING = 0.01, 0.0001  # seconds of a processor, by the clock of these tests
spent = [0.0]


def page(chapter: int, number: int) -> torch.Tensor:
    spent[0] += UNPACKING
    return torch.tensor([chapter, number])


def own() -> tuple[int, int]:
    info = get_worker_info()
    return (info.id, info.num_workers) if info else (0, 1)


class Book(IterableDataset[Any]):
    """Every chapter is unpacked page by page."""

    def chapters(self) -> Any:
        return range(CHAPTERS)

    def pages(self) -> Iterator[torch.Tensor]:
        for chapter in self.chapters():
            for number in range(PAGES):
                yield page(chapter, number)

    def __iter__(self) -> Iterator[torch.Tensor]:
        worker, workers = own()
        return itertools.islice(self.pages(), worker, None, workers)  # split


class Counted(Book):
    def __iter__(self) -> Iterator[torch.Tensor]:
        worker, workers = own()
        for at, one in enumerate(self.pages()):
            if at % workers == worker:  # split
                yield one


class Dealt(Book):
    """Split where no line of the class tells it."""

    def __iter__(self) -> Iterator[torch.Tensor]:  # split
        worker, workers = own()
        places = itertools.cycle(range(workers))
        yield from (one for one, at in zip(self.pages(), places, strict=False) if at == worker)


class ByChapter(Book):
    """As it should be: chapters are split, and then unpacked."""

    def chapters(self) -> Any:
        worker, workers = own()
        return range(CHAPTERS)[worker::workers]

    def __iter__(self) -> Iterator[torch.Tensor]:
        return self.pages()


class Skipping(Book):
    """As it should be: what others unpack is only counted."""

    def __iter__(self) -> Iterator[torch.Tensor]:
        worker, workers = own()
        for at in range(CHAPTERS * PAGES):
            spent[0] += SKIPPING
            if at % workers == worker:
                yield page(*divmod(at, PAGES))


class InBlocks(ByChapter):
    """As it should be: pages are unpacked many at a time, and given one by one."""

    def pages(self) -> Iterator[torch.Tensor]:
        for chapter in self.chapters():
            yield from [page(chapter, number) for number in range(PAGES)]


class OneForAll(Book):
    """No worker knows of the others, which give the same."""

    def __iter__(self) -> Iterator[torch.Tensor]:
        return self.pages()


@pytest.fixture(autouse=True)
def own_clock(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(clock, "thread_time", lambda: spent[0])
    monkeypatch.setattr(splitting, "ROUNDS", 1)


def found_in(stream: Any, workers: int = 2, cost: float = UNPACKING) -> dict[str, Any]:
    subject = subject_of("x", DataLoader(stream, batch_size=4, num_workers=workers))
    subject.cost = cost
    return {"repeated": repeated(subject, 60.0), "look": {"turn": 1e-8}}


@pytest.mark.slow
@pytest.mark.parametrize(("kind", "workers"), [(Book, 3), (Counted, 2), (Dealt, 2)])
def test_workers_that_unpack_what_others_give_are_told_with_the_line(
    kind: Callable[[], Any], workers: int
) -> None:
    seen = found_in(kind(), workers)
    split = seen["repeated"]["split"]
    assert split["shared"] == pytest.approx(workers * split["alone"])
    (first,) = findings(seen)
    assert first.name == "split-late" and "# split" in split["lines"][0][2]
    assert first.places[0].startswith("test_doctor_streams.py:")
    assert f"as one of {workers}" in first.evidence and first.lines == SPLIT


@pytest.mark.slow
@pytest.mark.parametrize("kind", [ByChapter, Skipping, InBlocks])
def test_nothing_is_said_of_streams_that_are_split_before_work_is_done(
    kind: Callable[[], Any],
) -> None:
    seen = found_in(kind())
    assert seen["repeated"]["split"]["shared"] < 1.2 * seen["repeated"]["split"]["alone"]
    assert not findings(seen)


class Shuffled(OneForAll):
    """Each worker mixes all pages in an order of its own."""

    def __iter__(self) -> Iterator[torch.Tensor]:
        pages = list(self.pages())
        random.shuffle(pages)
        return iter(pages)


class ShuffledParts(ByChapter, Shuffled):
    """As it should be: each worker mixes its own."""

    __iter__ = Shuffled.__iter__


class Tokens(OneForAll):
    """Each worker draws from few values."""

    def __iter__(self) -> Iterator[torch.Tensor]:
        yield from (torch.tensor(number % 4) for number in random.sample(range(200), 200))


class Endless(Shuffled):
    """Each worker draws from all, for ever: a training by steps."""

    def __iter__(self) -> Iterator[torch.Tensor]:
        while True:
            yield from super().__iter__()


@pytest.mark.slow
@pytest.mark.parametrize(
    ("kind", "order"), [(OneForAll, "the same order"), (Shuffled, "another order")]
)
def test_workers_that_give_the_same_are_told_first(kind: Callable[[], Any], order: str) -> None:
    (found,) = findings(found_in(kind()))
    assert found.name == "all-from-each" and f"in {order}:" in found.evidence


@pytest.mark.slow
@pytest.mark.parametrize("kind", [ShuffledParts, Tokens, Endless])
def test_streams_that_are_mixed_are_left_in_peace(kind: Callable[[], Any]) -> None:
    assert "all_from_each" not in found_in(kind())["repeated"]


@pytest.mark.parametrize(
    ("alone", "shared", "workers", "told"),
    [
        (0.010, 0.020, 2, True),
        (0.010, 0.0155, 2, False),  # half of the work is each worker's own
        (0.010, 0.078, 8, True),
        (0.010, 0.020, 8, False),
        (0.000004, 0.000008, 2, False),  # next to nothing is done again
    ],
)
def test_work_is_done_again_where_it_grows_with_the_workers(
    alone: float, shared: float, workers: int, told: bool
) -> None:
    split = {"alone": alone, "shared": shared, "workers": workers, "lines": []}
    seen = {"repeated": {"split": split}, "look": {"turn": 1e-8}}
    assert bool(findings(seen)) is told


def test_of_slow_samples_or_one_worker_nothing_is_asked() -> None:
    slow = subject_of("x", DataLoader(Book(), num_workers=2))
    slow.cost = 5.0
    assert splitting.split_late(slow, 3.0) == {}
    late = subject_of("x", DataLoader(Book(), num_workers=2))
    late.answers["look"] = {"first": 2.0}  # seconds, until a buffer is filled
    assert splitting.split_late(late, 3.0) == {}
    assert found_in(Book(), workers=1)["repeated"] == {}


class Shards:
    """What the lines that are advised stand in."""

    def __init__(self) -> None:
        self.paths = list(range(5))
        body = "".join(f"    {line}\n" for line in SPLIT.splitlines())
        named: dict[str, Any] = {"torch": torch}
        exec(f"def iterate(self):\n{body}", named)
        self.iterate = named["iterate"]

    def read(self, path: int) -> Iterator[int]:
        yield from (10 * path + number for number in range(3))


def test_the_lines_that_are_advised_give_each_worker_its_part(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    shards, given = Shards(), list[int]()
    for worker in range(2):
        info = np.rec.array((worker, 2), dtype=[("id", int), ("num_workers", int)])
        monkeypatch.setattr(torch.utils.data, "get_worker_info", lambda info=info: info)
        given += shards.iterate(shards)
    assert sorted(given) == [10 * path + number for path in range(5) for number in range(3)]
