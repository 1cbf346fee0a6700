"""Random numbers after a stop: the same where they can be, and else that is said."""

from __future__ import annotations

import hashlib
import io
import json
import random
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch.utils.data import Dataset, IterableDataset

from datasets_impl.errors import BadArgument
from datasets_impl.loaders.loader import ThreadedLoader
from datasets_impl.loaders.random_crops import RandomCrops
from tests.nursery import Nursery
from tests.samples import COUNT, Made, everywhere, same


class Drawing(Dataset[Any]):
    def __init__(self, draw: str = "torch") -> None:
        self.draw = draw

    def __len__(self) -> int:
        return 2 * COUNT

    def __getitem__(self, index: int) -> Any:
        draws = {"torch": lambda: torch.rand(1).item(), "numpy": np.random.rand,
                 "python": random.random, "own": random.Random(index).random}  # fmt: skip
        return index, draws[self.draw]()


class Steps(IterableDataset[Any]):
    """A stream that draws, and can go on from where it stood."""

    def __init__(self) -> None:
        self.at = 0

    def __iter__(self) -> Iterator[Any]:
        while self.at < COUNT:
            self.at += 1
            yield torch.rand(1)

    def state_dict(self) -> dict[str, int]:
        return {"at": self.at}

    def load_state_dict(self, state: dict[str, int]) -> None:
        self.at = state["at"]


FORK: dict[str, Any] = {"start_method": "fork"}  # which has the generator that NumPy was given


def collating(samples: Any) -> Any:
    return torch.rand(len(samples))


def state_of(data: Any, after: int = 2, **given: Any) -> Any:
    with ThreadedLoader(data, 2, **given) as made:
        for _ in zip(range(after), made, strict=False):
            pass
        return made.state_dict()


def load(data: Any, state: Any, **given: Any) -> list[str]:
    """What is said of it."""
    with warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("always")
        ThreadedLoader(data, 2, **given).load_state_dict(state)
    return [str(each.message) for each in said]


@pytest.mark.parametrize(
    ("data", "given"),
    [
        (Drawing("torch"), {"threads": 2}),
        (Drawing("numpy"), {"threads": 2}),
        (Drawing("python"), {"threads": 2}),
        (Made("tensor"), {"threads": 2, "collate_fn": collating}),
        (Steps(), {}),
    ],
)
def test_numbers_that_are_drawn_anew_are_said_to_be(data: Any, given: Any) -> None:
    (said,) = load(data, state_of(data, start_method="fork", **given), **given)
    assert said.startswith(f"Samples of {type(data).__name__} draw random numbers, and those")
    assert ("threads=1" in said) is not isinstance(data, Steps) and said.endswith(".")


@pytest.mark.parametrize("kind", [np.random.PCG64, np.random.SFC64, np.random.MT19937])
@pytest.mark.filterwarnings("error")
def test_numbers_of_any_generator_that_numpy_is_given_go_on(kind: Any) -> None:
    """A sampler draws from it too, in the trainer's process."""

    class Shuffled(list[int]):
        def __iter__(self) -> Iterator[int]:
            return iter(np.random.permutation(2 * COUNT).tolist())

    def made(**given: Any) -> Any:
        order = Shuffled(range(2 * COUNT))
        shared = {"sampler": order, "generator": torch.Generator().manual_seed(2), **given}
        return ThreadedLoader(Drawing("numpy"), 2, threads=1, **shared)

    before = np.random.get_bit_generator()
    try:
        np.random.set_bit_generator(kind(3))
        with made(**FORK) as whole, made(where="trainer") as here:
            assert len(list(here)) == COUNT
            batches = iter(whole)
            next(batches)
            file = io.BytesIO()
            torch.save(whole.state_dict(), file)
            rest = list(batches)
        file.seek(0)
        state = torch.load(file)
        np.random.rand(5)  # as a trainer does
        with made(**FORK) as resumed:
            resumed.load_state_dict(state)
            same(list(resumed), rest)
        other = np.random.Philox if kind is np.random.MT19937 else np.random.MT19937
        np.random.set_bit_generator(other(3))
        with (
            made(**FORK) as elsewhere,
            pytest.raises(BadArgument, match=r"^NumPy's own .* was .*\.$"),
        ):
            elsewhere.load_state_dict(state)
            list(elsewhere)
    finally:
        np.random.set_bit_generator(before)


def test_a_damaged_state_of_another_generator_is_refused() -> None:
    state = state_of(Drawing("python"), threads=1, start_method="fork")
    python, _, torchs = state["drawn"]
    numpy = {"bit_generator": "PCG64", "state": {"inc": 3}}
    with pytest.raises(BadArgument, match=r"^state is not what .*\.$"):
        load(Drawing(), {**state, "drawn": (python, numpy, torchs)}, threads=1)


def test_numbers_that_were_drawn_in_turn_are_drawn_anew_elsewhere() -> None:
    state = state_of(Drawing(), threads=1)
    assert not load(Drawing(), state, threads=1)
    for given in ({"threads": 2}, {"threads": 1, "where": "trainer"}):
        assert len(load(Drawing(), state, **given)) == 1


class Plain(IterableDataset[Any]):
    def __iter__(self) -> Iterator[Any]:
        return (torch.rand(1) for _ in range(COUNT))


def test_a_stream_that_is_read_again_draws_the_same_again() -> None:
    def made() -> Any:
        return ThreadedLoader(Plain(), 2, generator=torch.Generator().manual_seed(2))

    (said,) = load(Plain(), state_of(Plain()))
    assert "are read again" in said
    state = state_of(Plain(), generator=torch.Generator().manual_seed(2))
    resumed = made()
    with pytest.warns(RuntimeWarning, match="are read again"):
        resumed.load_state_dict(state)
    same(list(resumed), list(made())[2:])


@everywhere
@pytest.mark.parametrize("threads", [1, 2])
@pytest.mark.parametrize("data", [Made("tuple"), Drawing("own")])
def test_nothing_is_said_where_nothing_is_drawn(data: Any, threads: int, where: str) -> None:
    given: dict[str, Any] = {"threads": threads, "where": where, "shuffle": True, "seed": 2}
    state = state_of(data, **given)
    assert state["drawn"] is None
    for other in (1, 2):
        assert not load(data, state, **{**given, "threads": other})


def test_nothing_is_said_at_an_epochs_beginning() -> None:
    assert not load(Drawing(), state_of(Drawing(), 0, threads=2), threads=2)
    assert not load(Drawing(), state_of(Drawing(), 2 * COUNT, threads=2), threads=2)


def test_what_was_not_drawn_yet_is_drawn_as_it_would_have_been() -> None:
    """Its state holds no generators: the epoch's seed makes them again, each time it goes on."""

    class Late(Drawing):
        def __getitem__(self, index: int) -> Any:
            return super().__getitem__(index) if index > 5 else (index, 0.0)

    def build() -> Any:
        return ThreadedLoader(Late(), 2, threads=1, start_method="fork", generator=seeded())

    def seeded() -> torch.Generator:
        return torch.Generator().manual_seed(4)

    expected, found, state = list(build()), [], None
    while len(found) < len(expected):
        made = build()
        if state is not None:
            made.load_state_dict(state)
        found.append(next(iter(made)))
        state = made.state_dict()
        assert (state["drawn"] is None) is (len(found) <= 3 or len(found) == len(expected))
    same(found, expected)


ELSEWHERE = """
import json, sys
import torch
from tests.test_loader_resumed import build, digests
if __name__ == "__main__":
    folder, where, file = sys.argv[1:]
    made = build(folder, where)
    made.load_state_dict(torch.load(file))
    print(json.dumps([digests(made), digests(made)]))
"""


def build(folder: Any, where: str) -> Any:
    return ThreadedLoader(RandomCrops(folder, size=16), 2, shuffle=True, seed=3, where=where)


def digests(batches: Any) -> list[str]:
    return [hashlib.sha256(batch.contiguous().numpy().tobytes()).hexdigest() for batch in batches]


@everywhere
def test_random_crops_go_on_in_a_new_process(
    where: str, folder: Path, tmp_path: Path, nursery: Nursery
) -> None:
    with build(folder, where) as made:
        made.set_epoch(1)
        epochs = [digests(made) for _ in range(2)]
    with build(folder, where) as made:
        made.set_epoch(1)
        batches = iter(made)
        given = [next(batches), next(batches)]
        torch.save(made.state_dict(), tmp_path / "state")
    assert digests(given) == epochs[0][:2] and epochs[0] != epochs[1]
    code = nursery.program(tmp_path, ELSEWHERE, folder, where, tmp_path / "state").wait()
    said = (tmp_path / "err").read_text()
    assert code == 0 and "Warning" not in said, said
    assert json.loads((tmp_path / "out").read_text()) == [epochs[0][2:], epochs[1]]
