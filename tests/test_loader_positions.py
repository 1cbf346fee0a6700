"""Where a loader stands in an epoch: what remains after a stop, and states that are refused."""

from __future__ import annotations

import io
import pickle
import random
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
import torch
from torch.utils.data import (
    Dataset,
    DistributedSampler,
    IterableDataset,
    RandomSampler,
    SequentialSampler,
    default_collate,
)

from datasets_impl.errors import BadArgument
from datasets_impl.loaders.loader import ThreadedLoader
from tests.samples import COUNT, Made, Stream, Written, everywhere, generator, same


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
    if after == len(expected[0]):  # as of one of the parts
        assert resumed.epoch == 2
        return same(list(resumed), expected[1])
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
@pytest.mark.parametrize("ahead", [0, 2])
def test_after_the_last_batch_the_next_epoch_comes(ahead: int, where: str) -> None:
    """Also where nobody asks whether there is one more, as Lightning does not; and not before."""

    def build() -> Any:
        return ThreadedLoader(Written(), 4, True, generator=generator(), where=where,
                              prefetch_factor=ahead)  # fmt: skip

    made = build()
    epochs = [list(made), list(made)]
    for after, rest in ((2, epochs[0][2:]), (3, epochs[1])):
        made = build()
        batches, _ = iter(made), made.state_dict()
        for _ in range(after):
            next(batches)
        resumed = build()
        resumed.load_state_dict(made.state_dict())
        assert resumed.epoch == after - 2
        same(list(resumed), rest)
        assert len(list(batches)) == 3 - after


class Drawing(Dataset[Any]):
    """Samples with numbers from each of the generators that all of a process share."""

    def __len__(self) -> int:
        return COUNT

    def __getitem__(self, index: int) -> Any:
        return index, random.random(), np.random.rand(), torch.rand(2)


def and_drawn(samples: list[Any]) -> Any:
    return default_collate(samples), random.random()


def begun(worker: int) -> None:
    random.seed(torch.initial_seed() + worker)


@pytest.mark.parametrize("after", [1, 3, 6])
@pytest.mark.parametrize("ahead", [0, 4])
@pytest.mark.parametrize(
    "given",
    [{}, {"worker_init_fn": begun}, {"collate_fn": and_drawn}, {"shuffle": True}],
    ids=lambda given: "".join(given) or "plain",
)
def test_what_remains_is_drawn_as_it_would_have_been(
    given: dict[str, Any], ahead: int, after: int
) -> None:
    """However many batches were made in advance of the stop."""

    def build() -> Any:
        more: Any = {"threads": 1, "prefetch_factor": ahead, "start_method": "fork"}
        torch.manual_seed(3)
        return ThreadedLoader(Drawing(), 2, **given, **more)

    made = build()
    batches = iter(made)
    for _ in range(after):
        next(batches)
    state = made.state_dict()
    file = io.BytesIO()
    torch.save(state, file)
    remains = list(batches)
    resumed = build()
    torch.manual_seed(8)  # as it may stand where the state is loaded
    resumed.load_state_dict(torch.load(io.BytesIO(file.getvalue()), weights_only=True))
    found, state = stopped(resumed, 1)
    again = build()
    again.load_state_dict(state)
    if remains:  # else that was the epoch's end
        same(found + list(again), remains)


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
        {"epoch": 2**63},
        {"sampler_epoch": "one"},
        {"sampler_epoch": 2.5},
        {"sampler_epoch": 2**70},
        {"sampler_epoch": -(2**70)},
        {"begun": "no"},
        {"generators": None},
        {"generators": []},
        {"generators": [[0, 1]]},
        {"generators": [torch.zeros(3, dtype=torch.uint8)]},
        {"beyond": None},
        {"beyond": {"3": None}},
        {"drawn": 5},
        {"drawn": (1, 2, 3)},
        {"drawn": ((3, b"0", None), ("MT19937", b"0", 1, 0, 0.0), b"0")},
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


def test_a_state_of_another_number_of_replicas_is_refused_whatever_the_order() -> None:
    for shuffle in (False, True):
        options: dict[str, Any] = {"shuffle": shuffle, "seed": 1, "where": "trainer", "rank": 0}
        one = ThreadedLoader(Made("tensor"), 2, num_replicas=2, **options)
        next(iter(one))
        other = ThreadedLoader(Made("tensor"), 2, num_replicas=3, **options)
        with pytest.raises(BadArgument, match="state is of a loader with order"):
            other.load_state_dict(one.state_dict())


@everywhere
def test_an_epoch_beyond_64_bits_is_refused(where: str) -> None:
    made = ThreadedLoader(Made("tensor"), 2, where=where)
    made.set_epoch(2**62)
    assert len(list(made)) == 6
    for epoch in (2**63, 2**64, 2**70):
        with pytest.raises(BadArgument, match=f"^epoch is {epoch}; give a whole number from 0 to"):
            made.set_epoch(epoch)


def test_an_epoch_that_the_sampler_refuses_is_one_sentence() -> None:
    made = ThreadedLoader(Made("tensor"), 2, seed=1, shuffle=True, where="trainer")
    with pytest.raises(BadArgument, match=r"^state's sampler_epoch .*: epoch is -1; give"):
        made.load_state_dict({**made.state_dict(), "sampler_epoch": -1})
