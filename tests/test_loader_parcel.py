"""What crosses to the trainer in a message arrives as it was, of whatever dtype and shape."""

from __future__ import annotations

import math
import os
from collections.abc import Iterator

import numpy as np
import pytest
import torch

from datasets_impl.loaders.memory import SMALL
from datasets_impl.loaders.parcel import pack, unpack
from datasets_impl.loaders.slots import Reserved, Slots

DTYPES = [
    torch.bool, torch.uint8, torch.int8, torch.int16, torch.uint16, torch.int32, torch.int64,
    torch.float16, torch.bfloat16, torch.float32, torch.float64, torch.complex64,
    torch.float8_e4m3fn,
]  # fmt: skip
SHAPES = [(), (1,), (3,), (0,), (2, 0), (2, 3), (1, 3, 1, 1), (SMALL,)]


@pytest.fixture
def memory() -> Iterator[Reserved]:
    back, given = os.pipe()
    made = Reserved(Slots(back, lambda number, nbytes, file: None, lambda number: None, 2))
    yield made
    made.release()
    os.close(back)
    os.close(given)


@pytest.mark.parametrize("dtype", DTYPES, ids=str)
@pytest.mark.parametrize("turned", [False, True])
def test_tensors_arrive_as_they_were(memory: Reserved, dtype: torch.dtype, turned: bool) -> None:
    random = np.random.default_rng(0)
    sent = []
    for shape in SHAPES:
        raw = random.integers(0, 2, math.prod(shape) * dtype.itemsize, dtype=np.uint8)
        filled = torch.from_numpy(raw).view(dtype) if raw.size else torch.empty(0, dtype=dtype)
        tensor = filled.reshape(shape)
        sent.append(tensor.T if turned and tensor.ndim == 2 else tensor)
    data = pack(sent, memory)
    slot = memory.slot.array if memory.slot else np.empty(0, np.uint8)
    for one, other in zip(unpack(data, slot), sent, strict=True):
        assert (one.dtype, one.shape) == (other.dtype, other.shape)
        assert _bytes(one) == _bytes(other)
        assert one.numel() == 0 or one.data_ptr() != other.data_ptr()


def _bytes(tensor: torch.Tensor) -> bytes:
    return tensor.reshape(-1).view(torch.uint8).numpy().tobytes()
