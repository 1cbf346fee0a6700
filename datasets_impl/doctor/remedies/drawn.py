"""Random numbers drawn in another way: many at once where a loop asks for one at a time, in
float32, and a choice that does not shuffle all there is.

The numbers are others, of the same distribution; so only samples that differ from read to read are
tried, and only where theirs are of the same kinds.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from datasets_impl.doctor.probes.generators import callee_of, standing_in
from datasets_impl.doctor.probes.raised import RAISED
from datasets_impl.doctor.probes.samples import signature
from datasets_impl.doctor.probes.standing import for_users
from datasets_impl.doctor.probes.thresholds import LOOPED
from datasets_impl.doctor.remedies.remedy import FEW, Context, Instead, Remedy

CAUSES = ("drawing random numbers", "python")
LEAST_SHARE = 0.15  # of a sample's time, of what is replaced
BLOCK = 4096  # numbers
MANY = 1000  # of an array, for its kind to matter
HOMES = ("numpy.random.", "random.", "torch.")
# Functions that draw one number where no size is given -> arguments that come before the size.
ONE_BY_ONE = {
    "rand": 0, "randn": 0, "random": 0, "random_sample": 0, "standard_normal": 0, "normal": 2,
    "uniform": 2, "randint": 2, "integers": 2, "exponential": 1, "poisson": 1,
}  # fmt: skip
OF_PYTHON = ("randint", "randrange", "gauss", "normalvariate")
AT_ONCE = """numbers = rng.random(count)  # one call before the loop, in place of one for each turn
for number in numbers: ..."""
IN_FLOAT32 = """rng = np.random.default_rng(torch.initial_seed())  # in each worker
rng.standard_normal(size, dtype=np.float32)  # or rng.random(size, ...)"""
CHOSEN = """rng = np.random.default_rng(torch.initial_seed())  # in each worker
rng.choice(n, k, replace=False, shuffle=False)  # does not shuffle all n"""

_generators: dict[int, np.random.Generator] = {}  # of this process


def _own() -> np.random.Generator:
    if os.getpid() not in _generators:
        _generators.clear()
        _generators[os.getpid()] = np.random.default_rng()
    return _generators[os.getpid()]


class OneOfMany:
    """Stands in for a function that draws one number: `draw` gives `BLOCK` of them for the same
    arguments, or None where these ask for something else."""

    def __init__(self, original: Callable[..., Any], draw: Callable[..., Any]) -> None:
        self.original, self.draw = original, draw
        self.left: dict[Any, Iterator[Any]] = {}

    def __call__(self, *given: Any, **options: Any) -> Any:
        key = (given, *options.items()) if options else given
        try:
            return next(self.left[key])
        except (KeyError, StopIteration):
            many = self.draw(given, options)
        except TypeError:  # arguments that are no keys
            many = None
        if many is None:
            return self.original(*given, **options)
        self.left[key] = iter(many)
        return next(self.left[key])


def _of_numpy(original: Callable[..., Any], name: str) -> Callable[..., Any] | None:
    before = ONE_BY_ONE.get(name)
    if before is None:
        return None

    def draw(given: tuple[Any, ...], options: dict[str, Any]) -> Any:
        if len(given) > before or "size" in options:
            return None
        many = original(BLOCK) if name in ("rand", "randn") else original(
            *given, size=BLOCK, **options
        )  # fmt: skip
        return list(many) if isinstance(original(*given, **options), np.generic) else many.tolist()

    return draw


def _of_torch(original: Callable[..., Any], name: str) -> Callable[..., Any] | None:
    if name not in ("rand", "randn"):
        return None

    def draw(given: tuple[Any, ...], options: dict[str, Any]) -> Any:
        shape = given[0] if len(given) == 1 and isinstance(given[0], tuple | list) else given
        if options or np.prod(shape) != 1:
            return None
        return original(BLOCK, *shape).unbind(0)

    return draw


def _of_python(name: str) -> Callable[..., Any] | None:
    def draw(given: tuple[Any, ...], options: dict[str, Any]) -> Any:
        if options or len(given) not in (1, 2):
            return None
        if name in ("gauss", "normalvariate"):
            return _own().normal(given[0], given[-1], BLOCK).tolist() if len(given) == 2 else None
        low, high = given if len(given) == 2 else (0, *given)
        return _own().integers(low, high + (name == "randint"), BLOCK).tolist()

    return draw if name in OF_PYTHON else None


@dataclass(frozen=True)
class Quicker:
    """Stands in for a function that draws an array."""

    original: Callable[..., Any]
    name: str

    def __call__(self, *given: Any, **options: Any) -> Any:
        made = _QUICKER[self.name](*given, **options)
        return self.original(*given, **options) if made is None else made


def _normal(loc: Any = 0.0, scale: Any = 1.0, size: Any = None) -> Any:
    if _few(size):
        return None
    return _own().standard_normal(size, dtype=np.float32) * scale + loc


def _uniform(low: Any = 0.0, high: Any = 1.0, size: Any = None) -> Any:
    return None if _few(size) else _own().random(size, dtype=np.float32) * (high - low) + low


def _choice(of: Any, size: Any = None, replace: bool = True, p: Any = None, **more: Any) -> Any:
    if replace or p is not None or more.get("axis"):
        return None
    return _own().choice(of, size, replace=False, shuffle=False)


def _few(size: Any) -> bool:
    return size is None or int(np.prod(size)) < MANY


_QUICKER: dict[str, Callable[..., Any]] = {
    "normal": _normal,
    "standard_normal": lambda size=None, **_: _normal(size=size),
    "randn": lambda *size: _normal(size=size),
    "uniform": _uniform,
    "random": lambda size=None, **_: _uniform(size=size),
    "random_sample": lambda size=None: _uniform(size=size),
    "rand": lambda *size: _uniform(size=size),
    "choice": _choice,
}


def drawn(at: Context) -> list[Remedy]:
    """Where drawing takes the time of samples that are not the same each time."""
    if not set(CAUSES) & set(at.found) or at.same_each_time:
        return []
    calls = [one for one in at.seen["repeats"]["calls"]
             if one["full_name"].startswith(HOMES) and one["share"] >= LEAST_SHARE]  # fmt: skip
    looped = {one["full_name"] for one in calls if one["calls"] >= LOOPED * one["samples"]}
    others = {one["full_name"] for one in calls} - looped
    lines = CHOSEN if any(one.endswith(".choice") for one in others) else IN_FLOAT32
    return [
        *_tried(at, looped, _at_once, "drawn-at-once", "Draw a loop's numbers at once", AT_ONCE),
        *_tried(at, others, _quicker, "drawn-quicker", "Draw with less work for each", lines),
    ]


def _at_once(original: Callable[..., Any], full_name: str) -> Callable[..., Any]:
    home, _, name = full_name.rpartition(".")
    draw = (
        _of_torch(original, name) if home == "torch"
        else _of_python(name) if home == "random"
        else _of_numpy(original, name)
    )  # fmt: skip
    return OneOfMany(original, draw) if draw else original


def _quicker(original: Callable[..., Any], full_name: str) -> Callable[..., Any]:
    home, _, name = full_name.rpartition(".")
    of_numpy = home.startswith("numpy.random") and name in _QUICKER
    return Quicker(original, name) if of_numpy else original


def _tried(
    at: Context, names: set[str], make: Callable[..., Any], name: str, title: str, lines: str
) -> list[Remedy]:
    changed: list[str] = []

    def other(original: Callable[..., Any], full_name: str) -> Callable[..., Any]:
        made = make(original, full_name) if full_name in names else original
        if made is not original:
            changed.append(full_name)
        return made

    def instead(generator: Any, method: str, original: Callable[..., Any]) -> Callable[..., Any]:
        return other(original, callee_of(generator, method).full_name)

    if not names:
        return []
    pairs: list[Any] = []
    for one in at.callees.values():
        if one.full_name in names:
            made = other(one.function, one.full_name)
            # Of quick calls it would cost more to find out whose they are.
            pairs.append((one, made if isinstance(made, OneOfMany) else for_users(one, made)))
    pairs += standing_in(at.subject, instead)
    tried = Instead(at.part, pairs)
    if not _of_the_same_kind(at, tried) or not changed:
        return []
    return [
        Remedy(
            name,
            title,
            lines,
            tried,
            at.subject.workers,
            caution="other numbers of the same distribution",
            mends=CAUSES,
        )
    ]


def _of_the_same_kind(at: Context, made: Instead) -> bool:
    try:
        return all(
            signature(at.part[place]) == signature(made[place])
            for place in range(min(FEW, len(at.samples)))
        )
    except RAISED:
        return False
