"""Lines of a loop that copy all that is there so far to add one more part to it."""

from __future__ import annotations

import ast
import linecache
from collections.abc import Iterator
from functools import lru_cache
from itertools import chain

from datasets_impl.doctor.probes.source_lines import name_of, parsed

LEAST_TIMES = 8  # that such a line is begun for a sample
KIND = "growing arrays"
COPIES = ("converting", "transforming", "python", "collating", "pandas look-ups")
JOINS = (
    "vstack", "hstack", "dstack", "column_stack", "row_stack", "concatenate", "concat", "append",
    "insert", "stack", "cat", "r_", "c_",
)  # fmt: skip


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
