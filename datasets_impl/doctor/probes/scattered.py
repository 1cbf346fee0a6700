"""Arrays that samples are taken across: few bytes here and there, and those of others between."""

from __future__ import annotations

import ast
import linecache
import math
from collections.abc import Iterator
from functools import lru_cache
from types import ModuleType
from typing import Any

import numpy as np
import torch

from datasets_impl.doctor.probes.callees import MOST_MODULES, MOST_TEXT, users_modules
from datasets_impl.doctor.probes.searching import Search, homes_of, places_of
from datasets_impl.doctor.probes.source_lines import parsed
from datasets_impl.doctor.probes.target import Subject
from datasets_impl.doctor.probes.whole import dotted

LEAST_BYTES, LEAST_PLACES = 4 << 20, 1000  # of the array, which no cache holds; of a sample
MOST_TOGETHER = 256  # bytes that lie together, of which a core fetches little in vain
KINDS = (np.ndarray, np.memmap, torch.Tensor)


def scattered(subject: Subject) -> list[dict[str, Any]]:
    """Each line that takes `array[:, index]`: what the array is called there, the axis that is
    asked for one place, the bytes that lie together there, and at how many places."""
    found, homes = [], homes_of(subject)
    for module, (kind, line, name, axis) in _across(users_modules(subject)):
        held = places_of(homes, module.__name__, kind, name, KINDS)
        value = next((one for _, _, one in held), None)
        if value is None or value.ndim <= axis or not _in_order(value):
            continue
        size = int(value.nbytes)
        places = math.prod(value.shape[:axis])
        together = size // max(1, places * value.shape[axis])
        if size >= LEAST_BYTES and places >= LEAST_PLACES and together <= MOST_TOGETHER:
            found.append({
                "file": module.__file__, "line": line, "module": module.__name__, "class": kind,
                "name": name, "axis": axis, "places": places, "together": together, "size": size,
            })  # fmt: skip
    return found


def _in_order(value: Any) -> bool:
    """Whether what differs in the last axis alone lies together."""
    if isinstance(value, torch.Tensor):
        return value.is_contiguous()
    return bool(value.flags.c_contiguous and not value.dtype.hasobject)


def _across(modules: list[ModuleType]) -> Iterator[tuple[ModuleType, tuple[*Search, int]]]:
    for module in modules:
        yield from ((module, one) for one in _of_text(module.__file__ or ""))


@lru_cache(maxsize=MOST_MODULES)
def _of_text(file: str) -> list[tuple[*Search, int]]:
    """All of a file, but for those of constructors."""
    text = "".join(linecache.getlines(file))
    return [
        (getattr(home, "name", ""), node.lineno, *taken)
        for home in ast.walk(parsed(text if len(text) < MOST_TEXT else ""))
        if isinstance(home, ast.ClassDef | ast.Module)
        for function in home.body
        if isinstance(function, ast.FunctionDef) and function.name != "__init__"
        for node in ast.walk(function)
        if isinstance(node, ast.Subscript) and (taken := _taken(node))
    ]


def _taken(node: ast.Subscript) -> tuple[str, int] | None:
    """Of `self.array[:, index]` the name, and the axis of the first that is no `:`."""
    name = dotted(node.value)
    given = node.slice.elts if isinstance(node.slice, ast.Tuple) else []
    axis = next((at for at, one in enumerate(given) if not _is_all(one)), 0)
    if not name or not axis or isinstance(given[axis], ast.Slice | ast.Constant):
        return None
    return name, axis


def _is_all(one: ast.expr) -> bool:
    return isinstance(one, ast.Slice) and one.lower is None is one.upper
