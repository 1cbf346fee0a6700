"""Samples that are wrong without an error, and time that passes before the first batch."""

from __future__ import annotations

import math
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
    Dataset,
    IterableDataset,
    Sampler,
    Subset,
    WeightedRandomSampler,
)

from datasets_impl.doctor.findings.finding import Finding
from datasets_impl.doctor.findings.findings import findings
from datasets_impl.doctor.findings.user_lines import short, shown
from datasets_impl.doctor.probes import target
from datasets_impl.doctor.probes.inside import look_inside
from datasets_impl.doctor.probes.integrity import integrity
from datasets_impl.doctor.probes.looking import look
from datasets_impl.doctor.probes.pickling import pickled
from datasets_impl.doctor.probes.starting import starting
from datasets_impl.doctor.probes.target import Subject, subject_of
from datasets_impl.doctor.probes.tracing import lines_apart

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
            row = self.rows[index, first : first + 16].copy()
            self.store[index] = torch.from_numpy(row)  # kept
        return self.store[index]


class KeptRaw(Kept):
    """As it should be: what is random is drawn from what was kept."""

    def __getitem__(self, index: int) -> Any:
        self.store.setdefault(index, self.rows[index].copy())
        return torch.from_numpy(self.store[index]) + random.random()


class Labelled(Rows):
    """As it should be, with labels in a list; sometimes turned."""

    def __init__(self, share: float) -> None:
        super().__init__()
        self.labels, self.share = list(range(COUNT)), share

    def __getitem__(self, index: int) -> Any:
        row = torch.from_numpy(self.rows[index].copy())
        return row.flip(0) if random.random() < self.share else row, self.labels[index]


@pytest.mark.parametrize("share", [0.5, 0.2, 0.02])
@pytest.mark.parametrize("seed", range(6))
def test_what_came_out_the_same_by_chance_is_not_frozen(share: float, seed: int) -> None:
    random.seed(seed)
    assert not integrity(Subject("", Labelled(share)), LONG)["frozen"]


class InPlace(Rows):
    def __getitem__(self, index: int) -> Any:
        self._prepare(self.rows[index])
        return torch.from_numpy(self.rows[index])

    def _prepare(self, row: Any) -> None:
        mean = row.mean() + 1
        row -= mean  # rewritten
        row *= 2.0  # rewritten


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
            self.epoch = torch.tensor(epoch)  # stale

    def __getitem__(self, index: int) -> Any:
        return torch.from_numpy(self.rows[index] + int(self.epoch))


class Within(Subset[Any]):
    """A part of another dataset, which the trainer tells the epoch."""

    def __init__(self, dataset: Any) -> None:
        super().__init__(dataset, range(COUNT))


class Replaced(Rows):
    def __init__(self, black: bool = False) -> None:
        super().__init__()
        self.black = black

    def __getitem__(self, index: int) -> Any:
        if index % 4 == 1:
            return torch.zeros(32) if self.black else self.first()  # replaced
        return super().__getitem__(index)

    def first(self) -> Any:
        return super().__getitem__(0)  # replaced


class Caught(Rows):
    """A sample that cannot be read is answered with the first."""

    def __getitem__(self, index: int) -> Any:
        try:
            return super().__getitem__(index if index % 4 else COUNT + 1)
        except IndexError:  # caught
            return super().__getitem__(0)  # caught


class Twice(Rows):
    """Goes over its samples twice in an epoch, on purpose."""

    def __len__(self) -> int:
        return 2 * COUNT

    def __getitem__(self, index: int) -> Any:
        return super().__getitem__(index % COUNT)


class Often(Rows):
    """Has its rows many times."""

    def __len__(self) -> int:
        return 3_000_000

    def __getitem__(self, index: int) -> Any:
        return super().__getitem__(index % COUNT)


class Pairs(Rows):
    def __init__(self, pictures: list[Any], masks: list[Any]) -> None:
        super().__init__()
        self.pictures = pictures  # paired
        self.masks = masks  # paired


def named(pattern: str, order: Any = range(COUNT)) -> list[str]:
    return [pattern.format(number) for number in order]


SHUFFLED = random.Random(0).sample(range(COUNT), COUNT)
PICTURES, MASKS = named("a/{:03}.png"), named("b/mask_of_{}.png")


def found_in(made: Any, **more: Any) -> list[Finding]:
    subject = made if isinstance(made, Subject) else subject_of("x", made)
    seen = {"look": look(subject, LONG), "integrity": integrity(subject, LONG)}
    seen["settings"] = subject.settings
    return findings(seen | more)


def names(made: Any, **more: Any) -> list[str]:
    return [one.name for one in found_in(made, **more)]


def marked_in(file: str, mark: str) -> list[str]:
    """The lines of a file that end with a mark, as a finding shows them."""
    lines = enumerate(Path(file).read_text().splitlines(), 1)
    found = [(number, line.strip()) for number, line in lines if line.endswith(f"  # {mark}")]
    return [f"{Path(file).name}:{number}  {short(line)}" for number, line in found]


def marked(mark: str) -> list[str]:
    return marked_in(__file__, mark)


def loader(dataset: Any, **options: Any) -> DataLoader[Any]:
    return DataLoader(dataset, batch_size=4, **options)


@pytest.mark.parametrize(
    ("made", "name", "mark"),
    [
        (lambda: Kept({}), "kept-random", "kept"),
        (lambda: Kept([None] * COUNT), "kept-random", "kept"),
        (InPlace, "rewritten", "rewritten"),
        (
            lambda: loader(Epochs(False), num_workers=1, persistent_workers=True),
            "stale-epoch",
            "stale",
        ),
        (
            lambda: loader(Within(Epochs(False)), num_workers=1, persistent_workers=True),
            "stale-epoch",
            "stale",
        ),
        (Replaced, "replaced", "replaced"),
        (Caught, "swallowed", "caught"),
        (lambda: Pairs(PICTURES, named("b/mask_of_{}.png", SHUFFLED)), "paired", "paired"),
        (lambda: Pairs([Path(one) for one in PICTURES], MASKS[::-1]), "paired", "paired"),
        (lambda: loader(Kept({}, draws=False), num_workers=1), "lost-cache", "kept"),
    ],
)
def test_what_is_wrong_is_named_first_with_its_lines(made: Any, name: str, mark: str) -> None:
    first = found_in(made())[0]
    assert first.name == name
    assert first.places == marked(mark)


@pytest.mark.parametrize(
    "made",
    [
        Rows,
        lambda: Kept({}, draws=False),
        lambda: KeptRaw({}),
        FilledInPlace,
        lambda: loader(Epochs(True), num_workers=1, persistent_workers=True),
        lambda: loader(Epochs(False), num_workers=1),
        lambda: loader(Within(Epochs(True)), num_workers=1, persistent_workers=True),
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


def test_without_time_to_read_them_all_no_line_is_named() -> None:
    some, others = [lambda: Replaced()[1]], [lambda: Replaced()[2]]
    assert shown(lines_apart(some, others, math.inf)) == marked("replaced")
    assert lines_apart(some, others, 0.0) == []


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
        order = list(range(COUNT))
        time.sleep(0.35)  # thinks
        return iter(order)


class ReadsAll(Sampler[int]):
    def __init__(self, dataset: Any) -> None:
        self.lengths = [len(dataset[index]) for index in range(len(dataset))]  # asks

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


def starts(subject: Subject) -> list[Finding]:
    subject.answers["look"] = look(subject, LONG)
    return findings({"look": subject.answers["look"], "starting": starting(subject, 2.0)})


def weighted() -> DataLoader[Any]:
    sampler = WeightedRandomSampler(torch.ones(len(Often())), 8, replacement=False)  # drawn
    return loader(Often(), sampler=sampler)


def test_a_sampler_that_takes_the_time_is_named() -> None:
    for made, mark in (loader(Rows(), sampler=Slow()), "thinks"), (weighted(), "drawn"):
        first = starts(subject_of("x", made))[0]
        assert (first.name, first.places) == ("sampler", marked(mark))
    batches = BatchSampler(Slow(), 4, False)
    assert starts(subject_of("x", DataLoader(Rows(), batch_sampler=batches)))[0].name == "sampler"
    assert starts(subject_of("x", loader(Rows(), shuffle=True))) == []


def test_reading_all_samples_first_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(target, "imported", lambda _: None)
    monkeypatch.setattr(target, "attribute_of", lambda *_: reads_all)
    subject = target.load("any:reads_all", {})
    assert subject.made_seconds >= COUNT * 0.01
    first = starts(subject)[0]
    assert (first.name, first.places) == ("reads-all-first", marked("asks"))


class Buffered(IterableDataset[Any]):
    def __iter__(self) -> Iterator[Any]:
        buffer: list[Any] = []
        for number in self.read():
            if len(buffer) < 100:
                buffer.append(number)  # fills
                continue
            yield buffer[number % 100]

    def read(self) -> Iterator[Any]:
        for number in range(300):
            time.sleep(0.01 if number < 100 else 0.0)
            yield number


class Late(Buffered):
    def __iter__(self) -> Iterator[Any]:
        time.sleep(0.5)  # late
        yield from range(200)


@pytest.mark.parametrize(("made", "mark"), [(Buffered, "fills"), (Late, "late")])
def test_a_stream_that_fills_a_buffer_first_is_named(made: Any, mark: str) -> None:
    first = starts(subject_of("x", made()))[0]
    assert (first.name, first.places) == ("stream-start", marked(mark))


class Opens(Rows):
    """Opened in the constructor, by itself, into a list, or by a reader of its own."""

    def __init__(self, path: Path, way: str) -> None:
        super().__init__()
        self.file, self.files, self.change = None, list[Any](), None
        if way == "file":
            self.file = path.open("rb")  # file
        if way == "files":
            self.files.append(path.open("rb"))  # files
        if way == "reader":
            self.reader = Reader(path)
        if way == "lambda":
            self.change = lambda row: row  # lambda


class Reader:
    def __init__(self, path: Path) -> None:
        self.path = path
        self.inner = path.open("rb")  # reader


@pytest.mark.parametrize("way", ["file", "files", "reader", "lambda"])
def test_what_is_open_or_cannot_be_sent_is_shown_where_it_is_made(tmp_path: Path, way: str) -> None:
    (tmp_path / "data").touch()
    for method in ("fork", "spawn")[way == "lambda" :]:
        options = {"num_workers": 2, "multiprocessing_context": method}
        subject = subject_of("x", loader(Opens(tmp_path / "data", way), **options))
        seen = {"inside": look_inside(subject, LONG), "pickled": pickled(subject, LONG)}
        first = findings(seen | {"settings": subject.settings})[0]
        assert first.name == ("handles" if method == "fork" else "cannot-start")
        assert first.places == marked(way)


def test_a_collate_function_that_cannot_be_sent_is_shown() -> None:
    made = loader(Rows(), collate_fn=lambda samples: samples)  # collates
    seen = pickled(subject_of("x", made), LONG)
    assert shown(seen["lines"]) == marked("collates")
