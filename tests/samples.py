"""Samples of every structure, and that a loader gives what `DataLoader` gives of them."""

from __future__ import annotations

from collections import namedtuple
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from torch.utils.data import (
    Dataset,
    IterableDataset,
)

COUNT = 11
Pair = namedtuple("Pair", ["image", "label"])


class Marked(torch.Tensor):
    """A subclass of tensor, which collating keeps or not as PyTorch does."""


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


class Stream(IterableDataset[Any]):
    def __iter__(self) -> Iterator[Any]:
        return (SAMPLES["tuple"](index) for index in range(COUNT))


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


PLACES = ["trainer", "process"]
everywhere = pytest.mark.parametrize("where", PLACES)
every_method = pytest.mark.parametrize(
    "method",
    ["fork", *(pytest.param(name, marks=pytest.mark.slow) for name in ("forkserver", "spawn"))],
)


def expect(loader: Any, plain: Any, epochs: int = 2) -> None:
    """`loader` gives what `plain` gives, epoch after epoch, from the same seed."""
    torch.manual_seed(5)
    expected = [list(plain) for _ in range(epochs)]
    torch.manual_seed(5)
    same([list(loader) for _ in range(epochs)], expected)
    if not isinstance(plain.dataset, IterableDataset):
        assert len(loader) == len(plain)


def generator() -> torch.Generator:
    return torch.Generator().manual_seed(9)


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


def written(dataset: Any, index: int) -> Any:
    """What `read_into` writes into a place of the layout's shape, dtype and strides."""
    layout = dataset.sample_layout(index)
    leaves = layout if isinstance(layout, tuple) else (layout,)
    made = [torch.empty_strided(x.shape, x.stride(), dtype=x.dtype).fill_(1) for x in leaves]
    into = tuple(x.numpy() for x in made)
    dataset.read_into(index, into if isinstance(layout, tuple) else into[0])
    return tuple(made) if isinstance(layout, tuple) else made[0]


class ManyAtOnce(Made):
    def __getitems__(self, indices: list[int]) -> list[Any]:
        return [self[index] for index in reversed(indices)]


# What a trainer may keep of a batch of four dimensions.
KEPT: dict[str, Callable[[torch.Tensor], Any]] = {
    "batch": lambda batch: batch,
    "view": lambda batch: batch[1:],
    "transposed": lambda batch: batch.permute(0, 2, 3, 1),
    "array": lambda batch: batch.numpy(),
    "row of an array": lambda batch: batch.numpy()[0][1:],
    "detached": lambda batch: batch.detach(),
    "rows": lambda batch: list(batch),
    "dlpack": lambda batch: torch.from_dlpack(batch),
}
