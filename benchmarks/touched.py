"""Which benchmarks a change touches, as JSON: what a comparison of two revisions measures.

A benchmark is touched when its file changed, or a file that this one imports, directly or through
others. The table of datasets imports every dataset; so a dataset counts only for benchmarks whose
levels name it. Beside each stand its A/A arms: of the same metric and factors, or, where there are
none, of the same metric.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Iterable, Set
from typing import Any

import grimp

from datasets_impl import registry
from datasets_impl.errors import exit_on_study_error
from datasets_impl.factors import first_name, is_second_name

from .common import _Benchmark
from .prepare import chosen, plan

# Imported by names that are put together when the code runs, so as one with all that is in them.
WHOLE = ("datasets_impl.contest.peers", "datasets_impl.formats")
ARMS_ALONE = "controls."  # measured for the noise of others
DATASETS = ("datasets_impl.corrected", "datasets_impl.documented", "datasets_impl.variants")


class Imports:
    """What each module imports, of the suite and the package."""

    def __init__(self) -> None:
        self.graph = grimp.build_graph("benchmarks", "datasets_impl", cache_dir=None)
        for package in WHOLE:
            self.graph.squash_module(package)
        table = registry.__name__
        for module in self.graph.find_modules_directly_imported_by(table):
            if module.startswith(DATASETS):
                self.graph.remove_import(importer=table, imported=module)

    def of(self, module: str) -> set[str]:
        """`module` and what it imports, directly or through others."""
        return {module, *self.graph.find_upstream_modules(module)}


def touched(files: Iterable[str], expression: str | None = None) -> dict[str, Any]:
    """What `plan` says of the benchmarks that a change of `files` touches, and of their A/A arms.

    `files` are paths in the project, such as "datasets_impl/loading.py". "controls" has the names
    of the A/A arms of each. Without any that is touched, "benchmarks" is empty.

    Raises:
        StudyError: see `prepare.chosen`.
    """
    imports, changed = Imports(), {_module(file) for file in files}
    every = {name: benchmark for name, benchmark, _ in chosen()}
    asked = {name for name, *_ in chosen(expression)}
    found = {name: one for name, one in every.items()
             if name in asked and not name.startswith(ARMS_ALONE)
             and _is_touched(one, imports, changed)}  # fmt: skip
    controls = {name: _controls(one, every) for name, one in found.items()}
    measured = {*found, *(control for names in controls.values() for control in names)}
    planned = plan()
    entries = {name: entry for name, entry in planned["benchmarks"].items() if name in measured}
    return planned | {"benchmarks": entries, "controls": controls}


def _module(file: str) -> str:
    name = file.removesuffix(".py").replace("/", ".").removesuffix(".__init__")
    return next((whole for whole in WHOLE if f"{name}.".startswith(f"{whole}.")), name)


def _is_touched(benchmark: type[_Benchmark], imports: Imports, changed: Set[str]) -> bool:
    modules = [benchmark.__module__, *_datasets(benchmark)]
    return any(imports.of(module) & changed for module in modules)


def _datasets(benchmark: type[_Benchmark]) -> set[str]:
    """The modules of the datasets that its levels name."""
    rows = [registry.IMPLEMENTATIONS.get(first_name(level))
            for level in _levels(benchmark)]  # fmt: skip
    classes = [one for row in rows if row for one in _named(row.build)]
    modules = {str(getattr(one, "__module__", "")) for one in classes}
    return {module for module in modules if module.startswith(DATASETS)}


def _named(build: Any) -> list[Any]:
    """A class, or what a function of the table names."""
    if isinstance(build, type):
        return [build]
    return [vars(registry).get(name) for name in build.__code__.co_names]


def _levels(benchmark: type[_Benchmark]) -> list[Any]:
    return [level for levels in benchmark.params for level in levels]


def _controls(benchmark: type[_Benchmark], every: dict[str, type[_Benchmark]]) -> list[str]:
    alike = {
        name: set(one.param_names) == set(benchmark.param_names)
        for name, one in every.items()
        if _tracks(one) & _tracks(benchmark)
        and any(is_second_name(level) for level in _levels(one))
    }
    return sorted(name for name in alike if alike[name] or not any(alike.values()))


def _tracks(benchmark: type[_Benchmark]) -> set[str]:
    return {name for name in dir(benchmark) if name.startswith("track_")}


@exit_on_study_error
def main(argv: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.touched")
    parser.add_argument("--bench", help="only those whose name in asv matches this expression")
    parser.add_argument("files", nargs="*", help="the files that changed")
    options = parser.parse_args(argv)
    print(json.dumps(touched(options.files, options.bench)))
    return 0


if __name__ == "__main__":
    sys.exit(main())
