"""Whether a dataset has changed since a copy of it went to another process."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

PLAIN = (bool, int, float, str, bytes)


class Held:
    """What a dataset, and those that it holds as `dataset` or `datasets`, had as attributes.

    By reference: an attribute that is bound anew is noticed, what changes inside of one is not.
    """

    def __init__(self, dataset: Any) -> None:
        self._attributes = list(_inside(dataset))

    def differs(self, dataset: Any) -> bool:
        now = list(_inside(dataset))
        return len(now) != len(self._attributes) or not all(map(_same, self._attributes, now))


def _inside(dataset: Any, above: tuple[Any, ...] = ()) -> Iterator[dict[str, Any]]:
    """Of PyTorch's `Subset` and `ConcatDataset` also those of what they are made of."""
    if any(dataset is each for each in above):
        return
    held = dict(getattr(dataset, "__dict__", {}))
    yield held
    several = held.get("datasets")
    several = list(several.values()) if isinstance(several, dict) else several
    for each in [held.get("dataset"), *(several if isinstance(several, list | tuple) else [])]:
        if each is not None:
            yield from _inside(each, (*above, dataset))


def _same(then: dict[str, Any], now: dict[str, Any]) -> bool:
    return then.keys() == now.keys() and all(_is(then[name], now[name]) for name in then)


def _is(then: Any, now: Any) -> bool:
    return then is now or (isinstance(then, PLAIN) and type(then) is type(now) and then == now)
