"""Whether other samples were put into a dataset, and how anything's attributes are compared."""

from __future__ import annotations

import sys
import sysconfig
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path
from types import MemberDescriptorType
from typing import Any

import numpy as np
import torch
from torch.utils.data import Subset

from datasets_impl import optional

LIBRARIES = (
    *(sysconfig.get_path(name) for name in ("stdlib", "platstdlib", "purelib", "platlib")),
    str(Path(__file__).parents[1]),
)
CACHED = ("__slotnames__", "__annotations_cache__")  # pickle and typing keep these in a class


@cache
def of_library(module: str) -> bool:
    """Whether its classes and functions are installed ones, which nobody changes in training."""
    found = sys.modules.get(module)
    file = optional.value(found, "__file__") or ""
    return str(file).startswith(LIBRARIES) or module in sys.builtin_module_names


class Held:
    """What a dataset and those that it holds as `dataset` or `datasets` had as attributes; those of
    their classes count too, where these are of no library.

    By reference: an attribute that is bound anew is noticed, what changes inside of one is not,
    but for the indices of a `Subset`: those are also changed in place, as a list that grows is.
    """

    def __init__(self, dataset: Any) -> None:
        self._attributes = list(_inside(dataset))

    def differs(self, dataset: Any) -> bool:
        now = list(_inside(dataset))
        return len(now) != len(self._attributes) or not all(map(same, self._attributes, now))


def _inside(dataset: Any, above: tuple[Any, ...] = ()) -> Iterator[dict[str, Any]]:
    """Of PyTorch's `Subset` and `ConcatDataset` also those of what they are made of."""
    if any(dataset is each for each in above):
        return
    held = attributes(dataset)
    yield held | indices(dataset)
    several = held.get("datasets")
    several = list(several.values()) if isinstance(several, dict) else several
    for each in [held.get("dataset"), *(several if isinstance(several, list | tuple) else [])]:
        if each is not None:
            yield from _inside(each, (*above, dataset))


class _Values(tuple[Any, ...]):
    """Compared by what they are: a million take some milliseconds, and less where none changed."""

    __slots__ = ()


PLAIN = (bool, int, float, str, bytes, _Values)


def indices(dataset: Any) -> dict[str, Any]:
    indices = getattr(dataset, "indices", None) if isinstance(dataset, Subset) else None
    if isinstance(indices, list):
        return {"values of indices": _Values(indices)}
    if isinstance(indices, torch.Tensor):
        indices = indices.detach().cpu().numpy()
    if isinstance(indices, np.ndarray):
        return {"values of indices": indices.tobytes()}
    return {}


def attributes(held: Any) -> dict[str, Any]:
    """Of an object's classes, the most general first, then its own, in a `__dict__` or in slots."""
    found = of_classes(held, of_library)
    for name in [name for name, value in found.items() if isinstance(value, MemberDescriptorType)]:
        found[name] = optional.value(held, name)
    return found | optional.attributes(held)


def of_classes(held: Any, leave_out: Callable[[str], bool]) -> dict[str, Any]:
    """Of its classes, but for those of modules that are to be left out."""
    classes = [each for each in type(held).__mro__[::-1] if not leave_out(each.__module__)]
    found = {name: value for each in classes for name, value in vars(each).items()}
    return {name: value for name, value in found.items() if name not in CACHED}


def same(then: dict[Any, Any], now: dict[Any, Any]) -> bool:
    return then.keys() == now.keys() and all(_is(then[name], now[name]) for name in then)


def _is(then: Any, now: Any) -> bool:
    if then is now:
        return True
    try:
        return isinstance(then, PLAIN) and type(then) is type(now) and then == now
    except Exception:  # indices of a kind that cannot be compared, as arrays
        return False
