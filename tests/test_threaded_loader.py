"""The loader beside `DataLoader`: the same batches, order and errors, wherever they are made."""

from __future__ import annotations

import contextlib
import gc
import pickle
import threading
import weakref
from collections import namedtuple
from collections.abc import Iterator
from typing import Any

import numpy as np
import psutil
import pytest
import torch
from PIL import Image
from tblib import pickling_support
from torch.utils.data import (
    BatchSampler,
    ConcatDataset,
    DataLoader,
    Dataset,
    DistributedSampler,
    IterableDataset,
    RandomSampler,
    SequentialSampler,
    StackDataset,
    Subset,
    WeightedRandomSampler,
    random_split,
)

from datasets_impl.errors import BadArgument, LoaderFailed
from datasets_impl.loaders.loader import ThreadedLoader
from tests.leftovers import until

COUNT = 11
Pair = namedtuple("Pair", ["image", "label"])


class Marked(torch.Tensor):
    """A subclass of tensor, which collating keeps or not as PyTorch does."""


def padded(samples: list[torch.Tensor]) -> torch.Tensor:
    return torch.nn.utils.rnn.pad_sequence(samples, batch_first=True)


def listed(samples: list[Any]) -> list[Any]:
    return samples


def numbers(index: int, *shape: int) -> torch.Tensor:
    return torch.arange(int(np.prod(shape)), dtype=torch.float32).view(shape) + index


SAMPLES: dict[str, Any] = {
    "tensor": lambda i: numbers(i, 3, 4),
    "large tensor": lambda i: numbers(i, 3, 96, 96),
    "bytes": lambda i: torch.full((5,), i, dtype=torch.uint8),
    "transposed": lambda i: numbers(i, 3, 4).t(),
    "scalar tensor": lambda i: torch.tensor(i),
    "tuple": lambda i: (numbers(i, 96, 96), i),
    "list": lambda i: [numbers(i, 2), float(i)],
    "named tuple": lambda i: Pair(numbers(i, 96, 96), i),
    "dictionary": lambda i: {"image": numbers(i, 96, 96), "label": i},
    "nested": lambda i: {"a": (numbers(i, 2), [i, {"b": numbers(i, 1)}]), "c": str(i)},
    "strings": lambda i: f"picture {i}",
    "byte strings": lambda i: b"%d" % i,
    "whole numbers": lambda i: i,
    "floats": lambda i: i / 7,
    "truths": lambda i: i % 2 == 0,
    "array": lambda i: np.full((2, 3), i, np.float64),
    "NumPy scalars": lambda i: (np.float32(i), np.int16(i), np.bool_(i % 2)),
    "empty tensors": lambda i: torch.empty(0, 3),
    "subclass": lambda i: numbers(i, 2).as_subclass(Marked),
    "complex": lambda i: torch.complex(numbers(i, 2), numbers(i, 2)),
    "bfloat16": lambda i: numbers(i, 96, 96).bfloat16(),
    "needs a gradient": lambda i: numbers(i, 2).requires_grad_(),
}
REFUSED: dict[str, Any] = {
    "None": lambda i: None,
    "nothing in a tuple": lambda i: (i, None),
    "picture": lambda i: Image.new("RGB", (2, 2)),
    "ragged": lambda i: torch.zeros(i + 1),
    "missing key": lambda i: {"a": 1} if i else {"b": 1},
}


class Made(Dataset[Any]):
    def __init__(self, kind: str, count: int = COUNT) -> None:
        self.kind, self.count = kind, count

    def __len__(self) -> int:
        return self.count

    def __getitem__(self, index: int) -> Any:
        return {**SAMPLES, **REFUSED}[self.kind](index)


class ManyAtOnce(Made):
    def __getitems__(self, indices: list[int]) -> list[Any]:
        return [self[index] for index in reversed(indices)]


class Stream(IterableDataset[Any]):
    def __init__(self, kind: str = "tuple", count: int = COUNT) -> None:
        self.kind, self.count = kind, count

    def __iter__(self) -> Iterator[Any]:
        return (SAMPLES[self.kind](index) for index in range(self.count))


def same(found: Any, expected: Any) -> None:
    """Equal in structure, types and values."""
    assert type(found) is type(expected)
    if isinstance(expected, torch.Tensor):
        assert (found.dtype, found.shape) == (expected.dtype, expected.shape)
        assert found.requires_grad == expected.requires_grad
        assert torch.equal(found, expected)
    elif isinstance(expected, np.ndarray):
        assert found.dtype == expected.dtype
        np.testing.assert_array_equal(found, expected)
    elif isinstance(expected, dict):
        assert list(found) == list(expected)
        same(list(found.values()), list(expected.values()))
    elif isinstance(expected, list | tuple):
        assert len(found) == len(expected)
        for each, other in zip(found, expected, strict=True):
            same(each, other)
    else:
        assert found == expected


ARGUMENTS: dict[str, dict[str, Any]] = {
    "nothing": {},
    "batches": {"batch_size": 4},
    "dropped": {"batch_size": 4, "drop_last": True},
    "shuffled": {"batch_size": 4, "shuffle": True},
    "unbatched": {"batch_size": None},
    "as they are": {"batch_size": 4, "collate_fn": listed},
}
PLACES = ["trainer", "process"]
METHODS = ["fork", "forkserver", "spawn"]
everywhere = pytest.mark.parametrize("where", PLACES)


def expect(loader: Any, plain: Any, epochs: int = 2, seed: int = 5) -> None:
    """`loader` gives what `plain` gives, epoch after epoch, from the same seed."""
    torch.manual_seed(seed)
    expected = [list(plain) for _ in range(epochs)]
    torch.manual_seed(seed)
    same([list(loader) for _ in range(epochs)], expected)
    if not isinstance(plain.dataset, IterableDataset):
        assert len(loader) == len(plain)


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


ways = pytest.mark.parametrize(
    "method", ["fork", *(pytest.param(each, marks=pytest.mark.slow) for each in METHODS[1:])]
)


@ways
@pytest.mark.parametrize("collate", [None, listed])
def test_the_same_batches_in_a_separate_process(method: str, collate: Any) -> None:
    """And the same refusals, after which the next batch comes."""
    order: dict[str, Any] = {"batch_sampler": every_kind(SAMPLES), "collate_fn": collate}
    made = ThreadedLoader(Everything(), **order, threads=3, start_method=method)
    expect(made, DataLoader(Everything(), **order))
    if collate is None:
        order["batch_sampler"] = every_kind(REFUSED)
        refused(ThreadedLoader(Everything(), **order, start_method=method), Everything(), order)


@ways
def test_ragged_empty_single_and_unbatched_in_a_separate_process(method: str) -> None:
    kinds = [*SAMPLES]
    cases: list[tuple[Dataset[Any], dict[str, Any]]] = [
        (Made("ragged"), {"batch_size": 4, "collate_fn": padded}),
        (Made("tuple", 0), {"batch_size": 4}),
        (Made("tuple", 1), {"batch_size": 4}),
        (
            Everything(),
            {"batch_size": None, "sampler": [(at, index) for at in range(len(kinds))
                                             for index in (0, 3)]},
        ),
    ]  # fmt: skip
    for data, given in cases:
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


def generator() -> torch.Generator:
    return torch.Generator().manual_seed(9)


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
def test_few_samples(count: int, where: str) -> None:
    given: dict[str, Any] = {"batch_size": 4}
    made = ThreadedLoader(Made("tuple", count), **given, where=where)
    expect(made, DataLoader(Made("tuple", count), **given))
    ragged = {"batch_size": 4, "collate_fn": padded}
    expect(ThreadedLoader(Made("ragged"), **ragged), DataLoader(Made("ragged"), **ragged))


WRONG: list[tuple[Any, dict[str, Any]]] = [
    (Made("tuple"), {"batch_size": 0}),
    (Made("tuple"), {"batch_size": 2.5}),
    (Made("tuple"), {"timeout": -1}),
    (Made("tuple"), {"sampler": [0], "shuffle": True}),
    (Made("tuple"), {"batch_sampler": [[0]], "batch_size": 2}),
    (Made("tuple"), {"batch_sampler": [[0]], "shuffle": True}),
    (Made("tuple"), {"batch_size": None, "drop_last": True}),
    (Stream(), {"shuffle": True}),
    (Stream(), {"sampler": [0]}),
    (Stream(), {"batch_sampler": [[0]]}),
]


@pytest.mark.parametrize(("data", "given"), WRONG)
def test_what_does_not_fit_together_is_refused_as_there(data: Any, given: dict[str, Any]) -> None:
    with pytest.raises(ValueError):
        DataLoader(data, **given)
    with pytest.raises(BadArgument, match=r"\w.*\.$"):
        ThreadedLoader(data, **given)


@pytest.mark.parametrize(
    "given",
    [
        {"threads": 0},
        {"threads": 2.5},
        {"where": "elsewhere"},
        {"prefetch_factor": -1},
        {"in_order": 1},
        {"pin_memory": None},
        {"overwrite": True},
        {"overwrite": "yes"},
        {"collate_fn": 5},
        {"drop_last": "False"},
        {"seed": 1, "sampler": [0]},
        {"seed": "one"},
        {"shuffle": "no"},
        {"timeout": "5"},
        {"timeout": None},
        {"timeout": float("nan")},
        {"timeout": float("inf")},
        {"timeout": 10**400},
        {"generator": np.random.default_rng()},
        {"generator": 5},
        {"sampler": 5},
        {"sampler": "012"},
        {"sampler": {}},
        {"batch_sampler": 5},
        {"num_replicas": 2},
        {"rank": 0},
        {"num_replicas": 2, "rank": 2},
        {"num_replicas": 2, "rank": 0, "batch_sampler": [[0]]},
    ],
)
def test_what_cannot_be_meant_is_refused(given: dict[str, Any]) -> None:
    with pytest.raises(BadArgument):
        ThreadedLoader(Made("tuple"), **given)


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


class Slow(Made):
    """The first sample takes long."""

    def __getitem__(self, index: int) -> Any:
        import time

        if index == 0:
            time.sleep(0.5)
        return index


@everywhere
def test_a_slow_sample_need_not_hold_up_the_others(where: str) -> None:
    made = ThreadedLoader(Slow("tuple"), None, in_order=False, threads=2, where=where)
    found = [int(each) for each in made]
    assert sorted(found) == list(range(COUNT)) and found[0] != 0
    assert [int(each) for each in ThreadedLoader(Slow("tuple"), None, threads=2)] == sorted(found)


@everywhere
def test_a_batch_that_takes_too_long_is_an_error(where: str) -> None:
    made = ThreadedLoader(Slow("tuple"), 2, timeout=0.01, where=where)
    with pytest.raises(LoaderFailed, match=r"^No batch came within 0.01 seconds; .*\.$"):
        next(iter(made))


class Failing(Made):
    def __getitem__(self, index: int) -> Any:
        if index in (3, 5):
            raise FileNotFoundError(2, "no such file", f"{index}.jpg")
        return index

    def name(self, index: int) -> str:
        return f"{index}.jpg"


@everywhere
def test_an_error_arrives_as_it_was_and_names_the_sample(where: str) -> None:
    batches = iter(ThreadedLoader(Failing("tuple"), 2, threads=3, where=where))
    assert next(batches).tolist() == [0, 1]
    for index in (3, 5):
        with pytest.raises(FileNotFoundError) as found:
            next(batches)
        assert found.value.filename == f"{index}.jpg" and found.value.errno == 2
        assert f"sample {index} of the dataset, {index}.jpg" in "".join(found.value.__notes__)
    assert next(batches).tolist() == [6, 7], "the next batch comes nevertheless"


class Written(Dataset[Any]):
    """Samples that are written into the batch: a picture, channels-last, and a number."""

    def __init__(self, side: int = 160, many: bool = False) -> None:
        self.side, self.epoch = side, 0
        if many:
            self.read_many_into = self._read_many_into

    def __len__(self) -> int:
        return COUNT

    def set_epoch(self, epoch: int) -> None:
        self.epoch = epoch

    def sample_layout(self, index: int) -> Any:
        shape, strides = (3, self.side, self.side), (1, 3 * self.side, 3)
        image = torch.empty_strided(shape, strides, dtype=torch.uint8, device="meta")
        return {"image": image, "label": (torch.empty((), dtype=torch.int64, device="meta"),)}

    def read_into(self, index: int, into: Any) -> None:
        if index == -1:
            raise ValueError("no such sample")
        into["image"][:] = index + 16 * self.epoch
        into["image"][:, 0] = index
        into["label"][0][...] = index

    def _read_many_into(self, indices: list[int], into: Any) -> None:
        for row, index in enumerate(indices):
            self.read_into(
                index, {"image": into["image"][row], "label": (into["label"][0][row, ...],)}
            )

    def __getitem__(self, index: int) -> Any:
        layout = self.sample_layout(index)
        image = torch.empty_strided(
            layout["image"].shape, layout["image"].stride(), dtype=torch.uint8
        )
        label = torch.empty((), dtype=torch.int64)
        self.read_into(index, {"image": image.numpy(), "label": (label.numpy(),)})
        return {"image": image, "label": (label,)}


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


def stopped(made: Any, after: int) -> tuple[list[Any], Any]:
    batches = [batch for _, batch in zip(range(after), made, strict=False)]
    return batches, pickle.loads(pickle.dumps(made.state_dict()))


class Steps(IterableDataset[int]):
    """A stream that can go on from where it stood."""

    def __init__(self) -> None:
        self.at = 0

    def __iter__(self) -> Iterator[int]:
        while self.at < COUNT:
            self.at += 1
            yield self.at - 1
        self.at = 0

    def state_dict(self) -> dict[str, int]:
        return {"at": self.at}

    def load_state_dict(self, state: dict[str, int]) -> None:
        self.at = state["at"]


class Backwards(SequentialSampler):
    """A sampler that can go on from where it stood, and cannot be counted forward."""

    def __init__(self, data: Any) -> None:
        super().__init__(data)
        self.left = len(data)

    def __iter__(self) -> Iterator[int]:
        while self.left:
            self.left -= 1
            yield self.left
        self.left = len(self.data_source)

    def state_dict(self) -> dict[str, int]:
        return {"left": self.left}

    def load_state_dict(self, state: dict[str, int]) -> None:
        self.left = state["left"]


RESUMED: dict[str, Any] = {
    "in turn": lambda: ThreadedLoader(Made("tuple"), 2),
    "shuffled": lambda: ThreadedLoader(Made("tuple"), 2, True),
    "generator": lambda: ThreadedLoader(Made("tuple"), 2, True, generator=generator()),
    "seed": lambda: ThreadedLoader(Written(), 2, True, seed=3),
    "in parts": lambda: ThreadedLoader(Written(), 2, True, num_replicas=2, rank=1),
    "random": lambda: ThreadedLoader(Written(), 2, True, seed=3, prefetch_factor=0),
    "distributed": lambda: ThreadedLoader(
        Made("tuple"), 2, False, DistributedSampler(range(COUNT), 1, 0)
    ),
    "sampler": lambda: ThreadedLoader(Made("tuple"), 2, False, Backwards(Made("tuple"))),
    "stream": lambda: ThreadedLoader(Steps(), 2),
    "stream without state": lambda: ThreadedLoader(Stream(), 2),
    "unbatched": lambda: ThreadedLoader(Made("tuple"), None, True),
}


@pytest.mark.filterwarnings("ignore:Stream has no state_dict")
@pytest.mark.parametrize("after", [0, 1, 3])
@pytest.mark.parametrize("name", RESUMED)
def test_what_remains_comes_after_a_stop(name: str, after: int) -> None:
    build = RESUMED[name]
    torch.manual_seed(4)
    made = build()
    made.set_epoch(1)
    batches, state = stopped(made, after)
    torch.manual_seed(4)
    again = build()
    again.set_epoch(1)
    expected = list(again), list(again)
    resumed = build()
    torch.manual_seed(4)
    resumed.load_state_dict(state)
    assert resumed.epoch == 1
    more, state = stopped(resumed, 1)
    if more:  # else that was the epoch's end
        resumed = build()
        resumed.load_state_dict(state)
        more += list(resumed)
    same(batches + more, expected[0])
    if name in ("generator", "seed", "in parts", "random"):  # else PyTorch's generator decides
        same(list(resumed), expected[1])


@everywhere
@pytest.mark.parametrize("many", [False, True])
def test_a_part_is_written_into_the_batch_and_hears_of_epochs(many: bool, where: str) -> None:
    first, _ = random_split(Written(many=many), [6, COUNT - 6], generator())
    part = Subset(first, [4, 0, 2])
    chosen = [first.indices[index] for index in part.indices]
    made = ThreadedLoader(part, 2, where=where, threads=2)
    for epoch in range(2):
        batches = list(made)
        assert [batch["label"][0].tolist() for batch in batches] == [chosen[:2], chosen[2:]]
        rows = [image[0, 1, 0].item() for batch in batches for image in batch["image"]]
        assert rows == [(index + 16 * epoch) % 256 for index in chosen]
        assert not batches[0]["image"].is_contiguous(), "in memory as its layout says"


@everywhere
def test_a_part_of_any_dataset_gives_what_it_gives_there(where: str) -> None:
    for whole in (Made("tuple"), ManyAtOnce("nested")):
        part = Subset(whole, [5, 3, 3, 9, 0])
        expect(ThreadedLoader(part, 2, where=where), DataLoader(part, 2))


def test_samples_of_a_part_are_read_by_all_threads() -> None:
    seen: set[int] = set()
    both = threading.Barrier(2)

    class Meeting(Made):
        def __getitem__(self, index: int) -> Any:
            both.wait(60)
            seen.add(threading.get_ident())
            return index

    part = Subset(Meeting("tuple"), [3, 4])
    assert next(iter(ThreadedLoader(part, 2, where="trainer", threads=2))).tolist() == [3, 4]
    assert len(seen) == 2


@everywhere
def test_closing_ends_what_makes_batches(where: str) -> None:
    made: Any = ThreadedLoader(Made("large tensor"), 2, where=where, threads=2)
    made.close()
    with made as loader:
        batches = iter(loader)
        kept = next(batches)
        before = kept.clone()
        child = psutil.Process(made._place.process.pid) if where == "process" else None
    with pytest.raises(LoaderFailed, match="closed in mid-epoch"):
        list(batches)
    assert torch.equal(kept, before)
    assert not (child and child.is_running())
    assert "make-batch_0" not in {one.name for one in threading.enumerate()} or where == "process"
    expect(made, DataLoader(Made("large tensor"), 2))
    made.close()


@everywhere
def test_closing_ends_waiting_in_another_thread(where: str) -> None:
    release.clear()  # before a process is forked, which has a copy of it
    made: Any = ThreadedLoader(Stuck("tuple"), 1, where=where, threads=1)
    begun, errors = threading.Event(), []

    def iterate() -> None:
        try:
            batches = iter(made)
            next(batches)
            begun.set()
            next(batches)
        except LoaderFailed as error:
            errors.append(str(error))

    thread = threading.Thread(target=iterate)
    thread.start()
    assert begun.wait(60)
    closing = threading.Thread(target=made.close)
    closing.start()
    thread.join(60)
    release.set()
    closing.join(60)
    assert not thread.is_alive() and not closing.is_alive() and "closed" in errors[0]


release = threading.Event()


class Stuck(Made):
    def __getitem__(self, index: int) -> Any:
        if index:
            release.wait(600)
        return index


class Looked(Dataset[Any]):
    """A wrapper of the user's own."""

    def __init__(self, dataset: Any) -> None:
        self.dataset = dataset

    def __len__(self) -> int:
        return len(self.dataset)

    def __getitem__(self, index: int) -> Any:
        return self.dataset[index]


@everywhere
@pytest.mark.parametrize(
    "held",
    [
        lambda data: Subset(Subset(data, range(8)), range(4)),
        lambda data: random_split(data, [4, COUNT - 4])[0],
        lambda data: ConcatDataset([data, data]),
        lambda data: Looked(StackDataset(data)),
        lambda data: Looked(StackDataset(one=data)),
    ],
)
def test_what_is_wrapped_hears_of_epochs_too(held: Any, where: str) -> None:
    """Else its crops would be the same in every epoch."""
    made = ThreadedLoader(held(Written(8)), 2, where=where)
    first, second = iter(made), iter(made)

    def epoch_of(batch: Any) -> int:
        sample = batch.get("one", batch) if isinstance(batch, dict) else batch[0]
        return int(sample["image"][0, 0, 1, 0] - sample["label"][0][0]) // 16

    assert [epoch_of(next(batches)) for batches in (first, second, iter(made))] == [0, 1, 2]
    assert {epoch_of(batch) for batch in first} == {0}, "the next ones have not changed it"


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


ORDERS: dict[str, dict[str, Any]] = {
    "seed": {"shuffle": True, "seed": 3},
    "other seed": {"shuffle": True, "seed": 4},
    "in turn": {},
    "in turn by seed": {"seed": 3},
    "shuffled": {"shuffle": True},
    "other replicas": {"shuffle": True, "seed": 3, "num_replicas": 2, "rank": 0},
    "replacement": {"sampler": RandomSampler(range(COUNT), True, COUNT)},
    "distributed": {"sampler": DistributedSampler(range(COUNT), 2, 0)},
    "distributed, other seed": {"sampler": DistributedSampler(range(COUNT), 2, 0, seed=1)},
}


@pytest.mark.parametrize("other", ORDERS)
def test_a_state_of_another_order_is_refused(other: str) -> None:
    """Else samples would be left out and others repeated without a word."""
    for name, given in ORDERS.items():
        _, state = stopped(ThreadedLoader(Made("tensor"), 2, where="trainer", **given), 2)
        made = ThreadedLoader(Made("tensor"), 2, where="trainer", **ORDERS[other])
        if name == other:
            made.load_state_dict(state)
            continue
        with pytest.raises(BadArgument, match="same arguments"):
            made.load_state_dict(state)


def test_all_processes_may_load_the_state_of_one() -> None:
    def build(rank: int) -> Any:
        return ThreadedLoader(Made("tensor"), 2, seed=3, num_replicas=2, rank=rank, where="trainer")

    _, state = stopped(build(0), 1)
    resumed = build(1)
    resumed.load_state_dict(state)
    same(list(resumed), list(build(1))[1:])


def test_a_state_of_before_is_taken() -> None:
    """It does not say of which order it is."""
    made = ThreadedLoader(Made("tensor"), 2, where="trainer")
    _, state = stopped(made, 2)
    del state["describes"]["order"]
    made.load_state_dict(state)
    assert len(list(made)) == 4


@pytest.mark.parametrize(
    "changed",
    [
        {"given": -1},
        {"given": "2"},
        {"given": 99},
        {"epoch": -1},
        {"begun": "no"},
        {"generators": None},
        {"generators": []},
        {"generators": [[0, 1]]},
        {"generators": [torch.zeros(3, dtype=torch.uint8)]},
        {"beyond": None},
        {"beyond": {"3": None}},
        {"describes": None},
        {"describes": {}},
        {"order": 5},
        {"more": 1},
    ],
)
def test_a_damaged_state_is_refused(changed: dict[str, Any]) -> None:
    made = ThreadedLoader(Made("tensor"), 2, where="trainer")
    _, state = stopped(made, 2)
    again = ThreadedLoader(Made("tensor"), 2, where="trainer")
    with pytest.raises(BadArgument, match=r"^state .*\.$"):
        again.load_state_dict({**state, **changed})
        list(again)


class Signalled(Exception):
    pass


@everywhere
def test_an_epoch_that_was_cut_short_says_so(where: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """What a signal interrupts would else be lost without a word, or be waited for without end."""
    made: Any = ThreadedLoader(Made("tensor"), 2, where=where)
    batches = iter(made)
    found = [next(batches)]

    def interrupted(number: int, indices: Any) -> None:
        raise Signalled

    monkeypatch.setattr(batches._epoch._run, "submit", interrupted)  # type: ignore[attr-defined]
    with pytest.raises(Signalled):
        next(batches)
    with pytest.raises(LoaderFailed, match=r"cut short.*state_dict"):
        next(batches)
    made.load_state_dict(made.state_dict())
    same([*found, *made], list(DataLoader(Made("tensor"), 2)))


class Refusing(Made):
    def __getitem__(self, index: int) -> Any:
        raise KeyError(index)


@everywhere
def test_an_error_leaves_nothing_that_only_the_garbage_collector_finds(where: str) -> None:
    pickling_support.install()  # as importing Dask does: errors bring their frames with them
    gc.collect()
    gc.disable()
    try:
        made = ThreadedLoader(Refusing("tensor"), 2, where=where)
        with contextlib.suppress(KeyError):
            next(iter(made))
        place: Any = weakref.ref(made._place)  # type: ignore[arg-type]
        del made
        assert until(lambda: place() is None)  # a thread of it may still be ending
    finally:
        gc.enable()


@pytest.mark.parametrize("data", [None, "/photos", Made, iter([1]), 5])
def test_what_is_no_dataset_is_refused(data: Any) -> None:
    with pytest.raises(BadArgument, match=r"dataset is .*; give a dataset"):
        ThreadedLoader(data)


@everywhere
def test_a_batch_sampler_that_gives_no_batches_is_refused(where: str) -> None:
    with pytest.raises(BadArgument, match="a batch is 0; give indices"):
        list(ThreadedLoader(Made("tensor"), batch_sampler=[0, 1], where=where))


def test_whole_numbers_of_other_libraries_are_batch_sizes() -> None:
    for number in (np.int64(4), torch.tensor(4)):
        made: Any = ThreadedLoader(Made("tensor"), number, where="trainer")  # type: ignore[arg-type]
        assert made.batch_size == 4 and len(list(made)) == 3
