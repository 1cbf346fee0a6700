"""Whether what a separate process was sent is still what the trainer has."""

from __future__ import annotations

import dis
import os
import pickle
import random
import sys
from argparse import Namespace
from collections import deque
from collections.abc import Iterator
from contextlib import suppress
from functools import lru_cache, partial
from types import CodeType, FunctionType, MethodType, ModuleType, SimpleNamespace
from typing import Any

import numpy as np
import torch
from torch.utils.data import DataLoader

from datasets_impl import optional
from datasets_impl.loaders.changes import PLAIN, attributes, indices, of_classes, of_library, same
from datasets_impl.loaders.resumable import Resumable

MOST = 20_000  # values that are looked at: some 10 ms an epoch
MOST_ITEMS = 1_000  # of a list or dictionary; of a longer one its length counts
MOST_BYTES = 2**16  # of an array
CLOSED = (ModuleType, type, DataLoader, Resumable)  # what these hold changes with every epoch
SETTINGS = (  # of libraries, which samples depend on
    ("PIL.ImageFile", "LOAD_TRUNCATED_IMAGES"),
    ("PIL.Image", "MAX_IMAGE_PIXELS"),
    ("torchvision", "_image_backend"),
)
DRAWING = (random.Random, np.random.Generator, np.random.RandomState, torch.Generator)


class Sent:
    """What a dataset and the functions beside it could read when they were sent.

    That are their attributes and what these hold, the variables that a user's own functions name,
    the environment, the current folder, and what PyTorch and Pillow are set to.
    """

    def __init__(self, *roots: Any) -> None:
        self._facts = list(_facts(roots))

    def differs(self, *roots: Any) -> bool:
        now = list(_facts(roots))
        return len(now) != len(self._facts) or not all(map(same, self._facts, now))


def _facts(roots: tuple[Any, ...]) -> Iterator[dict[Any, Any]]:
    yield dict(os.environ)
    with suppress(OSError):  # it is gone
        yield {"folder": os.getcwd()}  # noqa: PTH109 - a text, which is compared
    yield {name: optional.value(sys.modules.get(module), name) for module, name in SETTINGS}
    yield {"dtype": torch.get_default_dtype(), "device": str(torch.get_default_device())}
    yield dict(enumerate(roots))
    for each in roots:
        yield of_classes(each, "builtins".__eq__)
    queue, seen, left = deque(roots), dict[int, Any](), MOST
    while queue and left > 0:  # the nearest first
        each = queue.popleft()
        if each is None or isinstance(each, PLAIN) or id(each) in seen:
            continue
        found: dict[Any, Any] = {}
        with suppress(Exception):  # objects may be of any kind, and another thread change them
            found = _inside(each)
        if found:
            seen[id(each)] = each
            yield found
            queue.extend(found.values())
            left -= len(found)


def _inside(each: Any) -> dict[Any, Any]:
    """What changes while `each` stays the same object; nothing where that is not looked at."""
    if isinstance(each, CLOSED):
        return {}
    if isinstance(each, dict | list | tuple | set | frozenset | deque):
        small = len(each) <= MOST_ITEMS
        items = each if isinstance(each, dict) else enumerate(each)
        few = dict(items) if small else {"length": len(each)}
        return {**few, **attributes(each)}
    if isinstance(each, DRAWING):
        return {"state": pickle.dumps(each)}
    if isinstance(each, torch.Tensor):  # a shared one changes there too
        shared = each.is_shared()  # type: ignore[no-untyped-call]
        return {} if shared else {"version": optional.value(each, "_version")}
    if type(each) is np.ndarray:
        small = each.nbytes <= MOST_BYTES and each.dtype.kind != "O"
        return {"bytes": each.tobytes()} if small else {}
    if isinstance(each, partial):
        return {"func": each.func, "args": each.args, "keywords": each.keywords}
    if isinstance(each, MethodType):
        return {"self": each.__self__, "func": each.__func__}
    if isinstance(each, staticmethod | classmethod | property):
        return {"func": each.fget if isinstance(each, property) else each.__func__}
    if isinstance(each, FunctionType):
        return _of_function(each)
    of_python = type(each).__module__.partition(".")[0] in sys.stdlib_module_names
    if of_python and not isinstance(each, SimpleNamespace | Namespace):
        return {}
    return attributes(each) | indices(each)


def _of_function(each: FunctionType) -> dict[Any, Any]:
    if of_library(str(each.__globals__.get("__name__"))):
        return {}
    found: dict[Any, Any] = {"code": each.__code__, "attributes": vars(each)}
    found |= {"defaults": each.__defaults__, "keywords": each.__kwdefaults__}
    for number, cell in enumerate(each.__closure__ or ()):
        with suppress(ValueError):  # nothing is in it yet
            found[number] = cell.cell_contents
    for name, of_it in _named(each.__code__):
        found[name] = value = each.__globals__.get(name)
        if isinstance(value, ModuleType | type):
            found[name, of_it] = optional.value(value, of_it)
    return found


@lru_cache(maxsize=MOST)
def _named(code: CodeType) -> list[tuple[str, str]]:
    """The variables of its module that a function's code names, and what follows each by a dot."""
    found: list[tuple[str, str]] = []
    dotted = False
    for step in dis.get_instructions(code):
        if dotted and step.opname in ("LOAD_ATTR", "LOAD_METHOD"):
            found[-1] = (found[-1][0], step.argval)
        dotted = step.opname in ("LOAD_GLOBAL", "LOAD_NAME")
        if dotted:
            found.append((step.argval, ""))
    for each in code.co_consts:
        found += _named(each) if isinstance(each, CodeType) else []
    return found
