"""Build every corpus of the chosen profile before anything is measured, with progress.

Run as `python -m benchmarks.prepare`; asv builds a missing corpus on first use just the same.
"""

from __future__ import annotations

import argparse
import difflib
import importlib
import inspect
import itertools
import json
import re
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from rich.filesize import decimal

from datasets_impl import factors
from datasets_impl.corpus import CorpusSpec, Manifest, ensure_corpus
from datasets_impl.errors import StudyError, exit_on_study_error
from datasets_impl.files.atomic import atomic_write
from datasets_impl.files.paths import images_dir, user_path
from datasets_impl.files.records import json_of
from datasets_impl.files.replacing import check_replaceable

from .common import _Benchmark
from .grids import GRID, Cell, profile_name

TOPICS = tuple(importlib.import_module(f".{name}", __package__) for name in factors.TOPICS)


def benchmark_classes() -> list[type[_Benchmark]]:
    """Every benchmark class that has cells in the chosen profile, as asv discovers them."""
    return [
        member
        for topic in TOPICS
        for name, member in inspect.getmembers(topic, inspect.isclass)
        if issubclass(member, _Benchmark)
        and not name.startswith("_")
        and not inspect.isabstract(member)
    ]


Cells = list[tuple[Any, ...]]


def chosen(expression: str | None = None) -> list[tuple[str, type[_Benchmark], Cells]]:
    """Name, class and cells of what a study runs: of all, or of what an expression matches.

    It is matched as asv does it: against the name of each cell, such as
    "item.ByStage.track_item(256, 256, 'disk-warm', 'read', 'naive')".

    Raises:
        StudyError: the expression is none, or matches nothing.
    """
    try:
        wanted = re.compile(expression or "")
    except re.error as error:
        raise StudyError(
            f"--bench {expression!r} is no regular expression ({error}); give a name of asv, such "
            "as item.ByStage."
        ) from error
    found = []
    for benchmark in benchmark_classes():
        name = _name(benchmark)
        cells = [
            levels
            for levels in itertools.product(*benchmark.params)
            if any(wanted.search(full) for full in _full_names(name, benchmark, levels))
        ]
        if cells:
            found.append((name, benchmark, cells))
    if not found:
        raise StudyError(_no_match(str(expression)))
    return found


def _name(benchmark: type[_Benchmark]) -> str:
    """The name of a class in asv, such as "item.ByStage"."""
    return f"{benchmark.__module__.rpartition('.')[2]}.{benchmark.__name__}"


def _full_names(name: str, benchmark: type[_Benchmark], levels: tuple[Any, ...]) -> list[str]:
    tracks = [track for track in dir(benchmark) if track.startswith("track_")]
    return [f"{name}.{track}({', '.join(map(repr, levels))})" for track in tracks]


def _no_match(expression: str) -> str:
    names = [_name(benchmark) for benchmark in benchmark_classes()]
    known = [*names, *(name.partition(".")[0] for name in names)]
    lower = {name.lower(): name for name in known}
    close = difflib.get_close_matches(expression.lower(), lower, n=3, cutoff=0.4)
    close = [lower[name] for name in close] or sorted({n.partition(".")[0] for n in names})
    return (
        f"--bench {expression!r} matches no benchmark of the profile {profile_name()}; it has "
        f"{', '.join(close)}, for example."
    )


def corpora(expression: str | None = None) -> list[CorpusSpec]:
    """The corpora that the chosen cells need, without repetition.

    Raises:
        StudyError: see `chosen`.
    """
    specs = set()
    for _, benchmark, cells in chosen(expression):
        if not benchmark.needs_corpus:
            continue
        for levels in cells:
            cell = Cell.at(benchmark.param_names, levels)
            specs.add(
                CorpusSpec(
                    count=cell.n, resolution=cell.px, quality=cell.quality, images=images_dir()
                )
            )
    return sorted(specs, key=lambda spec: (spec.resolution, spec.count, spec.quality))


def plan(expression: str | None = None) -> dict[str, Any]:
    """Rounds, and of each benchmark its cells and in which rounds it runs.

    `every` is 1 for every round, 3 for every third one, 0 for the first only.

    Raises:
        StudyError: see `chosen`.
    """
    return {
        "rounds": GRID.rounds,
        "benchmarks": {
            name: {"cells": len(cells), "every": benchmark.every}
            for name, benchmark, cells in chosen(expression)
        },
    }


def levels() -> dict[str, dict[str, list[Any]]]:
    """Factors and levels of each benchmark of the chosen profile."""
    return {
        _name(one): dict(zip(one.param_names, map(list, one.params), strict=True))
        for one in benchmark_classes()
    }


def _summary(manifests: Sequence[Mapping[str, Any]]) -> str:
    """All corpora in one line."""
    if not manifests:
        return "Images: none are needed."
    sides = sorted({manifest["resolution"] for manifest in manifests})
    size = decimal(sum(manifest["total_bytes"] for manifest in manifests))
    return (
        f"Images: {sum(manifest['count'] for manifest in manifests):,} JPEG files, "
        f"{' to '.join(map(str, dict.fromkeys((sides[0], sides[-1]))))} px, {size}, "
        f"in {len(manifests)} folders."
    )


def _is_plan(path: Path) -> bool:
    found = json_of(path)
    cells = [set(one) for one in found["benchmarks"].values()]
    return found.keys() == {"rounds", "benchmarks"} and all(
        one == {"cells", "every"} for one in cells
    )


def _is_manifests(path: Path) -> bool:
    found = json_of(path)  # a list, also of none; an object or a text without content is not ours
    return isinstance(found, list) and all(map(Manifest.model_validate, found))  # or it raises


def _refuse_one_file(plan: Path | None, manifests: Path | None) -> None:
    """Raises `StudyError` where both name one file, however they spell it: of two, one would go."""
    if plan and manifests and _place(plan) == _place(manifests):
        raise StudyError(
            f"--plan {plan} and --manifests {manifests} name one file, and the second would "
            "replace the first; name two."
        )


def _place(path: Path) -> tuple[Any, ...]:
    """Where a file is or will be: its folder may have several names."""
    try:
        folder = path.parent.stat()
    except OSError:
        return (path.resolve(strict=False),)
    return folder.st_dev, folder.st_ino, path.name


@exit_on_study_error
def main(argv: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.prepare")
    parser.add_argument(
        "--manifests", type=user_path, help="write the corpora's manifests to this file"
    )
    parser.add_argument(
        "--plan", type=user_path, help="write to this file what `benchmarks.plan` prints"
    )
    parser.add_argument("--bench", help="only for the cells that this expression matches")
    options = parser.parse_args(argv)
    _refuse_one_file(options.plan, options.manifests)
    pictures = [folder] if (folder := images_dir()) else []
    for place, ours, what in (
        (options.plan, _is_plan, "the plan of a study"),
        (options.manifests, _is_manifests, "manifests of corpora"),
    ):
        if place:
            check_replaceable(place, ours, sources=pictures, what=what)
    if options.plan:
        atomic_write(options.plan, json.dumps(plan(options.bench)))
    manifests = [
        ensure_corpus(spec, progress=True, verify=True).manifest.model_dump(mode="json")
        for spec in corpora(options.bench)
    ]
    print(_summary(manifests), file=sys.stderr)
    skipped = sorted({sentence for manifest in manifests for sentence in manifest["skipped"]})
    for sentence in skipped:
        print(sentence, file=sys.stderr)
    if skipped:
        print(f"{len(skipped)} pictures were skipped; the rest is used.", file=sys.stderr)
    if options.manifests:
        atomic_write(options.manifests, json.dumps(manifests))
    return 0


if __name__ == "__main__":
    sys.exit(main())
