"""Other ways of making a batch of samples: arrays stacked first, one tensor for each field."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
from torch.utils.data import default_collate

from datasets_impl.doctor.probes.callees import Callee
from datasets_impl.doctor.probes.epochs import attribute, has
from datasets_impl.doctor.probes.raised import RAISED
from datasets_impl.doctor.probes.samples import copied, leaves, tensors_in
from datasets_impl.doctor.probes.standing import all_replaced
from datasets_impl.doctor.remedies.remedy import Context, Instead, Remedy, unharmed, used_by

TENSOR = "tensor = torch.from_numpy(array)"
MAKERS = ("tensor", "as_tensor")  # of PyTorch, from a list
IN_FILES = ("Dataset", "Array")  # of HDF5 and Zarr: a list of rows to PyTorch
CAUSES = ("converting", "reading", "python", "decompressing")
LEAST_TENSORS = 4  # of a sample, that cross to the trainer one by one
STACKED = """def collate(samples):
    return torch.from_numpy(np.stack([array for array, *_ in samples]))  # for each field"""
IN_ARRAY = {  # what the tensor was made of -> one array of it, in one call
    "read": "array = file[name][()]  # all of it, read once",
    "stacked": "array = np.stack(arrays)",
    "listed": "array = np.array(numbers, np.float32)  # whole numbers: np.int64",
}
PACKED = """def collate(samples):  # {many} tensors a batch become {few}
    return {{name: torch.stack([getattr(one, name) for one in samples])
            for name in vars(samples[0]) if torch.is_tensor(getattr(samples[0], name))}}"""


class Stacked:
    """The user's function, to which lists of arrays are stacked before they become a tensor."""

    def __init__(self, collate: Any) -> None:
        self.collate = collate

    def __call__(self, samples: Any) -> Any:
        with all_replaced(_arrays_first(set())):
            return self.collate(samples)


def _arrays_first(used: set[str]) -> list[tuple[Callee, Any]]:
    """What makes tensors, given one array in place of many, of numbers, or of what lies in a file;
    `used` is told of it."""
    callees = [Callee(f"torch.{name}", torch, name) for name in MAKERS]
    return [(one, _stacking(one.function, used)) for one in callees]


def _stacking(original: Any, used: set[str]) -> Any:
    def made(data: Any, *given: Any, **options: Any) -> Any:
        if isinstance(data, list | tuple) and data and isinstance(data[0], np.ndarray):
            data = np.stack(data)
            used.add("stacked")
        elif type(data).__name__ in IN_FILES and attribute(data, "shape"):
            data = np.asarray(data[()])
            used.add("read")
        elif not given and (array := _of_numbers(data, options.get("dtype"))) is not None:
            data = array
            used.add("listed")
        return original(data, *given, **options)

    return made


def _of_numbers(data: Any, dtype: torch.dtype | None) -> np.ndarray | None:
    """A list of numbers, or of lists of them, as the array that its tensor holds; None where it is
    none, or PyTorch has to say what is wrong with it."""
    first = data
    while isinstance(first, list | tuple) and first:
        first = first[0]
    if first is data or type(first) not in (bool, int, float):
        return None
    try:
        kind = torch.empty(0, dtype=dtype or torch.get_default_dtype()).numpy().dtype
        with np.errstate(over="ignore"):  # as in PyTorch
            array = np.array(data, kind if dtype or type(first) is float else None)
            array = array.astype(kind, copy=False) if array.dtype.kind == "f" else array
        return array if array.dtype.kind in "bif" else None
    except (TypeError, ValueError, OverflowError):
        return None


def arrays_first(at: Context) -> list[Remedy]:
    """The same while a sample is read."""
    if not set(CAUSES) & set(at.found):
        return []
    used = set[str]()
    made = Instead(at.part, _arrays_first(used))
    if not used_by(made, used) or not unharmed(at, made):
        return []
    return [
        Remedy(
            "arrays-first",
            "Make one array before the tensor",
            "\n".join([*(IN_ARRAY[one] for one in IN_ARRAY if one in used), TENSOR]),
            Instead(at.part, _arrays_first(set())),
            at.subject.workers,
            "C13",
            mends=CAUSES,
        )
    ]


def stacked_first(at: Context) -> list[Remedy]:
    """Where a tensor is made of a list of arrays, number by number."""
    own = at.subject.loader.collate_fn if at.subject.loader is not None else default_collate
    if own is default_collate or "collating" not in at.found:
        return []
    collate = Stacked(at.collate)
    try:
        if not _equal(at.collate(copied(at.samples)), collate(copied(at.samples))):
            return []
    except RAISED:
        return []
    return [
        Remedy(
            "stacked-first",
            "Stack arrays before they become a tensor",
            STACKED,
            at.part,
            at.subject.workers,
            "C13",
            collate=collate,
            mends=("collating",),
        )
    ]


def packed(samples: Sequence[Any]) -> Any:
    """One tensor for each field, of objects as well; what cannot be stacked stays a list."""
    first = samples[0]
    if isinstance(first, torch.Tensor | np.ndarray | int | float):
        try:
            return default_collate(list(samples))
        except (RuntimeError, TypeError):
            return list(samples)
    if isinstance(first, Mapping):
        return {name: packed([one[name] for one in samples]) for name in first}
    if isinstance(first, str | bytes) or first is None:
        return list(samples)
    if isinstance(first, tuple | list):
        return [packed(field) for field in zip(*samples, strict=True)]
    if has(first, "__dict__"):
        return {name: packed([getattr(one, name) for one in samples]) for name in vars(first)}
    return list(samples)


def one_tensor_a_field(at: Context) -> list[Remedy]:
    """Where a batch is many small tensors, each of which a worker hands over by itself."""
    if not at.subject.workers or len(at.samples) < 2:
        return []
    try:
        now = tensors_in(at.collate(copied(at.samples)))
        batch = packed(at.samples)
        then = tensors_in(batch)
    except RAISED:
        return []
    if now < LEAST_TENSORS * len(at.samples) or then * 2 > now:
        return []
    times = (at.subject.settings.get("batch_size") or len(at.samples)) / len(at.samples)
    return [
        Remedy(
            "one-tensor-a-field",
            "Make one tensor of each field of a batch",
            PACKED.format(many=f"{round(now * times):,}", few=f"{then:,}"),
            at.part,
            at.subject.workers,
            "X06",
            collate=packed,
            caution="the trainer takes samples from the tensors of their fields",
            mends=("many-tensors", "collating", "workers-cost", "hand-over"),
        )
    ]


def _equal(one: Any, other: Any) -> bool:
    pairs = zip(leaves(one), leaves(other), strict=True)
    return all(
        mine.kind == theirs.kind
        and np.array_equal(np.asarray(mine.value), np.asarray(theirs.value))
        for mine, theirs in pairs
    )
