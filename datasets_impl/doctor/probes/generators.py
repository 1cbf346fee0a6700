"""NumPy's generators, which the profiler does not see draw: others in their place note or change
what they do. Their methods cannot be replaced, only the objects."""

from __future__ import annotations

import contextlib
import inspect
import sys
from collections.abc import Callable, Iterator
from types import SimpleNamespace
from typing import Any

import numpy as np

from datasets_impl.doctor.probes.callees import Callee, users_modules
from datasets_impl.doctor.probes.epochs import attribute
from datasets_impl.doctor.probes.own_lines import is_users
from datasets_impl.doctor.probes.parts import parts
from datasets_impl.doctor.probes.raised import RAISED
from datasets_impl.doctor.probes.standing import for_users
from datasets_impl.doctor.probes.target import Subject

KINDS = (np.random.Generator, np.random.RandomState)
MAKERS = ("default_rng", "RandomState")
# Of a generator, or the module that makes one, the name of what it does: what is called instead.
Instead = Callable[[Any, str, Callable[..., Any]], Callable[..., Any]]
Pairs = list[tuple[Callee, Any]]


class StandIn:
    """To the code a generator of the same kind, whose methods are others."""

    def __init__(self, generator: Any, instead: Instead) -> None:
        self.__dict__.update(_own=generator, _instead=instead)

    @property  # type: ignore[misc]
    def __class__(self) -> Any:  # code asks for it by `isinstance`
        return type(self.__dict__["_own"])

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        found = getattr(self.__dict__["_own"], name)
        if name.startswith("_") or not callable(found):
            return found
        made = self.__dict__[name] = self.__dict__["_instead"](self.__dict__["_own"], name, found)
        return made


def callee_of(generator: Any, name: str) -> Callee:
    """As calls of functions are told: `numpy.random.Generator.normal`."""
    home = getattr(generator, "__name__", f"numpy.random.{type(generator).__name__}")
    return Callee(f"rng.{name}", SimpleNamespace(__name__=home), name)


def standing_in(subject: Subject, instead: Instead) -> Pairs:
    """For the generators that the dataset and the user's modules hold, and for those that are made
    while a sample is read."""
    found: Pairs = [(one, StandIn(one.function, instead)) for one in _held(subject)]
    for callee in _makers(subject):
        kind, making = callee.function, _making(callee, instead)
        made = as_class(kind, making) if inspect.isclass(kind) else for_users(callee, making)
        found.append((callee, made))
    return found


def _making(callee: Callee, instead: Instead) -> Callable[..., Any]:
    make = instead(np.random, callee.attribute, callee.function)

    def made(*given: Any, **options: Any) -> Any:
        found = make(*given, **options)
        return found if type(found) is StandIn else StandIn(found, instead)

    return made


def as_class(original: Any, making: Callable[..., Any]) -> Any:
    """What the user's code calls as it does the class; others make what they always made, and all
    may ask whether something is of that class."""

    class Kind(type):
        def __call__(cls, *given: Any, **options: Any) -> Any:
            of_user = is_users(sys._getframe(1).f_code.co_filename)
            return (making if of_user else original)(*given, **options)

        def __instancecheck__(cls, one: Any) -> bool:
            return isinstance(one, original)

    return Kind(original.__name__, (), {})


def _held(subject: Subject) -> Iterator[Callee]:
    held = [value for _, value, _ in parts(subject.dataset) if not inspect.ismodule(value)]
    for holder in (*held, *users_modules(subject)):
        for name, value in list((attribute(holder, "__dict__") or {}).items()):
            if isinstance(value, KINDS):
                with contextlib.suppress(*RAISED):  # it may be frozen
                    setattr(holder, name, value)
                    yield Callee(name, holder, name)


def _makers(subject: Subject) -> Iterator[Callee]:
    for name in MAKERS:
        original = getattr(np.random, name)
        for owner in (np.random, *users_modules(subject)):
            if vars(owner).get(name) is original:
                yield Callee(name, owner, name)
