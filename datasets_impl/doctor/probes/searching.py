"""Lists that the user's code looks something up in: they are gone through from their start."""

from __future__ import annotations

import ast
import contextlib
import linecache
from collections.abc import Iterator
from functools import lru_cache
from types import ModuleType
from typing import Any

from datasets_impl.doctor.probes import clock
from datasets_impl.doctor.probes.callees import MOST_MODULES, MOST_TEXT, users_modules
from datasets_impl.doctor.probes.epochs import attribute
from datasets_impl.doctor.probes.parts import parts
from datasets_impl.doctor.probes.raised import RAISED
from datasets_impl.doctor.probes.source_lines import one_by_one
from datasets_impl.doctor.probes.target import Subject
from datasets_impl.doctor.probes.thresholds import OF_EACH

LONG = 200  # elements
TIMES = 3  # that one is gone through to find out how long that takes

Search = tuple[str, int, str]  # class or "", line, the name of what is searched: `self.a.b`
Homes = dict[tuple[str, str], list[Any]]  # by module and class


def searched(subject: Subject) -> list[dict[str, Any]]:
    """Each line that asks whether, or where, something is in a long list: what it is called there,
    its length, and the seconds of going through it."""
    found, homes = [], homes_of(subject)
    for module, (kind, line, name) in _searches(users_modules(subject)):
        held = places_of(homes, module.__name__, kind, name.removesuffix(OF_EACH))
        value = next((one for _, _, one in held), None)
        if name.endswith(OF_EACH):  # of several lists the first tells of all
            value = value[0] if value and type(value[0]) in (list, tuple) else None
        if value is None or len(value) < LONG:
            continue
        with contextlib.suppress(*RAISED):  # of elements that cannot be compared
            found.append(
                {"file": module.__file__, "line": line, "module": module.__name__, "class": kind,
                 "name": name, "length": len(value), "seconds": _through(value)}
            )  # fmt: skip
    return found


def homes_of(subject: Subject) -> Homes:
    """The user's modules, each under "", and the objects of the dataset by their classes."""
    found: Homes = {(one.__name__, ""): [one] for one in users_modules(subject)}
    for _, one, _ in parts(subject.dataset):
        for base in type(one).__mro__[:-1]:
            found.setdefault((base.__module__, base.__name__), []).append(one)
    return found


def places_of(
    homes: Homes, module: str, kind: str, name: str, of: tuple[type, ...] = (list, tuple)
) -> Iterator[tuple[Any, str, Any]]:
    """The objects that hold the list of that name, or what is `of` other types, its attribute, and
    the list."""
    start, *steps = name.split(".")
    steps = steps if start == "self" else [start, *steps]
    for holder in homes.get((module, kind if start == "self" else ""), []) if steps else []:
        for step in steps[:-1]:
            holder = attribute(holder, "__dict__", {}).get(step)
        value = attribute(holder, "__dict__", {}).get(steps[-1])
        if type(value) in of:
            yield holder, steps[-1], value


def _searches(modules: list[ModuleType]) -> Iterator[tuple[ModuleType, Search]]:
    for module in modules:
        yield from ((module, one) for one in _of_text(module.__file__ or ""))


@lru_cache(maxsize=MOST_MODULES)
def _of_text(file: str) -> list[Search]:
    """All of a file, but for those of constructors."""
    text = "".join(linecache.getlines(file))
    try:
        tree = ast.parse(text if len(text) < MOST_TEXT else "")
    except (SyntaxError, ValueError):
        return []
    found = []
    for home in ast.walk(tree):
        if not isinstance(home, ast.ClassDef | ast.Module):
            continue
        for function in home.body:
            if isinstance(function, ast.FunctionDef) and function.name != "__init__":
                known = _elements(function)
                found += [
                    (getattr(home, "name", ""), getattr(node, "lineno", 0), known.get(name, name))
                    for node in ast.walk(function) for name in _gone_through(node)
                ]  # fmt: skip
    return found


def _elements(function: ast.FunctionDef) -> dict[str, str]:
    """Names of a function that are set to an element: of `seen = self.seen[index]` which list."""
    sets = (node for node in ast.walk(function) if isinstance(node, ast.Assign))
    pairs = (pair for node in sets for target in node.targets
             for pair in one_by_one(target, node.value))  # fmt: skip
    return {
        target.id: f"{name}{OF_EACH}" for target, value in pairs
        if isinstance(target, ast.Name) and isinstance(value, ast.Subscript)
        and (name := _name(value.value))
    }  # fmt: skip


def _gone_through(node: Any) -> list[str]:
    """What `in`, `not in` and `.index` ask."""
    if isinstance(node, ast.Compare):
        pairs = zip(node.ops, node.comparators, strict=True)
        names = [_name(one) for how, one in pairs if isinstance(how, ast.In | ast.NotIn)]
    elif isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute):
        names = [_name(node.func.value)] if node.func.attr == "index" else []
    else:
        names = []
    return [name for name in names if name]


def _name(node: ast.expr) -> str:
    """Of an attribute, or of what the module holds; "" of all else."""
    if isinstance(node, ast.Name):
        return node.id
    inner = _name(node.value) if isinstance(node, ast.Attribute) else ""
    return f"{inner}.{node.attr}" if inner and isinstance(node, ast.Attribute) else ""


def _through(values: Any) -> float:
    """Seconds, until the last element is found."""
    spent = []
    for _ in range(TIMES):
        begun = clock.perf_counter()
        bool(values[-1] in values)
        spent.append(clock.perf_counter() - begun)
    return min(spent)
