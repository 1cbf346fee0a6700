"""The table of factors: complete, and what every other table says of the same things."""

from __future__ import annotations

import re
import subprocess
import sys

from conftest import ROOT

from benchmarks import grids, prepare
from datasets_impl import factors, registry
from datasets_impl.corpus import DEFAULT_QUALITY
from datasets_impl.factors import FACTORS, OTHERS

ROWS = (*FACTORS, *OTHERS)


def test_it_is_read_without_torch() -> None:
    ask = "import sys, datasets_impl.factors; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", ask]).returncode == 0


def test_a_factor_has_one_row_and_reads_in_one_way() -> None:
    names = [row.name for row in ROWS]
    assert len(names) == len(set(names))
    for row in FACTORS:
        assert "{}" in row.short, row.name
        assert bool(row.place) != bool(row.unit) or row.name == "workers", row.name
    centre = {row.name: row.centre for row in FACTORS}
    assert centre["quality"] == DEFAULT_QUALITY and registry.IMPLEMENTATIONS[centre["impl"]]


def test_grids_are_made_of_it() -> None:
    assert {row.name: row.centre for row in FACTORS} == {**grids.CENTRE, "n": None}
    assert vars(grids.Cell.at([], ())) == grids.CENTRE
    assert tuple(grids.PROFILES) == factors.PROFILES
    assert [topic.__name__ for topic in prepare.TOPICS] == [
        f"benchmarks.{name}" for name in factors.TOPICS
    ]
    for benchmark in prepare.benchmark_classes():
        assert set(benchmark.param_names) <= set(factors.NAMES), benchmark


def test_the_second_name_of_an_arm_is_made_and_read_in_one_place() -> None:
    assert factors.second_name("naive") == "naive-again"
    assert factors.is_second_name("naive-again") and not factors.is_second_name("naive")
    assert not factors.is_second_name(None) and not factors.is_second_name(7)
    assert [factors.first_name(level) for level in ("naive-again", "naive", 7)] == [
        "naive", "naive", 7,
    ]  # fmt: skip
    cell = grids.Cell.at(["px", "loop", "impl"], (64, "tuned-again", "mapped-again"))
    assert (cell.px, cell.loop, cell.impl) == (64, "tuned", "mapped")
    spelled = [
        str(path.relative_to(ROOT))
        for room in ("benchmarks", "datasets_impl", "scripts")
        for path in (ROOT / room).rglob("*.py")
        if re.search(r'-again["\')]', path.read_text())
    ]
    assert spelled == ["datasets_impl/factors.py"]
