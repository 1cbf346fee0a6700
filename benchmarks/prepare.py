"""Build every corpus of the chosen profile before anything is measured, with progress.

Run as `python -m benchmarks.prepare`; asv builds a missing corpus on first use just the same.
"""

from __future__ import annotations

import argparse
import importlib
import inspect
import itertools
import json
import sys
from pathlib import Path

from datasets_impl.atomic import atomic_write
from datasets_impl.corpus import CorpusSpec, ensure_corpus
from datasets_impl.errors import exit_on_study_error
from datasets_impl.paths import images_dir

from .common import _Benchmark
from .grids import GRID, Cell

TOPICS = tuple(
    importlib.import_module(f".{name}", __package__)
    for name in (
        "arms",
        "controls",
        "epoch",
        "exact",
        "item",
        "loader",
        "memory",
        "stall",
        "startup",
        "storage",
        "structures",
        "transport",
    )
)


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


def planned() -> list[type[_Benchmark]]:
    """Those that a study of the chosen profile runs."""
    return [
        benchmark
        for benchmark in benchmark_classes()
        if not GRID.topics or benchmark.__module__.rpartition(".")[2] in GRID.topics
    ]


def corpora() -> list[CorpusSpec]:
    """The corpora that the profile's cells need, without repetition."""
    specs = set()
    for benchmark in planned():
        if not benchmark.needs_corpus:
            continue
        for levels in itertools.product(*benchmark.params):
            cell = Cell.at(benchmark.param_names, levels)
            specs.add(
                CorpusSpec(
                    count=cell.n, resolution=cell.px, quality=cell.quality, images=images_dir()
                )
            )
    return sorted(specs, key=lambda spec: (spec.resolution, spec.count, spec.quality))


@exit_on_study_error
def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.prepare")
    parser.add_argument("--manifests", type=Path, help="write the corpora's manifests to this file")
    options = parser.parse_args()
    manifests = [
        ensure_corpus(spec, progress=True).manifest.model_dump(mode="json") for spec in corpora()
    ]
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
