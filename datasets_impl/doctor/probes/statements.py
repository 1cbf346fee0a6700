"""What the text of a line tells, and the profiler does not: that it adds one more part to all that
is there so far, in a loop; or asks for what is written in C and not seen."""

from __future__ import annotations

import ast
import linecache
from collections.abc import Iterator
from functools import lru_cache
from itertools import chain

from datasets_impl.doctor.probes.causes import ARROW, Cause
from datasets_impl.doctor.probes.source_lines import name_of, parsed

LEAST_TIMES = 8  # that a line of a loop is begun for a sample
KIND = "growing arrays"
COPIES = ("converting", "transforming", "python", "collating", "pandas look-ups")
JOINS = (
    "vstack", "hstack", "dstack", "column_stack", "row_stack", "concatenate", "concat", "append",
    "insert", "stack", "cat", "r_", "c_",
)  # fmt: skip
UNSEEN: dict[str, Cause] = {"to_pylist": ARROW, "to_pydict": ARROW, "as_py": ARROW}


@lru_cache(maxsize=64)
def grown_at(file: str) -> frozenset[int]:
    """The lines of a file's loops that set a name to what it held and one part more."""
    tree = parsed("".join(linecache.getlines(file)))
    loops = (node for node in ast.walk(tree) if isinstance(node, ast.For | ast.While))
    inner = chain.from_iterable(ast.walk(loop) for loop in loops)
    return frozenset(number for node in inner for number in _numbers(node))


def _numbers(node: ast.AST) -> Iterator[int]:
    """Of `whole = np.vstack((whole, part))`."""
    if isinstance(node, ast.Assign) and len(node.targets) == 1 and _joins(node.value):
        own = ast.unparse(node.targets[0])
        if any(ast.unparse(one) == own for one in ast.walk(node.value)
               if isinstance(one, ast.Name | ast.Attribute)):  # fmt: skip
            yield from range(node.lineno, (node.end_lineno or node.lineno) + 1)


def _joins(value: ast.expr) -> bool:
    """Whether it calls what joins arrays, or `np.r_[...]`."""
    if isinstance(value, ast.Call):
        return name_of(value.func) in JOINS
    return isinstance(value, ast.Subscript) and name_of(value.value) in JOINS


@lru_cache(maxsize=64)
def unseen_at(file: str) -> dict[int, Cause]:
    """By its line, the kind of work of each call that the profiler does not see."""
    tree = parsed("".join(linecache.getlines(file)))
    return {
        number: UNSEEN[name_of(node.func)]
        for node in ast.walk(tree)
        if isinstance(node, ast.Call) and name_of(node.func) in UNSEEN
        for number in range(node.lineno, (node.end_lineno or node.lineno) + 1)
    }
