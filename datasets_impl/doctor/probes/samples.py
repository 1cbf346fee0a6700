"""What a sample is made of: every array, tensor, picture and number in it, however nested."""

from __future__ import annotations

import contextlib
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, fields, is_dataclass
from itertools import islice
from typing import Any

import numpy as np
import torch
from PIL import Image

from datasets_impl.doctor.probes.epochs import attribute

DEEP = 12  # levels of nesting that are followed
MOST = 100_000  # values of a sample: there may be containers without end, or in themselves
ADDRESS = re.compile(r" at 0x[0-9a-f]+")


@dataclass(frozen=True)
class Leaf:
    """One value of a sample and where in it: `["image"][0]`."""

    path: str
    value: Any

    @property
    def kind(self) -> str:
        """Type and, of arrays, dtype and shape."""
        value = self.value
        if isinstance(value, torch.Tensor | np.ndarray):
            shape = "x".join(map(str, value.shape)) or "scalar"
            return f"{type(value).__name__} {str(value.dtype).removeprefix('torch.')} {shape}"
        if isinstance(value, Image.Image):
            return f"PIL image {value.mode} {value.height}x{value.width}"
        return type(value).__name__

    @property
    def nbytes(self) -> int:
        value = self.value
        if isinstance(value, torch.Tensor):
            return value.element_size() * value.nelement()
        if isinstance(value, np.ndarray):
            return int(value.nbytes)
        if isinstance(value, Image.Image):
            return value.height * value.width * len(value.getbands())
        return len(value) if isinstance(value, str | bytes) else 8

    @property
    def values(self) -> np.ndarray[Any, Any] | None:
        """The same, and of a picture its pixels, of a tensor that NumPy has no kind for its
        numbers; copied."""
        if isinstance(self.value, Image.Image):
            return np.asarray(self.value)
        if isinstance(self.value, torch.Tensor) and self.array is None:
            dense = self.value.detach().cpu()
            if dense.layout != torch.strided:
                dense = dense.to_dense()
            return dense.float().numpy()
        return self.array

    @property
    def array(self) -> np.ndarray[Any, Any] | None:
        """The value as a NumPy array that shares its memory, None for what is no array."""
        if isinstance(self.value, np.ndarray):
            return self.value
        if isinstance(self.value, torch.Tensor):
            with contextlib.suppress(TypeError, RuntimeError):  # sparse, bfloat16, on a device
                return self.value.detach().numpy()
        return None


def copied(value: Any, deep: int = 0) -> Any:
    """Lists and dicts anew, and what they hold as it is: a collate function may empty what it is
    given, or take fields out of samples."""
    kind = type(value)
    if deep == DEEP or kind not in (list, tuple, dict):
        return value
    if kind is dict:
        return {key: copied(one, deep + 1) for key, one in value.items()}
    return kind(copied(one, deep + 1) for one in value)


def leaves(sample: Any) -> Iterator[Leaf]:
    """Every leaf of a sample, depth first."""
    return islice(_leaves(sample, "", 0), MOST)


def _leaves(sample: Any, path: str, deep: int) -> Iterator[Leaf]:
    if deep > DEEP:
        yield Leaf(path, ...)
    elif isinstance(sample, torch.Tensor | np.ndarray | Image.Image | str | bytes | int | float):
        yield Leaf(path or "the sample", sample)
    elif isinstance(sample, Mapping):
        for key, value in sample.items():
            yield from _leaves(value, f"{path}[{key!r}]", deep + 1)
    elif isinstance(sample, Sequence):
        for position, value in enumerate(sample):
            yield from _leaves(value, f"{path}[{position}]", deep + 1)
    elif is_dataclass(sample) and not isinstance(sample, type):
        for one in fields(sample):
            yield from _leaves(getattr(sample, one.name), f"{path}.{one.name}", deep + 1)
    else:
        yield Leaf(path or "the sample", sample)


def signature(sample: Any) -> tuple[str, ...]:
    """Structure and kinds; samples of one signature can be collated."""
    return tuple(f"{leaf.path}: {leaf.kind}" for leaf in leaves(sample))


def size_of(sample: Any) -> int:
    """Bytes of all leaves."""
    return sum(leaf.nbytes for leaf in leaves(sample))


def tensors_in(batch: Any) -> int:
    """Those that cross to the trainer one by one; objects are sent with what they hold."""
    found = 0
    for leaf in leaves(batch):
        held = attribute(leaf.value, "__dict__")
        if isinstance(leaf.value, torch.Tensor):
            found += 1
        elif isinstance(held, dict):
            found += sum(isinstance(one, torch.Tensor) for one in held.values())
    return found


def comparable(sample: Any) -> bool:
    """Whether a fingerprint tells two such samples apart: of an object, or of what lies deeper than
    is followed, it knows the kind and not the content."""
    plain = (str, bytes, int, float, complex, type(None))
    found = list(leaves(sample))
    return len(found) < MOST and all(
        isinstance(leaf.value, plain) or _has_numbers(leaf.values) for leaf in found
    )


def _has_numbers(values: np.ndarray[Any, Any] | None) -> bool:
    return values is not None and not values.dtype.hasobject


def fingerprint(sample: Any) -> str:
    """A fingerprint of a sample's values."""
    from xxhash import xxh3_64

    found = xxh3_64()
    for leaf in leaves(sample):
        array = leaf.values
        if array is not None and _has_numbers(array):
            found.update(np.ascontiguousarray(array).reshape(-1).view(np.uint8).data)
        else:  # an address is not a value
            found.update(ADDRESS.sub("", repr(leaf.value)).encode(errors="backslashreplace"))
        found.update(b"\0")
    return str(found.hexdigest())
