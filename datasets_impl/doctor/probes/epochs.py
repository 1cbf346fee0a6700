"""What a trainer tells the epoch: a sampler or dataset with `set_epoch`, also one within others."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from typing import Any

DEEP = 5  # levels of wrappers
MOST = 64  # elements of a list of datasets
_NOTHING = object()


def attribute(thing: Any, name: str, other: Any = None) -> Any:
    """Of a user's object, `other` where it has none: its `__getattr__`, or a property, may raise
    whatever it likes."""
    try:
        return getattr(thing, name, other)
    except Exception:
        return other


def has(thing: Any, name: str) -> bool:
    return attribute(thing, name, _NOTHING) is not _NOTHING


def told_epoch(thing: Any, deep: int = DEEP) -> Iterator[Any]:
    """The outermost that have `set_epoch`: they tell what is within."""
    if thing is None or callable(attribute(thing, "set_epoch")):
        yield from () if thing is None else (thing,)
        return
    for value in list((attribute(thing, "__dict__") or {}).values()) if deep else ():
        for one in value[:MOST] if isinstance(value, list | tuple) else (value,):
            if isinstance(one, _wrapped()) or callable(attribute(one, "set_epoch")):
                yield from told_epoch(one, deep - 1)


def is_sampler(one: Any) -> bool:
    """Rather than a dataset, which a sampler may hold too."""
    data = sys.modules.get("torch.utils.data")
    dataset = hasattr(type(one), "__getitem__") or (data and isinstance(one, data.Dataset))
    return not dataset


def epoch_of(one: Any) -> int | None:
    """That it was told last; None where it does not say, or does not draw by it."""
    # Of Hugging Face a dataset that is not shuffled has `_shuffling` None.
    if not attribute(one, "shuffle", True) or attribute(one, "_shuffling", one) is None:
        return None
    for name in ("epoch", "_epoch", "current_epoch"):
        found = attribute(one, name)
        found = getattr(found, "item", lambda found=found: found)()  # in memory that is shared
        if isinstance(found, int):
            return found
    return None


def _wrapped() -> tuple[type, ...]:
    """PyTorch's kinds, which nothing is of before PyTorch is imported."""
    data = sys.modules.get("torch.utils.data")
    return (data.Dataset, data.Sampler) if data else ()
