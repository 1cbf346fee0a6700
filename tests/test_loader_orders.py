"""Orders drawn from generators of any kind go on after a stop, or are refused."""

from __future__ import annotations

import copy
import io
import random
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest
import torch
from torch.utils.data import BatchSampler, RandomSampler, Sampler
from torch.utils.data import SubsetRandomSampler as Subset
from torch.utils.data import WeightedRandomSampler as Weighted

from datasets_impl.errors import BadArgument, StudyError
from datasets_impl.loaders.drawn import Drawn as Everybodys
from datasets_impl.loaders.loader import ThreadedLoader
from tests.samples import everywhere

COUNT = 24


class Numbers(list[int]):
    def __init__(self) -> None:
        super().__init__(range(COUNT))


class Drawn(Sampler[int]):
    """Indices that `draw` draws, with whatever else it holds."""

    def __init__(self, draw: Callable[[Any], list[int]], **held: Any) -> None:
        self.draw = draw
        self.__dict__.update(held)

    def __len__(self) -> int:
        return COUNT

    def __iter__(self) -> Iterator[int]:
        return iter(self.draw(self))


class Buckets(Drawn):
    """A batch sampler of one's own."""

    def __len__(self) -> int:
        return COUNT // 3

    def __iter__(self) -> Iterator[Any]:
        order = self.draw(self)
        return iter([order[at : at + 3] for at in range(0, COUNT, 3)])


def by_python(_: Any) -> list[int]:
    return random.sample(range(COUNT), COUNT)


def by_numpy(_: Any) -> list[int]:
    found: list[int] = np.random.permutation(COUNT).tolist()
    return found


def by_own(each: Any) -> list[int]:
    found: list[int] = each.rng.permutation(COUNT).tolist()
    return found


def by_own_python(each: Any) -> list[int]:
    found: list[int] = each.rng.sample(range(COUNT), COUNT)
    return found


def by_torch(each: Any) -> list[int]:
    found: list[int] = torch.randperm(COUNT, generator=each.g).tolist()
    return found


def seeded() -> torch.Generator:
    return torch.Generator().manual_seed(1)


ORDERS: dict[str, Callable[[], dict[str, Any]]] = {
    "python": lambda: {"sampler": Drawn(by_python)},
    "numpy": lambda: {"sampler": Drawn(by_numpy)},
    "python's by name": lambda: {"sampler": Drawn(by_own_python, rng=random)},
    "numpy generator": lambda: {"sampler": Drawn(by_own, rng=np.random.default_rng(0))},
    "numpy philox": lambda: {
        "sampler": Drawn(by_own, rng=np.random.Generator(np.random.Philox(3)))
    },
    "numpy state": lambda: {"sampler": Drawn(by_own, rng=np.random.RandomState(0))},
    "own python": lambda: {"sampler": Drawn(by_own_python, rng=random.Random(0))},
    "g": lambda: {"sampler": Drawn(by_torch, g=seeded())},
    "in a list": lambda: {"sampler": Drawn(lambda each: by_torch(each.all[0]),
                                           all=[Drawn(by_torch, g=seeded())])},
    "held": lambda: {"sampler": Drawn(lambda each: list(each.base),
                                      base=RandomSampler(range(COUNT), generator=seeded()))},
    "buckets": lambda: {"sampler": None, "batch_sampler": Buckets(by_python)},
    "buckets, own": lambda: {"batch_sampler": Buckets(by_own, rng=np.random.default_rng(0))},
    "plain": lambda: {"shuffle": True},
    "seeded": lambda: {"shuffle": True, "seed": 2},
}  # fmt: skip


def build(given: dict[str, Any], **more: Any) -> Any:
    batches: Any = {} if "batch_sampler" in given else {"batch_size": 3}
    data: Any = Numbers()
    return ThreadedLoader(data, **batches, threads=1, **given, **more)


def flat(batches: Any) -> list[int]:
    return [int(each) for batch in batches for each in batch]


def seed(number: int) -> None:
    random.seed(number)
    np.random.seed(number)
    torch.manual_seed(number)


def stopped(made: Any, after: int = 3) -> tuple[list[int], Any]:
    batches = iter(made)
    found = flat([next(batches) for _ in range(after)])
    file = io.BytesIO()
    torch.save(made.state_dict(), file)
    return found, torch.load(io.BytesIO(file.getvalue()), weights_only=True)


@everywhere
@pytest.mark.parametrize("name", ORDERS)
def test_a_drawn_order_goes_on(name: str, where: str) -> None:
    seed(1)
    with build(ORDERS[name](), where=where) as made:
        flat(made)
        batches = iter(made)
        found = flat([next(batches) for _ in range(3)])
        file = io.BytesIO()
        torch.save(made.state_dict(), file)
        rest = flat(batches)
        following = flat(made)
    state = torch.load(io.BytesIO(file.getvalue()), weights_only=True)
    assert sorted(found + rest) == list(range(COUNT))
    seed(5)
    before = Everybodys.now()
    with build(ORDERS[name](), where=where) as resumed:
        resumed.load_state_dict(state)
        batches = iter(resumed)
        more = flat([next(batches)])
        assert Everybodys.now() == before, "what the trainer draws is another's"
        again = resumed.state_dict()
        assert more + flat(batches) == rest
        if name not in ("python", "numpy", "python's by name", "buckets", "plain"):
            assert flat(resumed) == following
    with build(ORDERS[name](), where=where) as resumed:
        resumed.load_state_dict(again)
        assert more + flat(resumed) == rest


def by_nobody(_: Any) -> list[int]:
    return random.SystemRandom().sample(range(COUNT), COUNT)


@everywhere
def test_an_order_that_comes_out_otherwise_is_refused(where: str) -> None:
    """Else samples would be repeated and others left out without a word."""
    _, state = stopped(build({"sampler": Drawn(by_nobody)}, where=where))
    resumed = build({"sampler": Drawn(by_nobody)}, where=where)
    resumed.load_state_dict(state)
    for _ in range(2):
        with pytest.raises(StudyError, match=r"^The sampler Drawn .*`state_dict`.*\.$"):
            next(iter(resumed))
    resumed.close()


def test_an_order_out_of_turn_is_compared_to_where_it_was_drawn() -> None:
    made = build({"sampler": Drawn(by_nobody)}, where="trainer")
    _, state = stopped(made)
    state = {**state, "given": 0, "beyond": {2: None}}
    resumed = build({"sampler": Drawn(by_nobody)}, where="trainer")
    resumed.load_state_dict(state)
    with pytest.raises(StudyError, match="The sampler"):
        next(iter(resumed))


class Reusing(Drawn):
    def __iter__(self) -> Iterator[Any]:
        batch = [0] * 3
        for at in range(COUNT // 3):
            batch[:] = range(3 * at, 3 * at + 3)
            yield batch


@everywhere
def test_a_sampler_that_uses_its_list_again_goes_on(where: str) -> None:
    given = {"batch_sampler": Reusing(by_nobody)}
    _, state = stopped(build(given, where=where, prefetch_factor=0))
    for beyond, rest in ({}, range(9, COUNT)), ({4: None}, [*range(9, 12), *range(15, COUNT)]):
        with build(given, where=where, prefetch_factor=0) as resumed:
            resumed.load_state_dict({**state, "beyond": beyond})
            assert flat(resumed) == [*rest]


class AnewEachEpoch(Drawn):
    """Makes its generator when an epoch begins, so that a new one has none yet."""

    def __iter__(self) -> Iterator[int]:
        self.rng = np.random.default_rng(3)
        return iter(by_own(self))


def test_a_generator_that_is_made_in_each_epoch_is_no_other() -> None:
    made = build({"sampler": AnewEachEpoch(by_nobody)}, where="trainer")
    flat(made)
    found, state = stopped(made)
    sampler = AnewEachEpoch(by_nobody, itself=[[]])
    sampler.itself[0].append(sampler.itself)
    resumed = build({"sampler": sampler}, where="trainer")
    resumed.load_state_dict(state)
    assert sorted(found + flat(resumed)) == list(range(COUNT))


def test_a_state_of_before_without_a_digest_goes_on() -> None:
    seed(1)
    made = build({"shuffle": True}, where="trainer")
    found, state = stopped(made)
    for name in ("taken", "sources", "shared"):
        del state[name]
    for name in set(state["describes"]) - {"batch_size", "drop_last", "length", "order"}:
        del state["describes"][name]
    resumed = build({"shuffle": True}, where="trainer")
    resumed.load_state_dict(copy.deepcopy(state))
    assert sorted(found + flat(resumed)) == list(range(COUNT))


def of(indices: Any) -> Any:
    return indices


def sampled(size: int = 3, last: bool = False) -> dict[str, Any]:
    return {"batch_sampler": BatchSampler(RandomSampler(range(COUNT)), size, last)}


ALIKE: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {
    "batches": (sampled(), sampled(6)),
    "last": (sampled(), sampled(3, True)),
    "subset": ({"sampler": Subset(range(12))}, {"sampler": Subset(range(12, 24))}),
    "subset of an array": ({"sampler": Subset(of(np.arange(12)))},
                           {"sampler": Subset(of(np.arange(12, 24)))}),
    "subset of a tensor": ({"sampler": Subset(of(torch.arange(12)))},
                           {"sampler": Subset(of(torch.arange(12, 24)))}),
    "list": ({"sampler": list(range(12))}, {"sampler": list(range(12, 24))}),
    "longer list": ({"sampler": list(range(12))}, {"sampler": list(range(15))}),
    "array": ({"sampler": np.arange(12)}, {"sampler": np.arange(12) + 1}),
    "tensor": ({"sampler": torch.arange(12)}, {"sampler": torch.arange(12) + 1}),
    "lists": ({"batch_sampler": [[1, 2], [3], [4], [5]]},
              {"batch_sampler": [[1, 2], [3], [4], [6]]}),
    "weights": ({"sampler": Weighted([1.0] * COUNT, COUNT)},
                {"sampler": Weighted([1.0] * 12 + [0.0] * 12, COUNT)}),
    "number": ({"sampler": Weighted([1.0] * COUNT, COUNT)},
               {"sampler": Weighted([1.0] * COUNT, 18)}),
    "replacement": ({"sampler": Weighted([1.0] * COUNT, COUNT)},
                    {"sampler": Weighted([1.0] * COUNT, COUNT, replacement=False)}),
}  # fmt: skip


@pytest.mark.parametrize("name", ALIKE)
def test_a_state_of_an_order_of_the_same_kind_is_refused(name: str) -> None:
    one, other = ALIKE[name]
    _, state = stopped(build(one, where="trainer"))
    build(copy.deepcopy(one), where="trainer").load_state_dict(state)
    with pytest.raises(BadArgument, match="same arguments"):
        build(other, where="trainer").load_state_dict(state)


def test_indices_that_are_bound_anew_are_looked_at_anew() -> None:
    sampler = Subset(range(12))
    made = build({"sampler": sampler}, where="trainer")
    said = []
    for indices in (range(12), range(12), range(12, 24), range(3)):
        sampler.indices = indices
        said.append(made.state_dict()["describes"]["indices"])
    assert said[0] == said[1] and len(set(said)) == 3


def test_lists_of_other_processes_are_not_compared(monkeypatch: pytest.MonkeyPatch) -> None:
    """One of them may save what all load."""
    monkeypatch.setenv("RANK", "0")
    _, state = stopped(build({"sampler": list(range(0, COUNT, 2))}, where="trainer"))
    monkeypatch.setenv("RANK", "1")
    resumed = build({"sampler": list(range(1, COUNT, 2))}, where="trainer")
    resumed.load_state_dict(state)
    assert flat(resumed) == list(range(1, COUNT, 2))[9:]
