"""Whether samples may differ from one read to the next, by the names and the source of what makes
them: a transform that does something to one sample in twenty is not seen by reading a few."""

from __future__ import annotations

import ast
import inspect
import re
import sys
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Any

from datasets_impl.doctor.probes.epochs import attribute
from datasets_impl.doctor.probes.own_code import is_own, source_of

RANDOM_CLASSES = re.compile(
    r"^(Random|ColorJitter|AutoAugment|TrivialAugment|AugMix|GaussianNoise|MixUp|CutMix)"
)
RANDOM_PACKAGES = ("albumentations", "imgaug", "kornia.augmentation")
DRAWS = re.compile(
    r"^(random|rng|generator|randn?|randint|randperm|shuffle|bernoulli|multinomial|epoch)$"
)
DEEP = 3  # functions that call functions
TRANSFORM = re.compile(r"transform|augment", re.IGNORECASE)


def is_random(name: str, value: Any) -> bool:
    """A transform that draws: known by its class's name, or by its own source when the user's."""
    kind = type(value)
    if not callable(value):
        return False
    if attribute(value, "p") == 0:  # switched off
        return False
    if RANDOM_CLASSES.match(kind.__name__) or str(kind.__module__).startswith(RANDOM_PACKAGES):
        return True
    if not TRANSFORM.search(name) or "torchvision" in kind.__module__:
        return False
    return bool(_draws(value if inspect.isfunction(value) or inspect.ismethod(value) else kind))


def may_change(name: str, value: Any) -> str:
    """Why samples that `value` has a part in may differ from read to read.

    "" where nothing says so. Constructors do not count: what they draw stays.
    """
    if is_random(name, value):
        return f"{type(value).__name__} draws random numbers"
    if callable(attribute(value, "set_epoch")):
        return f"{type(value).__name__} is told its epoch"
    if inspect.isfunction(value) or inspect.ismethod(value):
        found = [value]
    else:  # those that it has in the end: what a class replaces draws nothing
        methods = inspect.getmembers_static(type(value), inspect.isfunction)
        found = [method for name, method in methods if name != "__init__"]
    for function in found:
        if why := _of_function(function):
            return why
    return ""


def _of_function(function: Any, deep: int = 0) -> str:
    """Why a function's result may change, by its code and that of what it takes from its module."""
    function = inspect.unwrap(attribute(function, "__func__") or function)
    try:
        where = inspect.getsourcefile(function)
    except TypeError:
        return ""
    if not where or not is_own(where):
        return ""
    if drawn := _draws(function):
        return f"{function.__qualname__} uses {drawn!r}"
    if deep == DEEP:
        return ""
    for name in function.__code__.co_names:
        value = function.__globals__.get(name)
        if inspect.isfunction(value) and (why := _of_function(value, deep + 1)):
            return why
        several = attribute(value, "transforms")  # a `Compose`'s, or a module's
        inner = [value, *(several if isinstance(several, Iterable) else ())]
        if any(is_random("", one) for one in inner if not inspect.isclass(one)):
            return f"{function.__qualname__} uses {name!r}, which draws random numbers"
    return ""


@contextmanager
def noting_calls(values: Iterable[Any]) -> Iterator[list[Any]]:
    """Fills a list with those of `values`, functions or objects, that are called in the block."""
    noted: list[Any] = []
    by_id = {id(value): value for value in values}
    by_code = {value.__code__: value for value in values if inspect.isfunction(value)}

    def note(frame: Any, event: str, argument: Any) -> None:
        if event != "call":
            return
        code = frame.f_code
        value = by_code.get(code)
        if value is None and code.co_varnames[:1] == ("self",):
            value = by_id.get(id(frame.f_locals.get("self")))
        if value is not None:
            noted.append(value)

    sys.setprofile(note)
    try:
        yield noted
    finally:
        sys.setprofile(None)


def is_called_to_store(name: str, owner: Any) -> bool:
    """Whether the class of `owner` calls its `name`, or an argument of that name, elsewhere than
    where a sample is read."""
    try:
        tree = ast.parse(source_of(type(owner)))
    except SyntaxError:
        return False
    reading = {
        id(node)
        for method in ast.walk(tree)
        if isinstance(method, ast.FunctionDef) and method.name.startswith("__getitem")
        for node in ast.walk(method)
    }
    return any(
        isinstance(node, ast.Call) and id(node) not in reading
        and name in (getattr(node.func, "attr", ""), getattr(node.func, "id", ""))
        for node in ast.walk(tree)
    )  # fmt: skip


def _draws(thing: Any) -> str:
    """The first name in the code, comments and strings aside, that draws random numbers."""
    try:
        tree = ast.parse(source_of(thing))
    except SyntaxError:
        return ""
    made = {
        id(node)
        for method in ast.walk(tree)
        if isinstance(method, ast.FunctionDef) and method.name == "__init__"
        for node in ast.walk(method)
    }
    for node in ast.walk(tree):
        name = getattr(node, "attr", None) or getattr(node, "id", None)
        if id(node) not in made and isinstance(name, str) and DRAWS.match(name):
            return name
    return ""
