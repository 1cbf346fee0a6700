"""What a loader's sampler asks for, the seconds that it takes to ask, and whether a sampler that
draws its order draws another one for the next epoch."""

from __future__ import annotations

import ast
import contextlib
import copy
import inspect
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from itertools import chain, islice, pairwise
from typing import Any

from torch.utils.data import BatchSampler, DataLoader, RandomSampler, SequentialSampler

from datasets_impl.doctor.probes import clock
from datasets_impl.doctor.probes.attribution import queue_seconds
from datasets_impl.doctor.probes.epochs import attribute
from datasets_impl.doctor.probes.own_code import source_of
from datasets_impl.doctor.probes.own_lines import is_users
from datasets_impl.doctor.probes.raised import RAISED, places_of, sentence
from datasets_impl.doctor.probes.source_lines import Line, line_at, name_of, parsed

LEAST = 8  # keys: fewer may come in the same order by chance
MOST_COMPARED = 256  # keys
SEEDS = ("manual_seed", "seed", "default_rng", "RandomState", "Random")
DRAWS = ("randperm", "shuffle", "permutation", "permuted", "sample", "choice", "choices", "rand",
         "random", "randint", "integers", "multinomial")  # fmt: skip


@dataclass
class Order:
    """The first that a sampler asked for; seconds before the first of all, and for the others
    together, without those in the queue for a processor. One that is `late` was broken off before
    its first; one that is `refused` raised, which `raised` tells, and none of those counts that it
    `gave`. One that has `ended` gave all that it has."""

    found: list[Any] = field(default_factory=list)
    first: float = 0.0
    rest: float = 0.0
    late: bool = False
    refused: bool = False
    gave: int = 0
    raised: str = ""  # a sentence without its end
    lines: list[Line] = field(default_factory=list)  # where it did
    ended: bool = False

    def refuse(self, error: BaseException) -> Order:
        self.refused, self.gave, self.found = True, len(self.found), []
        self.raised = sentence(error)
        self.lines = [line_at(*place) for place in places_of(error)]
        return self

    @property
    def each(self) -> float:
        """Seconds of a later one."""
        return self.rest / (len(self.found) - 1) if len(self.found) > 1 else 0.0


def order_of(
    sampler: Iterable[Any], most: int, seconds: float, order: Order | None = None
) -> Order:
    """So many of a sampler, or those that come within `seconds` of its first; they are put into
    `order`, which has them also where the sampler raises."""
    order = Order() if order is None else order
    begun, until = _running(), 0.0
    for one in islice(iter(sampler), most):
        if not order.found:
            order.first, until = _running() - begun, clock.perf_counter() + seconds
        order.found.append(one)
        if clock.perf_counter() > until:
            break
    else:
        order.ended = len(order.found) < most
    order.rest = max(0.0, _running() - begun - order.first)
    return order


def _running() -> float:
    return clock.perf_counter() - queue_seconds()


def own_sampler(loader: DataLoader[Any]) -> tuple[Any, bool]:
    """What decides on the order, and whether it gives whole batches; None for PyTorch's own
    orders."""
    batched = type(loader.batch_sampler) not in (BatchSampler, type(None))
    sampler = loader.batch_sampler if batched else loader.sampler
    plain = sampler is None or type(sampler) in (SequentialSampler, RandomSampler)
    return (None if plain else sampler), batched


def is_empty_again(sampler: Any, order: Order) -> bool:
    """Whether one that gave all that it has gives nothing when it is asked once more."""
    if not order.ended or not order.found:
        return False
    nothing = object()
    return next(iter(sampler), nothing) is nothing


def keys_of(order: Order, batched: bool) -> list[Any]:
    return list(chain.from_iterable(order.found)) if batched else order.found


def drawn_alike(sampler: Any, order: Order, batched: bool, seconds: float) -> dict[str, Any]:
    """Keys that another epoch would have in the same order, of a sampler that draws it, and the
    lines that draw; nothing where it has another order, or draws none.

    One that is told the epoch is asked for the next: whether the trainer tells it is not seen here.
    """
    lines = next(filter(None, map(_drawing, _samplers(sampler))), [])
    keys = keys_of(order, batched)[:MOST_COMPARED]
    if not lines or len(keys) < LEAST or not attribute(sampler, "shuffle", True) or _rises(keys):
        return {}
    with contextlib.suppress(*RAISED):
        again = order_of(_of_next_epoch(sampler), len(order.found), seconds)
        others = keys_of(again, batched)[: len(keys)]
        if len(others) >= LEAST and others == keys[: len(others)]:
            return {"kind": type(sampler).__name__, "keys": len(others), "lines": lines}
    return {}


def _samplers(sampler: Any) -> Iterator[Any]:
    """It, and the one that it makes batches of."""
    yield sampler
    if (inner := attribute(sampler, "sampler")) is not None:
        yield inner


def _drawing(sampler: Any) -> list[Line]:
    """The lines of the user's that seed what is drawn, or else that draw; an order that the
    constructor draws is meant to stay."""
    drawn = _calling(type(sampler), DRAWS)
    return drawn and (_calling(type(sampler), SEEDS) or drawn)


def _calling(kind: type, names: tuple[str, ...]) -> list[Line]:
    """The lines of its methods, as they are after all that it inherits, that call one of these."""
    return [
        line_at(function.__code__.co_filename, function.__code__.co_firstlineno + node.lineno - 1)
        for function in _methods(kind)
        for node in ast.walk(parsed(source_of(function)))
        if isinstance(node, ast.Call) and name_of(node.func) in names
    ]


def _methods(kind: type) -> Iterator[Any]:
    """Of the user's, but for the constructor; also one that another calls by `super`."""
    done = {"__init__"}
    for base in kind.__mro__:
        for name, one in vars(base).items():
            if inspect.isfunction(one) and is_users(one.__code__.co_filename) and name not in done:
                yield one
        done |= {name for name, one in vars(base).items() if "super()" not in source_of(one)}


def _rises(keys: list[Any]) -> bool:
    """As they lie in the dataset."""
    with contextlib.suppress(TypeError):
        return all(one <= other for one, other in pairwise(keys))
    return False


def _of_next_epoch(sampler: Any) -> Any:
    made = copy.copy(sampler)
    if attribute(inner := attribute(made, "sampler"), "set_epoch"):
        made.sampler = _of_next_epoch(inner)
    if attribute(made, "set_epoch"):
        epoch = attribute(made, "epoch")
        made.set_epoch((epoch if isinstance(epoch, int) else 0) + 1)
    return made
