"""Today's version of each benchmark, as the text of its class says.

Results say the version that they were measured with, and asv's `benchmarks.json` says it of each
benchmark as its last run had it: what no run has measured since is found here alone.
"""

from __future__ import annotations

import ast
from functools import cache

import pandas as pd

from scripts.root import ROOT


@cache
def declared() -> dict[str, int]:
    """By the benchmark's name in asv without what it tracks, such as "arms.Raw"."""
    found: dict[str, int] = {}
    for path in sorted((ROOT / "benchmarks").glob("*.py")):
        named: dict[str, int] = {}  # constants of the file, and versions of its classes
        for node in ast.parse(path.read_text("utf-8")).body:
            if isinstance(node, ast.Assign) and isinstance(node.value, ast.Constant):
                _note(named, node, named)
            elif isinstance(node, ast.ClassDef):
                bases = [base.id for base in node.bases if isinstance(base, ast.Name)]
                own = {"version": next((named[base] for base in bases if base in named), 1)}
                for line in node.body:
                    if isinstance(line, ast.Assign):
                        _note(own, line, named)
                named[node.name] = found[f"{path.stem}.{node.name}"] = own["version"]
    return {name: version for name, version in found.items() if "._" not in name}


def earlier(cells: pd.DataFrame) -> dict[tuple[str, str], tuple[int, int]]:
    """Benchmarks whose number of an earlier version is judged, by machine and name in asv: that
    version, and today's."""
    today = declared()
    rows = cells[cells["status"] == "ok"].drop_duplicates(["machine", "name"])
    told = zip(*(rows[name] for name in ("machine", "name", "benchmark", "version")), strict=True)
    return {
        (machine, name): (int(version), today[benchmark])
        for machine, name, benchmark, version in told
        if str(version).isdecimal() and int(version) < today.get(benchmark, 0)
    }


def _note(told: dict[str, int], line: ast.Assign, known: dict[str, int]) -> None:
    """Keep a whole number that `line` gives a name, itself or by a name that has one."""
    target, value = line.targets[0], line.value
    if not isinstance(target, ast.Name):
        return
    if isinstance(value, ast.Constant) and str(value.value).isdecimal():
        told[target.id] = int(str(value.value))
    elif isinstance(value, ast.Name) and value.id in known:
        told[target.id] = known[value.id]
