"""Whether a dataset has changed since a copy of it went to another process."""

from __future__ import annotations

from collections.abc import Iterator
from types import MemberDescriptorType, MethodType
from typing import Any

import numpy as np
import torch
from torch.utils.data import Subset

from datasets_impl import optional

LEFT_OUT = ("builtins", "torch.utils.data.dataset")  # of classes that nobody changes


class Held:
    """What a dataset, those that it holds as `dataset` or `datasets`, and functions beside it, such
    as its `collate_fn`, had as attributes; those of their classes count too.

    By reference: an attribute that is bound anew is noticed, what changes inside of one is not,
    but for the indices of a `Subset`: those are also changed in place, as a list that grows is.
    """

    def __init__(self, dataset: Any, *beside: Any) -> None:
        self._attributes = list(_all(dataset, *beside))

    def differs(self, dataset: Any, *beside: Any) -> bool:
        now = list(_all(dataset, *beside))
        return len(now) != len(self._attributes) or not all(map(_same, self._attributes, now))


def _all(dataset: Any, *beside: Any) -> Iterator[dict[str, Any]]:
    yield from _inside(dataset)
    for each in beside:
        yield _attributes(each.__self__ if isinstance(each, MethodType) else each)


def _inside(dataset: Any, above: tuple[Any, ...] = ()) -> Iterator[dict[str, Any]]:
    """Of PyTorch's `Subset` and `ConcatDataset` also those of what they are made of."""
    if any(dataset is each for each in above):
        return
    held = _attributes(dataset)
    yield held | _indices(dataset)
    several = held.get("datasets")
    several = list(several.values()) if isinstance(several, dict) else several
    for each in [held.get("dataset"), *(several if isinstance(several, list | tuple) else [])]:
        if each is not None:
            yield from _inside(each, (*above, dataset))


class _Values(tuple[Any, ...]):
    """Compared by what they are: a million take some milliseconds, and less where none changed."""

    __slots__ = ()


PLAIN = (bool, int, float, str, bytes, _Values)


def _indices(dataset: Any) -> dict[str, Any]:
    indices = getattr(dataset, "indices", None) if isinstance(dataset, Subset) else None
    if isinstance(indices, list):
        return {"values of indices": _Values(indices)}
    if isinstance(indices, torch.Tensor):
        indices = indices.detach().cpu().numpy()
    if isinstance(indices, np.ndarray):
        return {"values of indices": indices.tobytes()}
    return {}


def _attributes(held: Any) -> dict[str, Any]:
    """Of an object's classes, the most general first, then its own, in a `__dict__` or in slots."""
    classes = [each for each in type(held).__mro__[::-1] if each.__module__ not in LEFT_OUT]
    found = {name: value for each in classes for name, value in vars(each).items()}
    for name in [name for name, value in found.items() if isinstance(value, MemberDescriptorType)]:
        found[name] = optional.value(held, name)
    return found | optional.attributes(held)


def _same(then: dict[str, Any], now: dict[str, Any]) -> bool:
    return then.keys() == now.keys() and all(_is(then[name], now[name]) for name in then)


def _is(then: Any, now: Any) -> bool:
    if then is now:
        return True
    try:
        return isinstance(then, PLAIN) and type(then) is type(now) and then == now
    except Exception:  # indices of a kind that cannot be compared, as arrays
        return False
