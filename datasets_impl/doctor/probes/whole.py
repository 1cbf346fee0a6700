"""Lines that go through all that the dataset holds, where a sample needs its own part of it."""

from __future__ import annotations

import ast
import linecache
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from types import ModuleType
from typing import Any

import numpy as np
import torch

from datasets_impl.doctor.probes.callees import MOST_MODULES, MOST_TEXT, users_modules
from datasets_impl.doctor.probes.epochs import attribute
from datasets_impl.doctor.probes.searching import Homes, homes_of
from datasets_impl.doctor.probes.source_lines import name_of, parsed
from datasets_impl.doctor.probes.statements import JOINS
from datasets_impl.doctor.probes.target import Subject

LEAST_LENGTH, LEAST_BYTES = 200, 1 << 16  # elements of a container; bytes of an array
EACH, BYTE = 5e-9, 5e-11  # seconds that going through an element, or a byte of an array, takes
ASKED = ("len", "isinstance", "id", "getattr", "hasattr", "bisect", "searchsorted", "index", "get")
TOLD = ("shape", "dtype", "ndim", "size", "itemsize", "nbytes", "index", "get", "append", "pop",
        "setdefault", "add", "popitem", "iloc", "loc", "iat", "at", "item")  # fmt: skip


@dataclass(frozen=True)
class Use:
    """From one line to another of a file, a name that is used as a whole: `self.a.b`."""

    kind: str  # class, or "" of a function of the module
    first: int
    last: int
    name: str
    joined: bool  # whether arrays that it holds are made one


def gone_through(subject: Subject) -> list[dict[str, Any]]:
    """Each statement that takes a large container of the dataset whole: what it is called there,
    how large it is, and the seconds that going through it takes at least."""
    found, homes = [], homes_of(subject)
    for module in users_modules(subject):
        for use in _uses(module.__file__ or ""):
            values = _values(homes, module, use)
            held = (_size(_joined(one) if use.joined else one, subject.count // 2)
                    for one in values)  # fmt: skip
            size = next(filter(None, held), None)
            if size is not None:
                found.append({
                    "file": module.__file__, "first": use.first, "last": use.last,
                    "name": use.name, "size": size[0], "seconds": size[1],
                })  # fmt: skip
    return found


def _values(homes: Homes, module: ModuleType, use: Use) -> Iterator[Any]:
    start, *steps = use.name.split(".")
    steps = steps if start == "self" else [start, *steps]
    for holder in homes.get((module.__name__, use.kind if start == "self" else ""), []):
        for step in steps:
            holder = (attribute(holder, "__dict__") or {}).get(step)
        yield holder


def _joined(value: Any) -> Any:
    """As large as all arrays of a list together; what holds no arrays as it is."""
    arrays = (
        [one for one in value if isinstance(one, np.ndarray | torch.Tensor) and one.ndim]
        if (type(value) in (list, tuple))
        else []
    )
    if not arrays or len(arrays) < len(value):
        return value
    rows = sum(map(len, arrays))
    return np.broadcast_to(
        np.uint8(0), (rows, sum(int(one.nbytes) for one in arrays) // max(1, rows))
    )


def _size(value: Any, least: int) -> tuple[str, float] | None:
    """In words, and the seconds of going through it; None of what holds fewer than `least`, about
    as many as there are samples, and so is no part of all of them."""
    if isinstance(value, np.ndarray | torch.Tensor) and value.ndim and len(value) >= least:
        size = int(value.nbytes)
        return (f"{size:,} bytes", BYTE * size) if size >= LEAST_BYTES else None
    if type(value) in (list, tuple, dict, set) and len(value) >= max(LEAST_LENGTH, least):
        return f"{len(value):,} elements", EACH * len(value)
    return None


@lru_cache(maxsize=MOST_MODULES)
def _uses(file: str) -> list[Use]:
    """All of a file, but for those of constructors."""
    text = "".join(linecache.getlines(file))
    found = []
    for home in ast.walk(parsed(text if len(text) < MOST_TEXT else "")):
        if not isinstance(home, ast.ClassDef | ast.Module):
            continue
        for function in home.body:
            if isinstance(function, ast.FunctionDef) and not function.name.startswith("__init"):
                found += list(_of_function(function, getattr(home, "name", "")))
    return found


def _of_function(function: ast.FunctionDef, kind: str) -> Iterator[Use]:
    known = {
        node.targets[0].id: name for node in ast.walk(function)
        if isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name)
        and (name := dotted(node.value))
    }  # fmt: skip
    for node in ast.walk(function):
        if not isinstance(node, ast.stmt) or isinstance(node, ast.FunctionDef | ast.ClassDef):
            continue
        if hasattr(node, "body") and not isinstance(node, ast.For):
            continue
        calls = (one for one in ast.walk(node) if isinstance(one, ast.Call))
        joined = {dotted(one) for call in calls if name_of(call.func) in JOINS for one in call.args}
        for name in dict.fromkeys(_looped_over(node) if isinstance(node, ast.For) else
                                  _taken_whole(node)):  # fmt: skip
            start, _, rest = name.partition(".")
            name = f"{known[start]}{'.' * bool(rest)}{rest}" if start in known else name
            if name.startswith("self.") or "." not in name:
                last = node.end_lineno or node.lineno
                yield Use(kind, node.lineno, last, name, name in joined)


def _looped_over(loop: ast.For) -> Iterator[str]:
    name = dotted(loop.iter)
    yield from (name,) if name else _taken_whole(loop.iter)


def _taken_whole(node: ast.AST) -> Iterator[str]:
    """Names that are given to what goes through them: an operator, a call, a loop."""
    for child in ast.iter_child_nodes(node):
        name = dotted(child)
        if not name:
            yield from _taken_whole(child)
        elif isinstance(node, ast.Call):
            if child is not node.func and name_of(node.func) not in ASKED:
                yield name
            elif child is node.func and name.rpartition(".")[2] not in TOLD:
                yield name.rpartition(".")[0]
        elif isinstance(node, ast.BinOp | ast.UnaryOp | ast.comprehension | ast.Starred):
            yield name
        elif isinstance(node, ast.Compare):
            searches = any(isinstance(one, ast.In | ast.NotIn) for one in node.ops)
            yield from () if searches else (name,)


def dotted(node: ast.AST) -> str:
    """`self.a.b`, "" of all else."""
    if isinstance(node, ast.Name):
        return node.id
    inner = dotted(node.value) if isinstance(node, ast.Attribute) else ""
    return f"{inner}.{node.attr}" if inner and isinstance(node, ast.Attribute) else ""
