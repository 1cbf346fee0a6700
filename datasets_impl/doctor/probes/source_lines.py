"""The lines of the user's that a finding comes from, read from the text of the classes in question.

A line is [file, number, text]. Where none can be known for sure there is none.
"""

from __future__ import annotations

import ast
import contextlib
import functools
import inspect
import linecache
import re
import sys
from collections.abc import Callable, Iterable, Iterator
from types import ModuleType
from typing import Any

from datasets_impl.doctor.probes.own_code import source_of
from datasets_impl.doctor.probes.own_lines import is_users

Line = list[Any]
MOST_LINES = 3
STEP = re.compile(r"\.(\w+)|\[([^\]]*)\]")
PUTS = (
    "append", "appendleft", "add", "extend", "insert", "setdefault", "update", "put", "heappush",
)  # fmt: skip


def line_at(file: str, number: int) -> Line:
    """With the next lines, as long as they end with an opening bracket."""
    text = ""
    for following in range(number, number + MOST_LINES):
        text += linecache.getline(file, following).strip()
        if not text.endswith(("(", "[", "{")):
            break
    return [file, number, text]


def of_function(function: Any) -> list[Line]:
    """Where a function, lambda or method of the user's begins."""
    while isinstance(function, functools.partial):
        function = function.func
    code = getattr(inspect.unwrap(function), "__code__", None)
    if code is None or not is_users(code.co_filename):
        return []
    return [line_at(code.co_filename, code.co_firstlineno)]


def within(function: Any) -> list[Line]:
    """The first statement of a function of the user's; none where there is no such function."""
    code = getattr(function, "__code__", None)
    if code is None or not is_users(code.co_filename):
        return []
    numbers = (number for *_, number in code.co_lines() if number)
    first = min((one for one in numbers if one > code.co_firstlineno), default=0)
    return [line_at(code.co_filename, first)] if first else []


def of_part(dataset: Any, path: str) -> list[Line]:
    """Where the part of a dataset that `parts.parts` calls so is set: put into its container, or
    else assigned. Where a library's object holds it, where that object is set."""
    for holder, name, rest in reversed(_holders(dataset, path)):
        if found := (put_into(holder, name) if rest else []) or assigned(holder, name):
            return found
    return []


def put_into(holder: Any, name: str) -> list[Line]:
    """The lines of its class that put something into `self.<name>`."""
    return lines_of_class(type(holder), lambda node: _puts(node, name))


def assigned(holder: Any, name: str) -> list[Line]:
    """The lines of its class that set `self.<name>`, but for those that set it to None."""
    return lines_of_class(type(holder), lambda node: name in _set_by(node))


def set_within(holder: Any, method: str) -> list[Line]:
    """The lines of a method that set anything of `self`."""

    def sets(node: ast.AST) -> bool:
        return bool(_set_by(node))

    return lines_of_class(type(holder), sets, within=method)


def calls_of(name: str, modules: Iterable[ModuleType], within: str = "") -> list[Line]:
    """The line of the user's modules that calls what has this name; of several, the one that is
    `within` a function of that name. None where there are many."""
    found, inner = dict[tuple[str, int], None](), dict[tuple[str, int], None]()
    for module in modules:
        file = getattr(module, "__file__", None) or ""
        tree = parsed("".join(linecache.getlines(file)))
        for holder in (tree, *(one for one in ast.walk(tree) if isinstance(one, ast.FunctionDef))):
            for node in ast.walk(holder):
                if isinstance(node, ast.Call) and name_of(node.func) == name:
                    found[file, node.lineno] = None
                    if within and getattr(holder, "name", "") == within:
                        inner[file, node.lineno] = None
    chosen = list(found if len(found) == 1 else inner)
    return [line_at(*chosen[0])] if len(chosen) == 1 else []


def put_by_name(modules: Iterable[ModuleType], name: str, kind: type | None = None) -> list[Line]:
    """The lines that put something into what has this name: a class's, or else a variable."""
    if kind is not None:
        return lines_of_class(kind, lambda node: _is_named(_into(node), name))
    found = list[Line]()
    for module in modules:
        file = getattr(module, "__file__", None) or ""
        tree = parsed("".join(linecache.getlines(file)))
        into = [(node, _into(node)) for node in ast.walk(tree)]
        numbers = {node.lineno for node, one in into  # type: ignore[attr-defined]
                   if isinstance(one, ast.Name) and one.id == name}  # fmt: skip
        found += [line_at(file, number) for number in sorted(numbers)]
    return found


def set_by_name(home: str, name: str) -> list[Line]:
    """The lines of a module that set a variable to something."""
    file = getattr(sys.modules.get(home), "__file__", None) or ""
    tree = parsed("".join(linecache.getlines(file)))
    sets = (node for node in ast.walk(tree) if isinstance(node, ast.Assign))
    pairs = ((node.lineno, target, value) for node in sets for one in node.targets
             for target, value in one_by_one(one, node.value))  # fmt: skip
    numbers = {number for number, target, value in pairs
               if getattr(target, "id", "") == name and not _is_none(value)}  # fmt: skip
    return [line_at(file, number) for number in sorted(numbers)]


def puts_something(file: str, number: int) -> bool:
    """Whether the statement of this line puts something into a container."""
    tree = parsed("".join(linecache.getlines(file)))
    return any(
        isinstance(node, ast.stmt) and node.lineno == number and not hasattr(node, "body")
        and any(_puts(inner, "") for inner in ast.walk(node))
        for node in ast.walk(tree)
    )  # fmt: skip


def _holders(dataset: Any, path: str) -> list[tuple[Any, str, str]]:
    """Every object on the way to a part, the attribute that leads on, and how it goes on."""
    found, value = [], dataset
    with contextlib.suppress(Exception):
        for step in STEP.finditer(path):
            if name := step[1]:
                found.append((value, name, path[step.end() :]))
                value = vars(value)[name]
            else:
                value = value[ast.literal_eval(step[2])]
    return found


def lines_of_class(kind: type, wanted: Callable[[ast.AST], bool], within: str = "") -> list[Line]:
    """Of a class and those of the user's that it inherits from, in their order."""
    for base in kind.__mro__:
        with contextlib.suppress(OSError, TypeError):
            file = inspect.getsourcefile(base) or ""
            if not is_users(file):
                continue
            first = inspect.getsourcelines(base)[1]
            found = {
                first + node.lineno - 1  # type: ignore[attr-defined]
                for function in _functions(source_of(base), within)
                for node in ast.walk(function)
                if wanted(node)
            }
            if found:
                return [line_at(file, number) for number in sorted(found)]
    return []


def _functions(text: str, name: str) -> Iterator[ast.AST]:
    for node in ast.walk(parsed(text)):
        if isinstance(node, ast.FunctionDef) and name in ("", node.name):
            yield node


def parsed(text: str) -> ast.Module:
    try:
        return ast.parse(text)
    except (SyntaxError, ValueError):
        return ast.Module([], [])


def _set_by(node: ast.AST) -> list[str]:
    """Attributes of `self` that a statement sets to something."""
    if isinstance(node, ast.Assign):
        pairs = [(target, node.value) for target in node.targets]
    elif isinstance(node, ast.AnnAssign | ast.AugAssign) and node.value is not None:
        pairs = [(node.target, node.value)]
    else:
        return []
    return [name for pair in pairs for target, value in one_by_one(*pair)
            if not _is_none(value)
            for inner in ast.walk(target) if (name := _own(inner))
            and isinstance(inner.ctx, ast.Store)]  # type: ignore[attr-defined] # fmt: skip


def one_by_one(target: ast.expr, value: ast.expr) -> list[tuple[ast.expr, ast.expr]]:
    """Of `a, b = c, d` both."""
    if isinstance(target, ast.Tuple) and isinstance(value, ast.Tuple):
        return list(zip(target.elts, value.elts, strict=False))
    return [(target, value)]


def _is_none(value: ast.expr) -> bool:
    return isinstance(value, ast.Constant) and value.value is None


def _puts(node: ast.AST, name: str) -> bool:
    """Whether it puts something into `self.<name>`, or where that is "" into anything."""
    into = _into(node)
    return into is not None and (not name or _own(into) == name)


def _into(node: ast.AST) -> ast.expr | None:
    """What it puts something into."""
    if isinstance(node, ast.Subscript):
        return node.value if isinstance(node.ctx, ast.Store) else None
    if isinstance(node, ast.Call) and name_of(node.func) in PUTS:
        return node.func.value if isinstance(node.func, ast.Attribute) else node.func
    return None


def _own(node: ast.AST) -> str:
    """The name of an attribute of `self`."""
    is_own = isinstance(node, ast.Attribute) and name_of(node.value) == "self"
    return node.attr if is_own and isinstance(node, ast.Attribute) else ""


def _is_named(node: ast.AST | None, name: str) -> bool:
    return node is not None and name_of(node) == name


def name_of(node: ast.AST) -> str:
    return getattr(node, "attr", "") or getattr(node, "id", "")
