"""A batch on its way to another process: its structure pickled, its large tensors in a slot.

Any structure that pickles will do. Tensors and arrays of plain kinds are copied to the slot, unless
they were made there; small ones, subclasses and other kinds (sparse, quantized) are pickled.
"""

from __future__ import annotations

import io
import pickle
from typing import Any

import numpy as np
import torch

from datasets_impl.loaders.layout import Leaf
from datasets_impl.loaders.memory import SMALL, Bytes, aligned
from datasets_impl.loaders.slots import Reserved


class Unsendable(Exception):
    """It does not pickle; the text says why."""


def pack(value: Any, memory: Reserved) -> bytes:
    """`value` pickled, but for what lies in the slot of `memory`, if it has one then.

    Raises:
        Unsendable: it cannot be pickled, whatever it raises then.
    """
    out = io.BytesIO()
    packer = _Packer(out, memory)
    try:
        packer.dump(value)
    except MemoryError:
        raise
    except BaseException as error:
        raise Unsendable(f"{type(error).__name__}: {error}") from error
    packer.fill()
    return out.getvalue()


def unpack(data: bytes, slot: Bytes) -> Any:
    """The value; its large tensors are views of `slot` and keep it alive."""
    unpacker = _Unpacker(io.BytesIO(data))
    unpacker.slot = slot
    return unpacker.load()


class _Packer(pickle.Pickler):
    def __init__(self, out: io.BytesIO, memory: Reserved) -> None:
        super().__init__(out, pickle.HIGHEST_PROTOCOL)
        self._memory, self._end = memory, memory.used
        self._tensors: list[tuple[int, Leaf, torch.Tensor]] = []
        self._arrays: list[tuple[int, np.ndarray[Any, Any]]] = []

    def persistent_id(self, value: Any) -> Any:
        if type(value) is torch.Tensor and _is_plain(value):
            return self._tensor(value)
        if type(value) is np.ndarray and value.nbytes >= SMALL and _is_numbers(value.dtype):
            return self._array(value)
        return None

    def _tensor(self, value: torch.Tensor) -> Any:
        at = self._memory.offset(value.data_ptr())
        if at is not None:
            return (at, Leaf.alike(value, value.stride()))
        if value.nbytes < SMALL and value.is_contiguous():  # as targets are: the quickest way
            flat = value.reshape(-1).view(torch.uint8)
            return (flat.numpy().tobytes(), tuple(value.shape), str(value.dtype))
        # The strides of a copy: the same, unless elements overlap or lie apart.
        leaf = Leaf.alike(value, torch.empty_like(value, device="meta").stride())
        if leaf.nbytes < SMALL:
            memory = torch.empty(leaf.nbytes, dtype=torch.uint8, device="cpu")
            leaf.over(memory).copy_(value)
            return (memory.numpy().tobytes(), leaf)
        self._tensors.append((self._room(leaf.nbytes), leaf, value))
        return (self._tensors[-1][0], leaf)

    def _array(self, value: np.ndarray[Any, Any]) -> Any:
        self._arrays.append((self._room(value.nbytes), value))
        return (self._arrays[-1][0], value.shape, value.dtype.str)

    def _room(self, nbytes: int) -> int:
        start = self._end
        self._end += aligned(nbytes)
        return start

    def fill(self) -> None:
        """Copy what was found to its place, now that the size of all is known."""
        if self._end == self._memory.used:
            return
        slot = self._memory.grow(self._end)
        for at, leaf, tensor in self._tensors:
            leaf.over(torch.from_numpy(slot.array[at : at + leaf.nbytes])).copy_(tensor)
        for at, array in self._arrays:
            _array_in(slot.array, at, array.shape, array.dtype.str)[...] = array


class _Unpacker(pickle.Unpickler):
    slot: Bytes

    def persistent_load(self, found: Any) -> Any:
        where, *what = found
        if isinstance(where, bytes) and len(what) == 2:
            return _small(where, *what)
        if len(what) == 2:
            return _array_in(self.slot, where, *what)
        leaf = what[0]
        if isinstance(where, bytes):
            if not where:
                return leaf.over(torch.empty(0, dtype=torch.uint8, device="cpu"))
            return leaf.over(torch.frombuffer(bytearray(where), dtype=torch.uint8))
        return leaf.over(torch.from_numpy(self.slot[where : where + leaf.nbytes]))


def _small(data: bytes, shape: tuple[int, ...], dtype: str) -> torch.Tensor:
    kind = getattr(torch, dtype.removeprefix("torch."))
    if not data:
        return torch.empty(shape, dtype=kind, device="cpu")
    return torch.frombuffer(bytearray(data), dtype=kind).view(shape)


def _array_in(slot: Bytes, at: int, shape: tuple[int, ...], dtype: str) -> np.ndarray[Any, Any]:
    return np.ndarray(shape, dtype, slot, at)


def _is_plain(value: torch.Tensor) -> bool:
    return (
        value.layout is torch.strided
        and value.device.type == "cpu"
        and not value.requires_grad
        and not value.is_quantized
        and not value.is_nested
        and not value.is_conj()
        and not value.is_neg()
    )


def _is_numbers(dtype: np.dtype[Any]) -> bool:
    return dtype.kind in "biufc" and dtype.fields is None
