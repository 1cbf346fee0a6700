"""The suite as asv sees it, its grids, and its command lines."""

from __future__ import annotations

import ast
import importlib
import itertools
import json
import math
import multiprocessing
import os
import re
from collections.abc import Iterable, Iterator
from types import ModuleType
from typing import Any

import pytest
from asv_runner.discovery import disc_benchmarks
from conftest import ROOT
from standard_suite import imported

from benchmarks import plan, prepare
from benchmarks.grids import CENTRE, PROFILE_VARIABLE, PROFILES, Cell, star
from benchmarks.measures.costs import SEPARATE
from datasets_impl import registry
from datasets_impl.contest.beside import WAYS
from datasets_impl.contest.ceilings import CEILINGS
from datasets_impl.contest.registry import ARMS
from datasets_impl.corpus import DEFAULT_QUALITY, MAX_COUNT, MAX_RESOLUTION, CorpusSpec
from datasets_impl.experiments import behaviour, beyond_memory, uneven
from datasets_impl.experiments.augment import PLACES
from datasets_impl.experiments.free_samples import CARRIERS
from datasets_impl.experiments.loops import LOOPS
from datasets_impl.experiments.records import STRUCTURES as RECORD_STRUCTURES
from datasets_impl.experiments.stages import STAGES
from datasets_impl.experiments.structures import RECORDS, STRUCTURES
from datasets_impl.experiments.trainers import TRAINERS
from datasets_impl.factors import APART, LOCAL_MEDIA, first_name, second_name
from datasets_impl.transforms import TRANSFORMS
from scripts.judging.targets import apart
from tests.commands import python, refused

every_profile = pytest.mark.parametrize("profile", PROFILES)


def again(names: Iterable[str]) -> set[str]:
    """The names, and the second name of each."""
    return {name for first in names for name in (first, second_name(first))}


def module_of(benchmark: type) -> str:
    return benchmark.__module__.rpartition(".")[2]


@pytest.fixture(scope="module")
def discovered() -> list[Any]:
    return list(disc_benchmarks(str(ROOT / "benchmarks")))


def test_asv_finds_every_class_once_and_prepare_the_same(discovered: list[Any]) -> None:
    names = [benchmark.name for benchmark in discovered]
    assert len(names) == len(set(names))
    found = {name.rpartition(".")[0] for name in names}
    classes = prepare.benchmark_classes()
    assert found == {f"{module_of(benchmark)}.{benchmark.__name__}" for benchmark in classes}
    assert len(classes) == len(set(classes)) == len(found)


def test_every_benchmark_is_a_track_with_a_unit(discovered: list[Any]) -> None:
    for benchmark in discovered:
        assert benchmark.type == "track", benchmark.name
        assert benchmark.unit != "unit", f"{benchmark.name} has asv's default unit"
        assert benchmark.version, benchmark.name


def test_asv_gets_strings_and_integers_only(discovered: list[Any]) -> None:
    for benchmark in discovered:
        assert len(benchmark.params) == len(benchmark.param_names)
        for level in itertools.chain.from_iterable(benchmark.params):
            assert type(ast.literal_eval(level)) in (str, int), f"{benchmark.name}: {level}"


@pytest.fixture(scope="module", params=PROFILES)
def suite(request: pytest.FixtureRequest) -> Iterator[ModuleType]:
    """`benchmarks.prepare` as imported under each profile."""
    with imported(request.param) as prepare:
        yield prepare


def test_parameters_of_every_class(suite: ModuleType) -> None:
    for benchmark in suite.benchmark_classes():
        where = f"{module_of(benchmark)}.{benchmark.__name__}"
        names = benchmark.param_names
        assert len(names) == len(set(names)) == len(benchmark.params), where
        assert "impl" not in names or names[-1] == "impl", f"{where}: implementation goes last"
        for name, levels in zip(names, benchmark.params, strict=True):
            assert levels, f"{where}.{name}: a profile leaves such a class out"
            assert len(levels) == len(set(levels)), f"{where}.{name}: {levels}"
            assert all(type(level) in (str, int) for level in levels), f"{where}.{name}: {levels}"


def test_asv_accepts_every_benchmark(suite: ModuleType) -> None:
    """What `asv check` does: it refuses a benchmark without cells."""
    found = list(disc_benchmarks(str(ROOT / "benchmarks")))
    assert all(benchmark.check("benchmarks") for benchmark in found)
    classes = {f"{module_of(each)}.{each.__name__}" for each in suite.benchmark_classes()}
    assert {benchmark.name.rpartition(".")[0] for benchmark in found} == classes
    left_out = os.environ[PROFILE_VARIABLE] in ("quick", *APART)
    assert ("epoch.ByStartMethod" in classes) != left_out


def test_what_the_newest_python_starts_workers_by_is_measured_in_every_profile() -> None:
    """And each claim about loaders beside trainers and uneven samples has a few cells."""
    for profile in ("quick", "standard", "full"):
        with imported(profile) as prepare:
            cells = prepare.plan(None)["benchmarks"]
            levels = {
                (one.__module__, one.__name__): one.params for one in prepare.benchmark_classes()
            }
        assert {"uneven.ByMix", "trainers.Training", "memory.StartMethod"} <= cells.keys(), profile
        assert {"fork", "forkserver"} <= set(levels["benchmarks.startup", "BySize"][3]), profile


def test_every_cell_can_be_built(suite: ModuleType) -> None:
    """Each level is one that the code knows; a typo would fail hours into a run."""
    known = {
        "medium": LOCAL_MEDIA,
        "transform": TRANSFORMS,
        "stage": ("item", *STAGES),
        "start_method": multiprocessing.get_all_start_methods(),
        "phase": behaviour.PHASES,
        "mix": (*behaviour.SHAPE_MIXES, *uneven.MIXES),
        "access": ("item", "unbatched", "batch"),
        "where": ("memory", "disk", *beyond_memory.LIMITS),
        "loop": again(LOOPS),
        "structure": again((*STRUCTURES, *RECORD_STRUCTURES)),
        "record": RECORDS,
        "carrier": again(CARRIERS),
        "trainer": TRAINERS,
    }
    for benchmark in suite.benchmark_classes():
        where = f"{module_of(benchmark)}.{benchmark.__name__}"
        for levels in itertools.product(*benchmark.params):
            given = dict(zip(benchmark.param_names, levels, strict=True))
            for name, level in given.items():
                assert level in known.get(name, (level,)), f"{where}: {name}={level}"
            if module_of(benchmark) in ("arms", "remote"):
                name = first_name(given["impl"]).removesuffix(SEPARATE)
                tasks = {task for task, known_name in ARMS if known_name == name}
                metrics = {
                    m.removeprefix("track_") for m in dir(benchmark) if m.startswith("track")
                }
                measured = {re.sub("_(memory|stored)$", "", metric) for metric in metrics}
                assert name in (*CEILINGS, *PLACES) or measured <= tasks, f"{where}: {name}"
                continue
            if module_of(benchmark) in ("trainers", "uneven") or "trainer" in given:
                assert first_name(given["impl"]) in (*WAYS, *uneven.LOADERS), where
                continue
            entry = registry.IMPLEMENTATIONS[first_name(given.get("impl", "naive"))]
            assert given.get("transform", "none") == "none" or entry.takes_transform, where
            # Bytes that workers read are not counted until they end, so a cold epoch has none.
            assert given.get("medium") != "disk-cold" or not given.get("workers"), where


def test_what_users_are_told_to_take_is_timed(suite: ModuleType) -> None:
    named = {
        name
        for name, row in registry.IMPLEMENTATIONS.items()
        if row.build.__module__.startswith("datasets_impl.corrected.") or name == "lazy-cache"
    }
    timed = {
        module_of(benchmark): set(benchmark.params[-1])
        for benchmark in suite.benchmark_classes()
        if "Recommended" in benchmark.__name__
    }
    if os.environ[PROFILE_VARIABLE] not in APART:
        assert (
            named == set(importlib.import_module("benchmarks.grids").RECOMMENDED) <= timed["epoch"]
        )
        assert timed["startup"] < named, "the others construct nothing"


CONTEST = ("arms", "remote", "trainers", "uneven")  # topics whose implementations are no datasets


def test_every_row_of_the_registry_is_timed() -> None:
    timed = set()
    for profile in PROFILES:
        with imported(profile) as prepare:
            for benchmark in prepare.benchmark_classes():
                if benchmark.param_names[-1] == "impl" and module_of(benchmark) not in CONTEST:
                    timed |= {first_name(level) for level in benchmark.params[-1]}
    assert set(registry.IMPLEMENTATIONS) <= timed


def test_corpora_cover_every_cell(suite: ModuleType) -> None:
    specs = suite.corpora()
    assert len(specs) == len(set(specs))
    for benchmark in suite.benchmark_classes():
        if not benchmark.needs_corpus:
            continue
        for levels in itertools.product(*benchmark.params):
            cell = suite.Cell.at(benchmark.param_names, levels)
            assert CorpusSpec(cell.n, cell.px, cell.quality) in specs


def test_second_arms_stand_behind_their_first(suite: ModuleType) -> None:
    """Arms that are compared run one after the other."""
    seen = 0
    for benchmark in suite.benchmark_classes():
        if module_of(benchmark) == "controls":
            arms = benchmark.params[-1]
            assert arms[1::2] == [second_name(arm) for arm in arms[::2]]
            seen += 1
    assert bool(seen) == (os.environ[PROFILE_VARIABLE] not in APART)


@every_profile
def test_profile_is_valid(profile: str) -> None:
    grid = PROFILES[profile]
    assert grid.rounds >= 2, "an interval over blocks needs two"
    for levels in (grid.counts, grid.px, grid.px_pair, grid.px_storage, grid.workers):
        assert list(levels) == sorted(set(levels))
    assert list(grid.qualities) == sorted(set(grid.qualities))
    assert min(grid.counts) >= 1 and max(grid.counts) <= MAX_COUNT
    assert min(grid.px) >= 16 and max(grid.px) <= MAX_RESOLUTION
    assert min(grid.qualities) >= 1 and max(grid.qualities) <= 100
    assert grid.workers[0] == 0
    assert set(grid.start_methods) <= set(multiprocessing.get_all_start_methods())
    assert len(set(grid.start_methods)) == len(grid.start_methods)
    # A star needs its centre on every arm.
    assert grid.n in grid.counts and CENTRE["px"] in grid.px and DEFAULT_QUALITY in grid.qualities
    assert set(grid.px_pair) <= set(grid.px) and set(grid.px_storage) <= set(grid.px)
    assert CENTRE["start_method"] in grid.start_methods


@pytest.mark.parametrize(("small", "large"), [("quick", "standard"), ("standard", "full")])
def test_profiles_are_nested(small: str, large: str) -> None:
    """A smaller profile's levels are among the larger one's.

    Only the image counts are excused for "quick": its sweep ends at a smaller centre of its own.
    """
    inner, outer = PROFILES[small], PROFILES[large]
    assert inner.rounds <= outer.rounds and inner.n <= outer.n
    for name in ("px", "px_pair", "px_storage", "workers", "start_methods", "qualities"):
        assert set(getattr(inner, name)) <= set(getattr(outer, name)), name
    assert max(inner.counts) <= max(outer.counts) and min(inner.counts) >= min(outer.counts)
    assert small == "quick" or set(inner.counts) <= set(outer.counts)


def test_star_refuses_a_factor_it_does_not_have() -> None:
    assert star(["n", "px"], px=(1, 2)) == [[CENTRE["n"]], [1, 2]]
    with pytest.raises(ValueError, match="pix"):
        star(["n", "px"], pix=(1, 2))


def test_cell_takes_the_centre_for_what_is_not_given() -> None:
    cell = Cell.at(["px", "mix", "impl"], (48, "any", "mapped"))
    assert (cell.px, cell.impl) == (48, "mapped")
    assert (cell.n, cell.medium, cell.workers) == (CENTRE["n"], CENTRE["medium"], 0)


@pytest.mark.parametrize("module", ["benchmarks.plan", "benchmarks.prepare"])
def test_unknown_profile_is_one_sentence(module: str) -> None:
    answer = python("-m", module, **{PROFILE_VARIABLE: "nonsense"})
    refused(answer, PROFILE_VARIABLE, "'nonsense'", *PROFILES)
    assert answer.stdout == ""


def test_plan(capsys: pytest.CaptureFixture[str]) -> None:
    assert plan.main([]) == 0
    answers = json.loads(capsys.readouterr().out)
    rounds = PROFILES["quick"].rounds
    assert answers["rounds"] == rounds
    for cls in prepare.benchmark_classes():
        planned = answers["benchmarks"][f"{module_of(cls)}.{cls.__name__}"]
        every = planned["every"]
        assert planned["cells"] == math.prod(map(len, cls.params))
        assert cls.rounds == (1 if every == 0 else math.ceil(rounds / every)), cls
        once = cls.__name__ == "BeyondMemory" or cls.__name__.endswith("Costs")
        assert (every == 0) == (once or module_of(cls) == "exact")


def test_profiles_that_stand_apart_share_no_benchmark() -> None:
    """Else a machine's results of both could not be judged together."""
    known: set[str] = set()
    for profile in ("standard", *APART):
        with imported(profile) as prepare:
            planned = prepare.plan(None)["benchmarks"]
        assert planned and all(entry["cells"] for entry in planned.values())
        assert any(entry["every"] == 1 for entry in planned.values()), "no round is empty"
        assert known.isdisjoint(planned)
        known |= planned.keys()
        if profile in APART:
            assert {apart(name) for name in planned} == {profile}
