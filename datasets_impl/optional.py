"""What an object of anybody's may have or not, such as a dataset that hears of epochs.

`getattr` and `hasattr` take an AttributeError alone for a no. A `__getattr__` that looks names up
in a dictionary raises KeyError, and a property whatever it likes: to a `DataLoader`, which does not
ask, such a dataset is as good as any other.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any


def value(held: Any, name: str) -> Any:
    """The attribute, or None where there is none or asking for it raises any error."""
    try:
        return getattr(held, name, None)
    except Exception:
        return None


def method(held: Any, name: str) -> Callable[..., Any] | None:
    """The same of what can be called alone."""
    found = value(held, name)
    return found if callable(found) else None


def has(held: Any, method_of: str) -> bool:
    return method(held, method_of) is not None


def attributes(held: Any) -> dict[str, Any]:
    """What an object holds itself, by name."""
    found = value(held, "__dict__")
    return dict(found) if isinstance(found, Mapping) else {}


def one_in_another(dataset: Any) -> Iterator[Any]:
    """The dataset, its `dataset`, and so on until there is none or one comes again."""
    seen: list[Any] = []
    while dataset is not None and not any(dataset is each for each in seen):
        yield dataset
        seen.append(dataset)
        dataset = value(dataset, "dataset")
