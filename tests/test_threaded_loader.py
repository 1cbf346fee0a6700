"""The loader beside `DataLoader`: the same batches and order, wherever they are made."""

from __future__ import annotations

import pickle
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest
import torch
from torch.utils.data import (
    BatchSampler,
    DataLoader,
    Dataset,
    DistributedSampler,
    RandomSampler,
    SequentialSampler,
    WeightedRandomSampler,
)

from datasets_impl.loaders import places
from datasets_impl.loaders.loader import ThreadedLoader
from datasets_impl.loaders.reading import Reading
from tests.samples import (
    COUNT,
    REFUSED,
    SAMPLES,
    Made,
    ManyAtOnce,
    Stream,
    Written,
    every_method,
    everywhere,
    expect,
    generator,
    same,
)


def padded(samples: list[torch.Tensor]) -> torch.Tensor:
    return torch.nn.utils.rnn.pad_sequence(samples, batch_first=True)


def listed(samples: list[Any]) -> list[Any]:
    return samples


ARGUMENTS: dict[str, dict[str, Any]] = {
    "nothing": {},
    "batches": {"batch_size": 4},
    "dropped": {"batch_size": 4, "drop_last": True},
    "shuffled": {"batch_size": 4, "shuffle": True},
    "unbatched": {"batch_size": None},
    "as they are": {"batch_size": 4, "collate_fn": listed},
}


@pytest.mark.parametrize("given", ARGUMENTS.values(), ids=ARGUMENTS)
@pytest.mark.parametrize("kind", SAMPLES)
def test_the_same_batches_in_the_trainers_process(kind: str, given: dict[str, Any]) -> None:
    made = ThreadedLoader(Made(kind), **given, threads=3, where="trainer")
    expect(made, DataLoader(Made(kind), **given))


class Everything(Dataset[Any]):
    """Samples of all kinds, so that one process can make batches of each."""

    def __init__(self) -> None:
        self.kinds = [*SAMPLES, *REFUSED]

    def __getitem__(self, index: tuple[int, int]) -> Any:
        return Made(self.kinds[index[0]])[index[1]]


def every_kind(kinds: dict[str, Any]) -> list[list[tuple[int, int]]]:
    """Batches of one kind each: four samples, one, and six."""
    first = 0 if kinds is SAMPLES else len(SAMPLES)
    batches = [range(4), range(1), range(COUNT - 6, COUNT)]
    return [
        [(first + at, index) for index in batch] for at in range(len(kinds)) for batch in batches
    ]


def padded_or_listed(samples: list[Any]) -> Any:
    ragged = len({getattr(sample, "shape", None) for sample in samples}) > 1
    return padded(samples) if ragged else samples


RAGGED = len(SAMPLES) + list(REFUSED).index("ragged")
ONE_BY_ONE: dict[str, Any] = {"batch_size": None}
COLLATED: dict[str, Any] = {"collate_fn": padded_or_listed}
TURNS: list[tuple[Any, dict[str, Any], Callable[[], Any]]] = [
    (Everything(), {}, lambda: every_kind(SAMPLES)),
    (Everything(), {}, lambda: []),
    (Everything(), {}, lambda: [[(5, 0)]]),
    (Made("tuple"), {}, lambda: BatchSampler(RandomSampler(range(COUNT)), 4, False)),
    (Everything(), COLLATED, lambda: every_kind(SAMPLES)),
    (Everything(), COLLATED, lambda: [[(RAGGED, at) for at in batch] for batch in ([0, 3], [2])]),
    (Everything(), ONE_BY_ONE, lambda: [(at, i) for at in range(len(SAMPLES)) for i in (0, 3)]),
    (Made("tuple"), ONE_BY_ONE, lambda: RandomSampler(range(COUNT))),
    (Made("tuple"), ONE_BY_ONE, lambda: []),
    (Written(), {}, lambda: BatchSampler(RandomSampler(range(COUNT)), 3, True)),
    (Everything(), {}, lambda: every_kind(REFUSED)),
]


def plain(turn: int) -> DataLoader[Any]:
    """The `DataLoader` of epoch `turn`."""
    data, given, order = TURNS[turn]
    return DataLoader(
        data, **given, **{"sampler" if given is ONE_BY_ONE else "batch_sampler": order()}
    )


class InTurn:
    """What each epoch's sampler gives."""

    def __init__(self) -> None:
        self.turn = 0

    def __iter__(self) -> Iterator[Any]:
        self.turn += 1
        return iter(TURNS[self.turn - 1][2]())


class ReadInTurn(Reading):
    """Reads each epoch as another loader would: to start a process for each takes seconds."""

    def at_epoch(self, epoch: int, alone: bool) -> Any:
        like = plain(epoch)
        batched = like.batch_sampler is not None
        super().__init__(like.dataset, like.collate_fn, batched, False, threads=3)
        return super().at_epoch(epoch, alone)


@every_method
def test_the_same_batches_in_a_separate_process(
    method: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In any order and number; and the same refusals, after which the next batch comes."""
    monkeypatch.setattr(places, "Reading", ReadInTurn)
    order: Any = InTurn()
    with ThreadedLoader(Everything(), batch_sampler=order, start_method=method) as made:
        for turn in range(len(TURNS) - 1):
            like = plain(turn)
            if isinstance(like.dataset, Written):
                like.dataset.set_epoch(turn)
            torch.manual_seed(turn)
            expected = list(like)
            torch.manual_seed(turn)
            same(list(made), expected)
        refused(made, Everything(), {"batch_sampler": every_kind(REFUSED)})


@every_method
@pytest.mark.filterwarnings("ignore:An epoch has no batches:RuntimeWarning")
def test_ragged_empty_single_and_unbatched_in_a_separate_process(method: str) -> None:
    """Each by its own constructor, as users have it."""
    kinds = [*SAMPLES]
    cases: list[tuple[Dataset[Any], dict[str, Any]]] = [
        (Made("ragged"), {"batch_size": 4, "collate_fn": padded}),
        (Made("tuple", 0), {"batch_size": 4}),
        (Made("tuple", 1), {"batch_size": 4}),
        (Written(), {"batch_size": 4}),
        (
            Everything(),
            {"batch_size": None, "sampler": [(at, index) for at in range(len(kinds))
                                             for index in (0, 3)]},
        ),
    ]  # fmt: skip
    # A process that is not forked takes seconds: of those the test above has every kind, in one.
    for data, given in cases if method == "fork" else cases[-1:]:
        with ThreadedLoader(data, **given, start_method=method) as made:
            torch.manual_seed(5)
            expected = list(DataLoader(data, **given))
            torch.manual_seed(5)
            same(list(made), expected)


def refused(loader: Any, data: Any, order: dict[str, Any]) -> None:
    batches = iter(loader)
    for indices in order["batch_sampler"]:
        try:
            expected: Any = next(iter(DataLoader(data, batch_sampler=[indices])))
        except Exception as error:
            with pytest.raises(type(error)) as found:
                next(batches)
            assert type(found.value) is type(error) and found.value.args == error.args
        else:
            same(next(batches), expected)


ORDERS: dict[str, Any] = {
    "generator": lambda data: {"shuffle": True, "generator": generator()},
    "list": lambda data: {"sampler": [7, 0, 3, 3]},
    "with replacement": lambda data: {"sampler": RandomSampler(data, True, 20)},
    "own generator": lambda data: {"sampler": RandomSampler(data, generator=generator())},
    "weighted": lambda data: {"sampler": WeightedRandomSampler(range(1, COUNT + 1), 20)},
    "batches": lambda data: {"batch_sampler": BatchSampler(RandomSampler(data), 3, True)},
    "uneven batches": lambda data: {"batch_sampler": [[0], [5, 4, 3], [1, 2], [9] * 20]},
    "batches of tensors": lambda data: {"batch_sampler": torch.arange(10).view(5, 2)},
    "unbatched lists": lambda data: {"batch_size": None, "sampler": SequentialSampler(data)},
    "distributed": lambda data: {"sampler": DistributedSampler(data, 2, 1), "batch_size": 2},
}


@everywhere
@pytest.mark.parametrize("order", ORDERS.values(), ids=ORDERS)
def test_the_same_order(order: Any, where: str) -> None:
    data = Made("tuple")
    expect(ThreadedLoader(data, **order(data), where=where), DataLoader(data, **order(data)))


@everywhere
@pytest.mark.parametrize("given", ARGUMENTS.values(), ids=ARGUMENTS)
def test_datasets_that_are_streams_or_give_many_at_once(given: dict[str, Any], where: str) -> None:
    data = ManyAtOnce("nested")
    expect(ThreadedLoader(data, **given, where=where), DataLoader(data, **given))
    given = {name: value for name, value in given.items() if name != "shuffle"}
    expect(ThreadedLoader(Stream(), **given, where=where), DataLoader(Stream(), **given))


def test_the_same_refusal_in_the_trainers_process() -> None:
    order = {"batch_sampler": every_kind(REFUSED)}
    refused(ThreadedLoader(Everything(), **order, where="trainer"), Everything(), order)


@everywhere
@pytest.mark.parametrize("count", [1, 0])
@pytest.mark.filterwarnings("ignore:An epoch has no batches:RuntimeWarning")
def test_few_samples(count: int, where: str) -> None:
    given: dict[str, Any] = {"batch_size": 4}
    made = ThreadedLoader(Made("tuple", count), **given, where=where)
    expect(made, DataLoader(Made("tuple", count), **given))
    ragged = {"batch_size": 4, "collate_fn": padded}
    made = ThreadedLoader(Made("ragged"), **ragged, where=where)
    expect(made, DataLoader(Made("ragged"), **ragged))


def test_pickles() -> None:
    made = ThreadedLoader(Made("tuple"), 4)
    before = list(made)
    same(list(pickle.loads(pickle.dumps(made))), before)


@everywhere
def test_iterators_at_once_do_not_disturb_each_other(where: str) -> None:
    made = ThreadedLoader(Made("tuple"), 2, where=where)
    expected = list(made)
    first, second = iter(made), iter(made)
    found: tuple[list[Any], list[Any]] = ([], [])
    for one, other in zip(first, second, strict=True):
        found[0].append(one)
        found[1].append(other)
    same(found, (expected, expected))
    next(iter(made))  # and one that is given up
    same(list(made), expected)


@everywhere
@pytest.mark.parametrize("many", [False, True])
@pytest.mark.parametrize("given", ARGUMENTS.values(), ids=ARGUMENTS)
@pytest.mark.parametrize("ahead", [0, 2])
def test_samples_written_into_the_batch(
    ahead: int, given: dict[str, Any], many: bool, where: str
) -> None:
    given = {**given, "prefetch_factor": ahead, "where": where, "threads": 3}
    plain = {key: given[key] for key in given if key not in ("prefetch_factor", "where", "threads")}
    data = Written(many=many)
    made = ThreadedLoader(data, **given)
    for epoch in range(2):
        data.set_epoch(epoch)
        expect(made, DataLoader(data, **plain), 1)
    if "collate_fn" not in given and given.get("batch_size"):
        image = next(iter(made))["image"]
        assert image.is_contiguous(memory_format=torch.channels_last)


@everywhere
def test_two_epochs_at_once_are_two_epochs(where: str) -> None:
    made = ThreadedLoader(Written(), 2, where=where)
    iter(made)  # begins nothing: no batch of it is asked for
    first, second = iter(made), iter(made)
    begun = [(next(batches), batches) for batches in (first, second)]
    for epoch, (one, rest) in reversed(list(enumerate(begun))):
        for batch in (one, *rest):
            assert (batch["image"][:, 0, 1, 0] == batch["label"][0] + 16 * epoch).all()


class Reusing:
    """A batch sampler that gives the same list each time, filled anew."""

    def __iter__(self) -> Iterator[list[int]]:
        batch: list[int] = []
        for first in range(0, COUNT - 1, 2):
            batch[:] = first, first + 1
            yield batch


@everywhere
@pytest.mark.parametrize("kind", [Made, ManyAtOnce])
def test_a_sampler_may_use_its_list_again(kind: Any, where: str) -> None:
    expected = [batch.tolist() for batch in DataLoader(kind("tensor"), batch_sampler=Reusing())]
    made = ThreadedLoader(kind("tensor"), batch_sampler=Reusing(), where=where, prefetch_factor=4)
    assert [batch.tolist() for batch in made] == expected


class Unmeasured(Stream):
    def __init__(self, error: type[Exception]) -> None:
        super().__init__()
        self.error = error

    def __len__(self) -> int:
        raise self.error


@pytest.mark.parametrize("error", [TypeError, NotImplementedError, RuntimeError, OSError])
def test_a_stream_may_say_in_any_way_that_it_has_no_length(error: type[Exception]) -> None:
    made = iter(ThreadedLoader(Unmeasured(error), 4, where="trainer"))
    same(list(made), list(DataLoader(Stream(), 4)))


def test_whole_numbers_of_other_libraries_are_batch_sizes() -> None:
    for number in (np.int64(4), torch.tensor(4)):
        made: Any = ThreadedLoader(Made("tensor"), number, where="trainer")  # type: ignore[arg-type]
        assert made.batch_size == 4 and len(list(made)) == 3
