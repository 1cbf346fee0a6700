"""Whether samples may differ from one read to the next, by the names and the source of what makes
them: a transform that does something to one sample in twenty is not seen by reading a few."""

from __future__ import annotations

import ast
import inspect
import re
from typing import Any

from datasets_impl.doctor.attribution import is_own
from datasets_impl.doctor.source import source_of

RANDOM_CLASSES = re.compile(
    r"^(Random|ColorJitter|AutoAugment|TrivialAugment|AugMix|GaussianNoise|MixUp|CutMix)"
)
RANDOM_PACKAGES = ("albumentations", "imgaug", "kornia.augmentation")
DRAWS = re.compile(
    r"^(random|rng|generator|randn?|randint|randperm|shuffle|bernoulli|multinomial)$"
)
TRANSFORM = re.compile(r"transform|augment", re.IGNORECASE)


def is_random(name: str, value: Any) -> bool:
    """A transform that draws: known by its class's name, or by its own source when the user's."""
    kind = type(value)
    if not callable(value):
        return False
    if RANDOM_CLASSES.match(kind.__name__) or kind.__module__.startswith(RANDOM_PACKAGES):
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
    if callable(getattr(value, "set_epoch", None)):
        return f"{type(value).__name__} is told its epoch"
    if inspect.isfunction(value) or inspect.ismethod(value):
        found = [value]
    else:  # those that it has in the end: what a class replaces draws nothing
        methods = inspect.getmembers_static(type(value), inspect.isfunction)
        found = [method for name, method in methods if name != "__init__"]
    for function in found:
        where = inspect.getsourcefile(function)
        if where and is_own(where) and (drawn := _draws(function)):
            return f"{function.__qualname__} uses {drawn!r}"
    return ""


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
