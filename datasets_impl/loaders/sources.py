"""Generators that a sampler of any kind draws from, and digests of what it drew.

A state keeps where they stood; whatever else an order depends on, the digests tell.
"""

from __future__ import annotations

import hashlib
import os
import random
from array import array
from collections.abc import Iterator, MappingView, Sequence
from typing import Any

import numpy as np
import torch
from torch.utils.data import Dataset, Sampler

from datasets_impl import optional

FEW = 64  # of a list that holds samplers or generators; of indices there are more
OF_SAMPLES = ("dataset", "data_source")
SHARED = (torch.default_generator, random, getattr(random, "_inst", None),
          getattr(np.random.mtrand, "_rand", None))  # fmt: skip  # what the trainer draws from


def sources(samplers: list[Any]) -> list[Any]:
    """The generators among the attributes of samplers and of samplers that these hold."""
    found: list[Any] = []
    seen: list[Any] = list(SHARED)
    for each in samplers:
        found += _within(each, seen)
    return found


def _within(held: Any, seen: list[Any]) -> Iterator[Any]:
    if any(held is each for each in seen):
        return
    if isinstance(held, torch.Generator | np.random.Generator | np.random.RandomState):
        seen.append(held)
        yield held
    elif isinstance(held, random.Random):
        seen.append(held)
        if not isinstance(held, random.SystemRandom):
            yield held
    elif type(held) in (list, tuple, dict):
        if len(held) <= FEW:
            seen.append(held)  # it may hold itself
            for each in held.values() if type(held) is dict else held:
                yield from _within(each, seen)
    elif _is_order(held):
        seen.append(held)
        for name, each in optional.attributes(held).items():
            if name not in OF_SAMPLES:
                yield from _within(each, seen)


def _is_order(held: Any) -> bool:
    """A sampler, or one that only behaves as one; what a dataset draws is not of the order."""
    if isinstance(held, Dataset | torch.Tensor | np.ndarray | type):
        return False
    return isinstance(held, Sampler) or hasattr(type(held), "__iter__")


def standing(source: Any) -> Any:
    """Where a generator stands, as `torch.load` takes it with `weights_only`."""
    if isinstance(source, torch.Generator):
        return "torch", source.get_state()
    if isinstance(source, random.Random):
        version, words, *rest = source.getstate()
        return "python", (version, array("I", words).tobytes(), *rest)
    if isinstance(source, np.random.RandomState):
        return "RandomState", plain(source.get_state(legacy=False))
    state = plain(source.bit_generator.state)
    return f"numpy, {state['bit_generator']}", state


def put_back(found: list[Any], states: list[Any]) -> None:
    """Where there are as many of the same kinds: a sampler may make its own anew in each epoch.

    Raises:
        TypeError, ValueError, RuntimeError, KeyError: one is no state of such a generator.
    """
    if [kind for kind, _ in states] == [standing(each)[0] for each in found]:
        for source, (_, state) in zip(found, states, strict=True):
            _put_back(source, state)


def _put_back(source: Any, state: Any) -> None:
    if isinstance(source, torch.Generator):
        source.set_state(state)
    elif isinstance(source, random.Random):
        version, words, *rest = state
        source.setstate((version, tuple(array("I", words)), *rest))
    elif isinstance(source, np.random.RandomState):
        source.set_state(arrays(state))
    else:
        source.bit_generator.state = arrays(state)


def plain(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: plain(each) for name, each in value.items()}
    if isinstance(value, np.ndarray):
        return "array", value.dtype.str, value.tobytes()
    return value.item() if isinstance(value, np.generic) else value


def arrays(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: arrays(each) for name, each in value.items()}
    if isinstance(value, tuple | list):
        _, kind, words = value
        return np.frombuffer(words, kind).copy()
    return value


def kept(indices: Any) -> Any:
    """As a list what can be neither copied nor pickled, or shows what its mapping is later."""
    if isinstance(indices, MappingView | Iterator | memoryview):
        return [*indices]  # type: ignore[misc]  # each kind of view has items
    return indices


def chained(before: str, indices: Any) -> str:
    """A digest of all indices so far, from that of those before and the next batch's."""
    return hashlib.blake2b(before.encode() + content(indices), digest_size=8).hexdigest()


def content(value: Any) -> bytes:
    """The same for what is equal, in any process; of unknown objects only their class."""
    if type(value) in (list, tuple):
        try:
            return array("q", value).tobytes()
        except (TypeError, OverflowError):
            each = [content(one) for one in value]
            return b"(" + b"".join(b"%d:" % len(one) + one for one in each) + b")"
    if isinstance(value, torch.Tensor):
        whole = not (value.is_floating_point() or value.is_complex())
        return content(value.cpu().numpy() if whole else value.detach().cpu().tolist())
    if isinstance(value, np.ndarray) and value.dtype.kind in "iu":
        return value.astype("<i8").tobytes()
    if isinstance(value, range):
        return content(np.arange(value.start, value.stop, value.step))
    if isinstance(value, np.ndarray | np.generic):
        return content(value.tolist())
    if isinstance(value, dict):
        return content([*value.items()])
    if isinstance(value, Sequence) and not isinstance(value, str | bytes):
        return content([*value])
    if value is None or isinstance(value, int | float | complex | str | bytes):
        return repr(value).encode(errors="surrogatepass")
    return type(value).__qualname__.encode(errors="surrogatepass")


def digest(values: Any) -> str:
    """Of a list of indices or weights, which may be long."""
    return hashlib.blake2b(content(values), digest_size=8).hexdigest()


def rank(samplers: list[Any]) -> list[int]:
    """Which process this is, where several share an order: one may save what all load."""
    told = [optional.value(each, "rank") for each in samplers]
    told += [each.start for each in samplers if isinstance(each, range)]
    found = [each for each in told if isinstance(each, int)]
    here = os.environ.get("RANK", "")
    distributed = torch.distributed
    if distributed.is_available() and distributed.is_initialized():
        found.append(distributed.get_rank())
    elif here.isdecimal():
        found.append(int(here))
    return found
