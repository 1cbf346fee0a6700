"""What makes all workers draw the same numbers, read from the text of the user's code: a seed that
`worker_init_fn` sets, or a generator that is made before workers are, which each of them copies."""

from __future__ import annotations

import ast
import functools
import linecache
import random
from collections.abc import Iterator
from types import ModuleType
from typing import Any

import numpy as np
import torch

from datasets_impl.doctor.probes.callees import users_modules
from datasets_impl.doctor.probes.own_lines import is_users
from datasets_impl.doctor.probes.parts import parts
from datasets_impl.doctor.probes.source_lines import (
    Line,
    line_at,
    name_of,
    of_part,
    parsed,
)
from datasets_impl.doctor.probes.target import Subject

INIT = "def worker_init_fn(worker):\n    "
OWN = "torch.initial_seed()"  # differs from worker to worker and from epoch to epoch
MADE = (  # kind of generator, and how it is made in a worker
    (np.random.Generator, f"np.random.default_rng({OWN})"),
    (np.random.RandomState, f"np.random.RandomState({OWN} % 2**32)"),
    (random.Random, f"random.Random({OWN})"),
    (torch.Generator, f"torch.Generator().manual_seed({OWN})"),
)
SEEDING = "seed"  # in the name of what sets one


def seed_of_workers(subject: Subject, of_epochs: bool = False) -> dict[str, Any]:
    """The lines in question, the lines of code to have in their place, and whether they set a seed.
    Empty where none is found.

    Args:
        of_epochs: of interest is what is the same in each epoch, though it differs from worker to
            worker.
    """
    function = getattr(subject.loader, "worker_init_fn", None)
    while isinstance(function, functools.partial):
        function = function.func
    if of_epochs:
        return _set_by(function, of_epochs)
    return _set_by(function) or _held(subject) or _in_modules(subject)


def _set_by(function: Any, of_epochs: bool = False) -> dict[str, Any]:
    code = getattr(function, "__code__", None)
    if code is None or not is_users(code.co_filename):
        return {}
    calls = [
        node
        for own in ast.walk(_text_of(code.co_filename)) if _begins(own) == code.co_firstlineno
        for node in ast.walk(own)
        if isinstance(node, ast.Call) and SEEDING in name_of(node.func)
        and _constant(node, () if of_epochs else code.co_varnames)
    ]  # fmt: skip
    if not calls:
        return {}
    name = code.co_name if code.co_name.isidentifier() else "worker_init_fn"  # of a lambda
    given = f"({OWN} % 2**32)"  # NumPy takes no larger one
    body = dict.fromkeys(f"\n    {ast.unparse(call.func)}{given}" for call in calls)
    numbers = dict.fromkeys(call.lineno for call in calls)
    return {
        "lines": [line_at(code.co_filename, number) for number in numbers], "seeds": True,
        "code": f"def {name}(worker):{''.join(body)}",
    }  # fmt: skip


def _text_of(file: str) -> ast.Module:
    return parsed("".join(linecache.getlines(file)))


def _begins(node: ast.AST) -> int:
    """The line where a function begins, with what decorates it; 0 for all else."""
    if isinstance(node, ast.Lambda):
        return node.lineno
    if isinstance(node, ast.FunctionDef):
        return min([node.lineno, *(one.lineno for one in node.decorator_list)])
    return 0


def _constant(call: ast.Call, local: tuple[str, ...]) -> bool:
    """Whether it is given nothing that another call or the function's own names tell."""
    given = [*call.args, *(one.value for one in call.keywords)]
    inner = [node for one in given for node in ast.walk(one)]
    return bool(given) and not any(
        isinstance(node, ast.Call) or (isinstance(node, ast.Name) and node.id in local)
        for node in inner
    )


def _held(subject: Subject) -> dict[str, Any]:
    for path, value, _ in parts(subject.dataset):
        if made := _made(value):
            code = f"{INIT}torch.utils.data.get_worker_info().{path} = {made}"
            return {"lines": of_part(subject.dataset, path), "code": code, "seeds": False}
    return {}


def _in_modules(subject: Subject) -> dict[str, Any]:
    for module in users_modules(subject):
        for name, value in list(vars(module).items()):
            if made := _made(value):
                code = f"{INIT}global {name}\n    {name} = {made}"
                return {"lines": list(_assigned(module, name)), "code": code, "seeds": False}
    return {}


def _made(value: Any) -> str:
    return next((made for kind, made in MADE if type(value) is kind), "")


def _assigned(module: ModuleType, name: str) -> Iterator[Line]:
    """Where a module sets one of its own names."""
    file = module.__file__ or ""
    for node in _text_of(file).body:
        targets = node.targets if isinstance(node, ast.Assign) else []
        if any(name_of(target) == name for target in targets):
            yield line_at(file, node.lineno)
