"""What a sample is made of: every array, tensor, picture and number in it, however nested."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, fields, is_dataclass
from typing import Any

import numpy as np
import torch
from PIL import Image

DEEP = 12  # levels of nesting that are followed


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
        """The same, and of a picture its pixels, copied."""
        return np.asarray(self.value) if isinstance(self.value, Image.Image) else self.array

    @property
    def array(self) -> np.ndarray[Any, Any] | None:
        """The value as a NumPy array that shares its memory, None for what is no array."""
        if isinstance(self.value, np.ndarray):
            return self.value
        if isinstance(self.value, torch.Tensor) and self.value.device.type == "cpu":
            return self.value.detach().numpy()
        return None


def leaves(sample: Any, path: str = "", deep: int = 0) -> Iterator[Leaf]:
    """Every leaf of a sample, depth first."""
    if deep > DEEP:
        return
    if isinstance(sample, torch.Tensor | np.ndarray | Image.Image | str | bytes | int | float):
        yield Leaf(path or "the sample", sample)
    elif isinstance(sample, Mapping):
        for key, value in sample.items():
            yield from leaves(value, f"{path}[{key!r}]", deep + 1)
    elif isinstance(sample, Sequence):
        for position, value in enumerate(sample):
            yield from leaves(value, f"{path}[{position}]", deep + 1)
    elif is_dataclass(sample) and not isinstance(sample, type):
        for one in fields(sample):
            yield from leaves(getattr(sample, one.name), f"{path}.{one.name}", deep + 1)
    else:
        yield Leaf(path or "the sample", sample)


def signature(sample: Any) -> tuple[str, ...]:
    """Structure and kinds; samples of one signature can be collated."""
    return tuple(f"{leaf.path}: {leaf.kind}" for leaf in leaves(sample))


def size_of(sample: Any) -> int:
    """Bytes of all leaves."""
    return sum(leaf.nbytes for leaf in leaves(sample))
