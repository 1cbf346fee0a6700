"""The table of factors: complete, and what every other table says of the same things."""

from __future__ import annotations

import re
import subprocess
import sys

import pytest
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
    assert set(factors.CENTRE.items()) <= set(grids.CENTRE.items())
    assert factors.CENTRE["medium"] in factors.LOCAL_MEDIA
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


@pytest.mark.parametrize(
    "fact",
    [
        r"-again[\"')]",
        r'"ramdisk", "disk-warm", "disk-cold"',
        r'"throttled", "object-store"',
        r'"decode", "raw", "train", "remote"',
    ],
)
def test_what_measuring_and_judging_share_is_written_once(fact: str) -> None:
    found = [
        str(path.relative_to(ROOT))
        for room in ("benchmarks", "datasets_impl", "scripts")
        for path in (ROOT / room).rglob("*.py")
        if re.search(fact, path.read_text())
    ]
    assert found == ["datasets_impl/factors.py"]


def test_every_interval_is_as_wide_as_the_rules_say() -> None:
    """What is shown beside the claims, too."""
    rooms = (ROOT / "scripts" / "judging").rglob("*.py")
    assert [path.name for path in rooms if "0.95" in path.read_text()] == []
