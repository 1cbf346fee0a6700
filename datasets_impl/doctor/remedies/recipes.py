"""The lines a user adds to keep samples: written for the structure and dtypes that theirs have."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import torch

from datasets_impl.doctor.probes.samples import Leaf, leaves


def cached(example: Any) -> str:
    """A dataset around the user's that keeps each sample in memory that all workers share."""
    kept = list(enumerate(leaves(example)))
    made = "\n".join(
        f"        self.kept{n} = torch.empty((count{_shape(leaf)}), "
        f"dtype={_dtype(leaf)}).share_memory_()"
        for n, leaf in kept
    )
    filled = "\n".join(f"            self.kept{n}[index] = {_of(leaf)}" for n, leaf in kept)
    given = _rebuilt(example, iter([f"self.kept{n}[index]" for n, _ in kept]), _from_tensor)
    return f"""class Cached(torch.utils.data.Dataset):
    def __init__(self, dataset):
        self.dataset, count = dataset, len(dataset)
{made}
        self.ready = torch.zeros(count, dtype=torch.bool).share_memory_()

    def __len__(self):
        return len(self.dataset)

    def __getitem__(self, index):
        if not self.ready[index]:
            sample = self.dataset[index]
{filled}
            self.ready[index] = True
        return {given}"""


def stored(example: Any) -> str:
    """A function that writes all samples to mapped files once, and a dataset that reads them."""
    kept = list(enumerate(leaves(example)))
    made = "\n".join(
        f'    kept{n} = np.lib.format.open_memmap(f"{{folder}}/{n}.npy", "w+", '
        f"dtype={str(_array(leaf).dtype)!r}, shape=(len(dataset){_shape(leaf)}))"
        for n, leaf in kept
    )
    filled = "\n".join(f"        kept{n}[index] = {_of(leaf)}" for n, leaf in kept)
    given = _rebuilt(example, iter([f"self.kept[{n}][index]" for n, _ in kept]), _from_mapping)
    return f"""def store(dataset, folder):  # once; the folder is there and empty
{made}
    for index in range(len(dataset)):
        sample = dataset[index]
{filled}

class Stored(torch.utils.data.Dataset):
    def __init__(self, folder, count):
        self.folder, self.count, self.kept = folder, count, None

    def __len__(self):
        return self.count

    def __getitem__(self, index):
        if self.kept is None:  # opened by each worker for itself
            names = [f"{{self.folder}}/{{n}}.npy" for n in range({len(kept)})]
            self.kept = [np.load(name, mmap_mode="r") for name in names]
        return {given}"""


def fetched(example: Any) -> str:
    """A method of the dataset that fills a batch in its place."""
    kept = list(enumerate(leaves(example)))
    made = "\n".join(
        f"    batch{n} = torch.empty((len(indices){_shape(leaf)}), dtype={_collated(leaf)})"
        for n, leaf in kept
    )
    filled = "\n".join(f"        batch{n}[place] = {_of(leaf)}" for n, leaf in kept)
    given = _rebuilt(example, iter([f"batch{n}" for n, _ in kept]), lambda _, name: name)
    return f"""def __getitems__(self, indices):
{made}
    for place, index in enumerate(indices):
        sample = self[index]
{filled}
    return {given}  # with a collate_fn that gives it on as it is"""


def _collated(leaf: Leaf) -> str:
    """What PyTorch's collate function makes of Python's own numbers."""
    return "torch.float64" if isinstance(leaf.value, float) else _dtype(leaf)


def _array(leaf: Leaf) -> np.ndarray[Any, Any]:
    return np.asarray(leaf.value if leaf.array is None else leaf.array)


def _shape(leaf: Leaf) -> str:
    return "".join(f", {length}" for length in _array(leaf).shape) or ","


def _dtype(leaf: Leaf) -> str:
    return str(torch.as_tensor(_array(leaf)).dtype)


def _of(leaf: Leaf) -> str:
    """How a leaf is taken from a sample."""
    taken = "sample" if leaf.path == "the sample" else f"sample{leaf.path}"
    return f"torch.as_tensor({taken})" if isinstance(leaf.value, np.ndarray) else taken


def _rebuilt(example: Any, kept: Any, leaf: Callable[[Any, str], str]) -> str:
    """An expression of the sample's own structure over what was kept."""
    if isinstance(example, dict):
        pairs = (f"{key!r}: {_rebuilt(one, kept, leaf)}" for key, one in example.items())
        return f"{{{', '.join(pairs)}}}"
    if isinstance(example, tuple | list):
        parts = [_rebuilt(one, kept, leaf) for one in example]
        inner = ", ".join(parts)
        if hasattr(example, "_fields"):
            return f"{type(example).__name__}({inner})"
        if isinstance(example, list):
            return f"[{inner}]"
        return f"({inner},)" if len(parts) == 1 else f"({inner})"
    return leaf(example, next(kept))


def _from_tensor(value: Any, kept: str) -> str:
    if isinstance(value, torch.Tensor):
        return f"{kept}.clone()"
    if isinstance(value, np.ndarray):
        return f"{kept}.numpy().copy()"
    return f"{_name(value)}({kept}.item())"


def _name(value: Any) -> str:
    """Of a number's type, as it can be called."""
    return f"np.{type(value).__name__}" if isinstance(value, np.generic) else type(value).__name__


def _from_mapping(value: Any, kept: str) -> str:
    if isinstance(value, torch.Tensor):
        return f"torch.from_numpy(np.array({kept}))"
    if isinstance(value, np.ndarray):
        return f"np.array({kept})"
    return f"{_name(value)}({kept}.item())"
