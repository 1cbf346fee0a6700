"""The lines that the doctor gives are run: they must keep every sample as it is."""

from __future__ import annotations

from collections import namedtuple
from enum import IntEnum
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch.utils.data import Dataset, default_collate

from datasets_impl.doctor.probes.samples import leaves, signature
from datasets_impl.doctor.remedies import recipes
from datasets_impl.doctor.remedies.batched import Together

Pair = namedtuple("Pair", "image label")


class Kind(IntEnum):
    CAT = 0
    DOG = 1


class Given(Dataset[Any]):
    def __init__(self, wrap: Any) -> None:
        self.wrap = wrap

    def __len__(self) -> int:
        return 5

    def __getitem__(self, index: int) -> Any:
        return self.wrap(torch.rand(2, 3, generator=torch.Generator().manual_seed(index)), index)


SAMPLES = {
    "float tensor": lambda x, n: x,
    "uint8 tensor": lambda x, n: (255 * x).byte(),
    "image and label": lambda x, n: (x, n),
    "named tuple": Pair,
    "list of arrays": lambda x, n: [x.numpy(), x.double().numpy()],
    "dictionary": lambda x, n: {"image": x.numpy(), "more": (x.half(), float(n)), "it's": n > 2},
    "one in a tuple": lambda x, n: (x.long(),),
    "scalar tensor": lambda x, n: (torch.tensor(n), x),
    "number": lambda x, n: n,
    "numbers of other types": lambda x, n: (x, np.float64(n), Kind(n % 2)),
}


def same(one: Any, other: Any) -> bool:
    return signature(one) == signature(other) and all(
        np.array_equal(np.asarray(left.value), np.asarray(right.value))
        for left, right in zip(leaves(one), leaves(other), strict=True)
    )


@pytest.mark.parametrize("name", SAMPLES)
def test_what_is_cached_is_what_was_given(name: str) -> None:
    dataset = Given(SAMPLES[name])
    space: dict[str, Any] = {"torch": torch, "np": np, "Pair": Pair, "Kind": Kind}
    exec(recipes.cached(dataset[0]), space)
    made = space["Cached"](dataset)
    for _ in range(2):
        assert all(same(made[index], dataset[index]) for index in range(5))
    assert len(made) == 5 and type(made[1]) is type(dataset[1])


@pytest.mark.parametrize("name", SAMPLES)
def test_what_is_stored_is_what_was_given(name: str, tmp_path: Path) -> None:
    dataset = Given(SAMPLES[name])
    space: dict[str, Any] = {"torch": torch, "np": np, "Pair": Pair, "Kind": Kind}
    exec(recipes.stored(dataset[0]), space)
    space["store"](dataset, tmp_path)
    made = space["Stored"](tmp_path, len(dataset))
    assert all(same(made[index], dataset[index]) for index in range(5))
    assert type(made[1]) is type(dataset[1])


@pytest.mark.parametrize("name", SAMPLES)
def test_a_batch_that_is_fetched_is_what_the_collate_function_gives(name: str) -> None:
    dataset = Given(SAMPLES[name])
    space: dict[str, Any] = {"torch": torch, "np": np, "Pair": Pair, "Kind": Kind}
    exec(recipes.fetched(dataset[0]), space)
    expected = default_collate([dataset[index] for index in (3, 0, 4)])
    assert same(space["__getitems__"](dataset, [3, 0, 4]), expected)
    made = Together(dataset).__getitems__([3, 0, 4])
    assert same(made, expected) and type(made) is type(expected)
