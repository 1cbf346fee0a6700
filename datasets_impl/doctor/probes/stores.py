"""What reads may fill: dictionaries and lists of the dataset and of its classes, functions and
modules, and what `functools.lru_cache` keeps."""

from __future__ import annotations

import gc
import inspect
import sys
from collections import OrderedDict, UserDict
from collections.abc import Iterator, MutableMapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import islice
from typing import Any

from torch.utils.data import Dataset

from datasets_impl.doctor.probes.callees import users_modules
from datasets_impl.doctor.probes.epochs import attribute, has
from datasets_impl.doctor.probes.own_lines import is_users
from datasets_impl.doctor.probes.parts import BIG, HANDLES, kind_name, parts
from datasets_impl.doctor.probes.samples import Leaf, leaves, size_of
from datasets_impl.doctor.probes.source_lines import Line, of_function, of_part, put_by_name
from datasets_impl.doctor.probes.target import Subject

LEAST_BYTES = 64  # of what is kept, below which it is an index: names and numbers


@dataclass(frozen=True)
class Store:
    """`path` is what the user calls it: `dataset.kept`, `KEPT`, `Rows.kept`, `Rows.load()`."""

    path: str
    value: Any
    places: list[tuple[Any, str]] = field(default_factory=list)  # of a function: who has it
    kind: type | None = None  # the class that has it

    @property
    def is_function(self) -> bool:
        return has(self.value, "cache_info")

    @property
    def filled(self) -> int:
        """Elements; of a list those that are not None, among the first."""
        if self.is_function:
            return int(self.value.cache_info().currsize)
        if isinstance(self.value, list):
            return sum(one is not None for one in islice(self.value, BIG))
        return len(self.value)

    @property
    def most(self) -> int | None:
        """Elements that it keeps; None where there is no limit."""
        if self.is_function:
            limit = self.value.cache_info().maxsize
        else:
            limit = attribute(self.value, "maxsize")
        return int(limit) if isinstance(limit, int | float) and limit < sys.maxsize else None

    @property
    def keeps(self) -> bool:
        """Whether it holds data, and not only the last of it."""
        held = _results_of(self.value) if self.is_function else _last_of(self.value)
        large = any(size_of(one) >= LEAST_BYTES for one in held)
        return large and (self.most is None or self.filled < self.most)

    @property
    def can_be_emptied(self) -> bool:
        return self.is_function or isinstance(self.value, dict | list)

    def lines(self, subject: Subject) -> list[Line]:
        """Where it is filled."""
        if self.is_function:
            return of_function(self.value)
        if self.path.startswith("dataset."):
            return of_part(subject.dataset, f"{self.path}[0]")
        return put_by_name(users_modules(subject), self.path.rpartition(".")[2], self.kind)

    @contextmanager
    def emptied(self) -> Iterator[None]:
        """Nothing is in it when the block begins, and what was in it when the block has ended;
        instead of a function that keeps results the one that makes them is called."""
        if self.is_function:
            held = [(owner, name, vars(owner)[name]) for owner, name in self.places]
            for owner, name, function in held:
                setattr(owner, name, _bare(function))
            try:
                yield
            finally:
                for owner, name, function in held:
                    setattr(owner, name, function)
        elif isinstance(self.value, list):
            elements = self.value[:]
            self.value[:] = [None] * len(elements)
            try:
                yield
            finally:
                self.value[:] = elements
        else:
            pairs = dict(self.value)
            ordered = isinstance(self.value, OrderedDict)
            self._clear_plainly()
            try:
                yield
            finally:
                self._clear_plainly()
                if ordered:
                    for key, value in pairs.items():
                        OrderedDict.__setitem__(self.value, key, value)
                else:
                    dict.update(self.value, pairs)

    def _clear_plainly(self) -> None:
        """Whatever else a class of the user's does then."""
        (OrderedDict if isinstance(self.value, OrderedDict) else dict).clear(self.value)

    def clear(self) -> None:
        """Of a list nobody knows what it was when it was empty."""
        if self.is_function:
            self.value.cache_clear()
        elif isinstance(self.value, dict):
            self.value.clear()


def stores(subject: Subject) -> list[Store]:
    """Each once."""
    found: dict[int, Store] = {}
    for path, value, owner in _all(subject):
        is_function = path.endswith("()")
        if isinstance(value, MutableMapping | list | set) or is_function:
            kind = owner if inspect.isclass(owner) else None
            store = found.setdefault(id(value), Store(path, value, kind=kind))
            store.places.extend([(owner, path[:-2].rpartition(".")[2])] if is_function else [])
    return list(found.values())


def sizes(subject: Subject) -> dict[str, int]:
    return {store.path: store.filled for store in stores(subject)}


def _all(subject: Subject) -> Iterator[tuple[str, Any, Any]]:
    """Values by their paths, with who has them; a path ends with () where it is a function that
    keeps its results."""
    foreign, kinds = list[str](), dict[type, None]()
    for path, value, _ in parts(subject.dataset):
        if path.startswith(tuple(foreign)):
            continue
        owner = _is_users(type(value))
        if not owner and has(value, "__dict__") and not isinstance(value, Dataset | UserDict):
            foreign.append(f"{path}.")
        if owner:
            kinds |= dict.fromkeys(base for base in type(value).__mro__ if _is_users(base))
        yield path, value, None
        if owner or isinstance(value, Dataset):
            for name, function in list(attribute(value, "__dict__", {}).items()):
                if has(function, "cache_info"):
                    yield f"{path}.{name}()", function, value
    for kind in kinds:
        yield from _of_names(kind, f"{kind.__name__}.")
    for module in users_modules(subject):
        yield from _of_names(module, "")


def _of_names(home: Any, before: str) -> Iterator[tuple[str, Any, Any]]:
    for name, value in list(vars(home).items()):
        if name.startswith("__") and name.endswith("__") and not callable(value):
            continue
        inner: Any = attribute(value, "__func__") or value  # of a static method
        if inspect.isclass(inner):
            continue
        if callable(inner) and attribute(inner, "cache_info") and attribute(inner, "__wrapped__"):
            yield f"{before}{name}()", inner, home
        elif inspect.isfunction(inner) and is_users(inner.__code__.co_filename):
            yield from ((f"{before}{name}.{one}", held, inner) for one, held in _held_by(inner))
        else:
            yield f"{before}{name}", value, home


def _held_by(function: Any) -> Iterator[tuple[str, Any]]:
    """What a function remembers: attributes, default arguments, and names of the function that it
    was made in."""
    code = function.__code__
    yield from vars(function).items()
    given = function.__defaults__ or ()
    names = code.co_varnames[: code.co_argcount]
    yield from zip(names[len(names) - len(given) :], given, strict=True)
    for name, cell in zip(code.co_freevars, function.__closure__ or (), strict=True):
        try:
            yield name, cell.cell_contents
        except ValueError:  # it is empty
            continue


def _is_users(kind: type) -> bool:
    return is_users(getattr(sys.modules.get(kind.__module__), "__file__", None) or "<")


def _bare(held: Any) -> Any:
    """A function, as a class or module has it, without what keeps its results."""
    if isinstance(held, staticmethod | classmethod):
        function: Any = held.__func__
        return type(held)(function.__wrapped__)
    return held.__wrapped__


def _last_of(store: Any) -> list[Any]:
    """What was put in last; nothing where it would be read from a file."""
    if isinstance(store, dict):
        return [*islice(reversed(store.values()), 1)]
    if isinstance(store, MutableMapping):
        return [] if kind_name(store) in HANDLES else list(store.values())[-1:]
    return [one for one in islice(store, BIG) if one is not None][-1:]


def _results_of(function: Any) -> list[Any]:
    """Data that `functools.lru_cache` holds, which it does not show: its arguments are there as
    well, and are names and numbers."""
    held = list[Any]()
    for one in gc.get_referents(function):
        held += one.values() if isinstance(one, dict) and one is not vars(function) else [one]
    return [one for one in held if any(map(_is_data, leaves(one)))]


def _is_data(leaf: Leaf) -> bool:
    return isinstance(leaf.value, bytes) or leaf.values is not None
