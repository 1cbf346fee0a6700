"""Functions of libraries and of the user's own modules that the dataset's code calls by their name.

Read from the text of the code: `np.load(...)`, `load_cloud(...)`. Also the classes of libraries
whose arrays are read in part by an index, which no name is called for.
"""

from __future__ import annotations

import ast
import inspect
import sys
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from types import FunctionType, ModuleType
from typing import Any

from torch.utils.data import Dataset

from datasets_impl.doctor.probes.epochs import attribute as attribute_of
from datasets_impl.doctor.probes.own_lines import is_users
from datasets_impl.doctor.probes.parts import parts
from datasets_impl.doctor.probes.target import Subject

MOST_MODULES, MOST_TEXT = 24, 1 << 20  # of the user's, and characters of one
OPENERS = (("lmdb", "open"),)  # classes written in C, whose calls the profiler does not see
CYTHON = "cython_function_or_method"  # a type
WRITTEN_IN_PYTHON, UNCHANGEABLE = 1 << 9, 1 << 8  # flags of a class
# Module, class, method: reads a part of a file that holds many samples.
METHODS = (
    ("pyarrow.parquet.core", "ParquetFile", "read_row_group"),
    ("pyarrow.parquet.core", "ParquetFile", "read_row_groups"),
)
# Module, class: `array[selection]` reads from a file, and is noted as a call.
CONTAINERS = (
    ("h5py", "Dataset"),
    ("zarr", "Array"),
    ("numpy.lib.npyio", "NpzFile"),
    ("nibabel.arrayproxy", "ArrayProxy"),
)


@dataclass(frozen=True)
class Callee:
    """`name` is what the code calls it; it is the `attribute` of `owner`, a module or class."""

    name: str
    owner: Any
    attribute: str

    @property
    def function(self) -> Any:
        return getattr(self.owner, self.attribute)

    @property
    def makes(self) -> bool:
        """Whether it makes an object of the class `owner`, which is the first argument then."""
        return self.attribute == "__init__"

    @property
    def of_container(self) -> bool:
        return inspect.isclass(self.owner)

    @property
    def of_class(self) -> bool:
        """Whether it is asked of a class, as `Tokeniser.from_file` is."""
        held = inspect.getattr_static(self.owner, self.attribute, None)
        return self.of_container and isinstance(held, classmethod | staticmethod)

    @property
    def replaceable(self) -> bool:
        """Not so where it is only named: a method of an object that is written in C."""
        return hasattr(self.owner, self.attribute)

    @property
    def full_name(self) -> str:
        """Where it comes from: `numpy.load`, though the code says `np.load` or imports `load`."""
        home, name = getattr(self.owner, "__name__", ""), self.attribute
        if inspect.ismodule(self.owner) and is_users(getattr(self.owner, "__file__", None) or "<"):
            name = getattr(self.function, "__name__", name)
            home = _home_of(self.function, name) or home
        return f"{home}.{name}"


def callees(subject: Subject) -> list[Callee]:
    """Each once for every place that it can be replaced at."""
    found: dict[tuple[int, str], Callee] = {}
    for module in users_modules(subject):
        for name in _called(module.__file__ or ""):
            callee = _resolved(name, module)
            if callee is not None:
                found.setdefault((id(callee.owner), callee.attribute), callee)
    for home, name in CONTAINERS:
        owner = getattr(sys.modules.get(home), name, None)
        if inspect.isclass(owner):
            found[id(owner), "__getitem__"] = Callee(f"{name}[]", owner, "__getitem__")
    for home, kind, name in METHODS:
        owner = getattr(sys.modules.get(home), kind, None)
        if inspect.isclass(owner):
            found[id(owner), name] = Callee(f"{kind}.{name}", owner, name)
    for home, name in OPENERS:
        if home in sys.modules:
            found[id(sys.modules[home]), name] = Callee(f"{home}.{name}", sys.modules[home], name)
    return list(found.values())


def names_called(subject: Subject) -> set[str]:
    """The last part of every name that functions of the user's modules call."""
    files = [module.__file__ or "" for module in users_modules(subject)]
    return {name.rpartition(".")[2] for file in files for name in _called(file)}


def _home_of(function: Any, name: str) -> str:
    """The first module of its package that has it, as it is imported; "" where none has."""
    steps = str(getattr(function, "__module__", None) or "").split(".")
    homes = (".".join(steps[:end]) for end in range(1, len(steps) + 1))
    return next((one for one in homes if getattr(sys.modules.get(one), name, None) is function), "")


def users_modules(subject: Subject) -> list[ModuleType]:
    """Those that hold what the dataset and the loader are made of, and what these name."""
    homes = [type(one).__module__ for _, one, _ in parts(subject.dataset)]
    homes += [base.__module__ for base in type(subject.dataset).__mro__]
    collate = getattr(subject.loader, "collate_fn", None)
    homes += [getattr(collate, "__module__", ""), type(collate).__module__]
    queue, found = list(dict.fromkeys(homes)), dict[str, ModuleType]()
    while queue and len(found) < MOST_MODULES:
        name = queue.pop(0)
        module = sys.modules.get(name or "")
        if (
            module is None
            or name in found
            or not is_users(getattr(module, "__file__", None) or "<")
        ):
            continue
        found[name] = module
        for value in vars(module).values():
            queue.append(
                value.__name__ if inspect.ismodule(value) else getattr(value, "__module__", "")
            )
    return list(found.values())


@lru_cache(maxsize=MOST_MODULES)
def _called(file: str) -> frozenset[str]:
    """Dotted names of what a file's functions call."""
    try:
        text = Path(file).read_text(encoding="utf-8")
        tree = ast.parse(text if len(text) < MOST_TEXT else "")
    except (OSError, ValueError, SyntaxError):
        return frozenset()
    functions = (ast.FunctionDef, ast.AsyncFunctionDef, ast.Lambda)
    calls = (
        call.func
        for function in ast.walk(tree) if isinstance(function, functions)
        for call in ast.walk(function) if isinstance(call, ast.Call)
    )  # fmt: skip
    return frozenset(filter(None, map(_dotted, calls)))


def _dotted(node: ast.expr) -> str:
    if isinstance(node, ast.Name):
        return node.id
    if isinstance(node, ast.Attribute):
        inner = _dotted(node.value)
        return f"{inner}.{node.attr}" if inner else ""
    return ""


def _resolved(name: str, module: ModuleType) -> Callee | None:
    """Where it is a function, in a module or among the module's own names."""
    *owners, attribute = name.split(".")
    owner: Any = module
    for number, step in enumerate(owners, 1):
        inner = getattr(owner, step, None)
        if inner is None and owner is module:
            inner = sys.modules.get(step)  # imported inside a function
        owner = inner
        if number == len(owners) and inspect.isclass(owner):
            return _of_class(name, owner, attribute)
        if not isinstance(owner, ModuleType):
            return None
    function = getattr(owner, attribute, None)
    if inspect.isclass(function):
        return _constructor(name, function)
    if function is None or not callable(function):
        return None
    bare = attribute_of(function, "__func__") or function
    written_in_c = inspect.isbuiltin(bare) or type(bare).__name__ == CYTHON
    is_function = isinstance(function, FunctionType) or written_in_c
    if not is_function or (getattr(function, "__module__", "") or "").startswith(
        "torch.utils.data"
    ):
        return None
    return Callee(name, owner, attribute)


def _of_class(name: str, owner: type, attribute: str) -> Callee | None:
    """What a class written in Python is asked for."""
    changeable = owner.__flags__ & WRITTEN_IN_PYTHON and not owner.__flags__ & UNCHANGEABLE
    callee = Callee(name, owner, attribute)
    return callee if changeable and callee.of_class and not attribute.startswith("_") else None


def _constructor(name: str, made: type) -> Callee | None:
    """Of a class of the user's, other than of datasets: what it does may take time."""
    home = getattr(sys.modules.get(made.__module__), "__file__", None) or "<"
    if not isinstance(vars(made).get("__init__"), FunctionType) or issubclass(made, Dataset):
        return None
    return Callee(name, made, "__init__") if is_users(home) else None
