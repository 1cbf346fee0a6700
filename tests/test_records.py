"""Four structures with the same records, what they send to workers, and what it costs to hold."""

from __future__ import annotations

import ctypes
import errno
import itertools
import json
import multiprocessing
import multiprocessing.forkserver
import os
import pickle
import sys
from pathlib import Path
from typing import Any

import pytest
from conftest import COUNT, PX
from PIL import Image

from benchmarks import exact, memory
from benchmarks.grids import PROFILES, Cell
from benchmarks.measures import epochs as measure
from benchmarks.measures import tree
from datasets_impl import registry
from datasets_impl.errors import StudyError, Unsupported, VoidMeasurement
from datasets_impl.experiments.cycled import Cycled
from datasets_impl.experiments.records import (
    BATCH_SIZE,
    LABELS,
    STRUCTURES,
    count_records,
    make_record,
    record_loader,
)
from datasets_impl.observe.handover import handover, start_failure, starting
from datasets_impl.observe.memory import Memory, Tree
from tests.commands import python
from tests.with_cells import cell, with_cells

every_structure = pytest.mark.parametrize("structure", STRUCTURES)
MANY = 2500  # more than there are labels, and not a multiple of anything


@every_structure
def test_records_are_the_same_in_every_structure(structure: str) -> None:
    dataset = STRUCTURES[structure](MANY)
    assert len(dataset) == MANY
    records = [dataset[index] for index in range(MANY)]
    assert records == [make_record(index) for index in range(MANY)]
    assert len(set(records)) == MANY
    assert {label for _, label in records} == set(range(LABELS))
    assert all(type(path) is str and type(label) is int for path, label in records)
    with pytest.raises(IndexError):
        dataset[MANY]


@every_structure
@pytest.mark.parametrize("count", [0, 1])
def test_hardly_any_records(structure: str, count: int) -> None:
    dataset = STRUCTURES[structure](count)
    assert len(dataset) == count
    assert [dataset[index] for index in range(count)] == [make_record(i) for i in range(count)]


@every_structure
def test_pickling_after_access_gives_the_same_records(structure: str) -> None:
    dataset = STRUCTURES[structure](MANY)
    expected = dataset[MANY - 1]
    encoded = pickle.dumps(dataset)
    assert pickle.loads(encoded)[MANY - 1] == expected
    assert len(encoded) < 3 * dataset.nbytes, "what an access keeps at hand must not be pickled"


def test_own_bytes_follow_from_the_layout() -> None:
    sizes = {name: make(MANY).nbytes for name, make in STRUCTURES.items()}
    lengths = [len(f"{path} {label}") for path, label in map(make_record, range(MANY))]
    assert sizes["numpy-bytes"] == MANY * max(lengths)
    assert sizes["packed-tensor"] == sum(lengths) + 8 * (MANY + 1)
    header = sys.getsizeof("")
    assert sizes["list-str"] == pytest.approx(MANY * 8 + sum(lengths) + MANY * header, rel=0.1)
    assert sizes["list-tuple"] > sizes["list-str"] > sizes["packed-tensor"]


@pytest.mark.parametrize(
    ("structure", "start_method"),
    [*((each, "fork") for each in STRUCTURES), ("packed-tensor", "spawn")],
)
@pytest.mark.usefixtures("own_children")
def test_loader_reads_every_record_once(structure: str, start_method: str) -> None:
    count = BATCH_SIZE + 5
    workers = 2 if start_method == "fork" else 1  # each imports PyTorch anew
    with record_loader(STRUCTURES[structure](count), workers, start_method) as batches:
        assert sorted(batches) == [5, BATCH_SIZE] == sorted(batches)
    assert not multiprocessing.active_children()


def test_loader_shuffles() -> None:
    with record_loader(STRUCTURES["list-str"](MANY), 0, "fork") as batches:
        assert list(batches.sampler) != list(range(MANY))
        assert batches.collate_fn is count_records


def test_cycled_repeats_and_ends() -> None:
    cycled = Cycled(["a", "b"], 5)
    assert [cycled[index] for index in range(len(cycled))] == ["a", "b", "a", "b", "a"]
    assert cycled[-1] == "a" and cycled[-4] == "b"
    for outside in (5, -6):
        with pytest.raises(IndexError):
            cycled[outside]


# --- preloaded in one block ------------------------------------------------------------------

BLOCKS = ("preloaded-array", "preloaded-tensor", "preloaded-shared")


@pytest.mark.parametrize("name", BLOCKS)
def test_one_block_needs_one_shape(name: str, folder: Path) -> None:
    Image.new("RGB", (PX + 1, PX)).save(folder / "zz.jpg")
    with pytest.raises(StudyError, match=f"{PX + 1}x{PX} pixels and the first .* is {PX}x{PX}"):
        registry.build(name, folder)


@pytest.mark.parametrize("name", BLOCKS)
def test_one_block_needs_a_file(name: str, tmp_path: Path) -> None:
    with pytest.raises(StudyError, match="no JPEG file"):
        registry.build(name, tmp_path)


def test_only_the_shared_block_starts_in_shared_memory(folder: Path) -> None:
    assert registry.build("preloaded-shared", folder).data.is_shared()
    assert not registry.build("preloaded-tensor", folder).data.is_shared()


# --- what workers are sent -------------------------------------------------------------------

PIXELS = COUNT * PX * PX * 3


@pytest.mark.parametrize(
    ("name", "copies", "descriptors"),
    [
        ("naive", 0, 0),
        ("preloaded", 0, COUNT),
        ("preloaded-array", 1, 0),
        ("preloaded-tensor", 0, 1),
        ("preloaded-shared", 0, 1),
        ("mapped", 1, 0),
        ("mapped-fixed", 0, 0),
    ],
)
def test_handover(name: str, copies: int, descriptors: int, folder: Path) -> None:
    dataset = registry.build(name, folder)
    found = handover(dataset)
    assert found.sent_bytes == pytest.approx(copies * PIXELS, abs=10_000)
    assert found.descriptors == descriptors
    assert found.plain_bytes == len(pickle.dumps(dataset, pickle.DEFAULT_PROTOCOL))


def test_handover_leaves_the_dataset_usable_and_nothing_spawning(folder: Path) -> None:
    dataset = registry.build("preloaded", folder)
    before = [sample.clone() for sample in dataset]
    handover(dataset)
    assert multiprocessing.context.get_spawning_popen() is None
    assert all((dataset[i] == before[i]).all() for i in range(COUNT))
    with pytest.raises(Exception, match="pickle"):
        handover(lambda: None)
    assert multiprocessing.context.get_spawning_popen() is None


def test_a_loader_that_starts_has_no_failure(folder: Path) -> None:
    assert start_failure(registry.build("preloaded", folder), 1, "fork") == ""


@pytest.mark.slow
@pytest.mark.usefixtures("own_children")
def test_a_list_of_tensors_exceeds_what_forkserver_can_send(folder: Path) -> None:
    dataset = registry.build("preloaded", folder)
    dataset.data = [dataset.data[0].clone() for _ in range(260)]
    dataset.image_paths = dataset.image_paths[:1] * 260
    assert start_failure(dataset, 1, "forkserver") == "ValueError: too many fds"
    assert not multiprocessing.active_children()


@pytest.mark.parametrize(
    "error",
    [
        ValueError("too many fds"),
        OSError(errno.EMFILE, os.strerror(errno.EMFILE)),
        RuntimeError("unable to mmap: Too many open files (24)"),
        RuntimeError("received 0 items of ancdata"),
    ],
)
def test_lack_of_descriptors_is_unsupported(error: Exception) -> None:
    with pytest.raises(Unsupported, match="workers cannot start") as caught, starting():
        raise error
    assert str(error) in str(caught.value)


@pytest.mark.parametrize("error", [ValueError("bad"), OSError(errno.ENOENT, "gone"), KeyError("x")])
def test_other_errors_pass(error: Exception) -> None:
    with pytest.raises(type(error)) as caught, starting():
        raise error
    assert caught.value is error


# --- the benchmarks --------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("structure", "least", "most"),
    [("list-str", 70, 115), ("list-tuple", 85, 115), ("numpy-bytes", 0, 10)],
)
@pytest.mark.fresh_process
def test_share_that_a_forked_worker_copies(structure: str, least: float, most: float) -> None:
    value, state = tree.record_copies(cell(n=200_000, structure=structure))
    assert least <= value <= most
    assert value > 0
    first, second = state["worker_growth_mb"]
    assert len(first) == len(second) == tree.WORKERS
    assert state["gc"] is True
    assert max(second) < max(first) + 2


@pytest.mark.fresh_process
def test_tree_of_records_is_the_dataset_and_its_copies() -> None:
    value, state = tree.record_tree(cell(n=200_000, structure="list-str"))
    assert value == pytest.approx(state["dataset_mb"] * (1 + tree.WORKERS), rel=0.15)


PHOTOGRAPHS = {"n": 128, "px": 256}
DECODED_MB = 128 * 256 * 256 * 3 / 1e6


@pytest.mark.parametrize("impl", ["preloaded-shared", "mapped", "mapped-fixed"])
@pytest.mark.fresh_process
def test_forked_workers_share_one_copy(impl: str, on_disk: None) -> None:
    measure.corpus_of(cell(**PHOTOGRAPHS))
    # What building it freed is given back now: later it would count as less, or be used again.
    if trim := getattr(ctypes.CDLL(None), "malloc_trim", None):
        trim(0)
    value, state = tree.photograph_tree(cell(**PHOTOGRAPHS, impl=impl))
    assert value == pytest.approx(DECODED_MB, rel=0.35), "one copy, not one for each process"
    assert state["pixels_mb"] == pytest.approx(DECODED_MB, abs=0.01)
    assert state["times_pixels"] == pytest.approx(value / DECODED_MB, abs=0.01)
    mapped = DECODED_MB if impl.startswith("mapped") else 0
    assert state["files_mb"] == pytest.approx(mapped, rel=0.02)
    assert "peak_mb" not in state


COPIES = {  # of the pixels, by start method and implementation
    ("fork", "preloaded"): 1,
    ("fork", "preloaded-array"): 1,
    ("forkserver", "preloaded-array"): 3,
    ("forkserver", "preloaded-tensor"): 1,
}
# Each in a fresh process, forked as asv does it: another's freed memory would be used again.
FRESH = """
import json, os, sys
from benchmarks.grids import Cell
from benchmarks.measures import tree
for levels in json.loads(sys.argv[1]):
    if not (pid := os.fork()):
        cell = Cell.at(["n", "px", "start_method", "impl"], (128, 256, *levels))
        print(json.dumps(tree.photograph_tree(cell)), flush=True)
        sys.exit()
    assert os.waitpid(pid, 0)[1] == 0, levels
"""


@pytest.mark.slow
def test_arrays_are_copied_to_workers_that_are_not_forked(on_disk: None) -> None:
    measure.corpus_of(cell(**PHOTOGRAPHS))  # built here: building leaves freed memory too
    done = python("-c", FRESH, json.dumps(list(COPIES)))
    assert done.returncode == 0, done.stderr
    answers = map(json.loads, done.stdout.splitlines())
    for ((method, impl), copies), (value, state) in zip(COPIES.items(), answers, strict=True):
        # A third of a copy: the allocator and the reading itself add up to 3 MB of their own.
        assert value == pytest.approx(copies * DECODED_MB, abs=DECODED_MB / 3), (method, impl)
        assert ("peak_mb" in state) == (method != "fork")
        assert state.get("peak_mb", value) >= 0.99 * value


@pytest.mark.slow
def test_a_second_measurement_starts_its_own_fork_server(monkeypatch: pytest.MonkeyPatch) -> None:
    """The first one removed the folder that the fork server's socket was in."""
    server = multiprocessing.forkserver._forkserver  # type: ignore[attr-defined]
    monkeypatch.setattr(server, "_preload_modules", [])  # PyTorch would take seconds each time

    def started(cell: Cell) -> tuple[float, dict[str, Any]]:
        made = multiprocessing.get_context(cell.start_method).Process(target=sys.exit, args=(3,))
        made.start()
        made.join()
        return float(made.exitcode or 0), {}

    for _ in range(2):
        made = with_cells(memory.StartMethod)
        levels = (COUNT, PX, "forkserver", "mapped-fixed")
        assert made.measured(levels, started)["samples"] == [3.0]


def test_swapped_memory_voids(monkeypatch: pytest.MonkeyPatch) -> None:
    swapped = Tree({os.getpid(): Memory(swapped=50 * 10**6)})
    monkeypatch.setattr(tree, "tree_memory", lambda: swapped)
    with pytest.raises(VoidMeasurement, match="50 MB of the processes were swapped"):
        tree.record_tree(cell(n=100, structure="numpy-bytes"))


def test_memory_is_measured_with_the_allocator_users_have() -> None:
    for benchmark in (memory.RecordsPerWorker, memory.RecordsTree, memory.StartMethod):
        assert not benchmark.keeps_freed_memory
        assert not benchmark.spoilt_by_load, "a second attempt would reuse what the first freed"


@pytest.mark.parametrize("profile", PROFILES)
def test_structures_of_the_benchmarks_exist(profile: str) -> None:
    """All of them, but in the profile that must be quick."""
    named = set(PROFILES[profile].record_structures)
    assert named == set(STRUCTURES) or (profile == "quick" and named < set(STRUCTURES))


def test_exact_answers(on_disk: None) -> None:
    def answer(track: Any, *levels: Any) -> float:
        (sample,) = track(*levels)["samples"]
        return float(sample)

    ratio = exact.PickleBytes().track_pickle_ratio
    assert answer(ratio, COUNT, PX, "preloaded-array") == pytest.approx(1, abs=0.05)
    assert answer(ratio, COUNT, PX, "preloaded-tensor") < 0.05
    failed = exact.Starts().track_starts_failed
    assert answer(failed, COUNT, PX, "fork", "preloaded") == 0


def test_every_stored_form_is_an_implementation() -> None:
    pairs = itertools.product((exact.PickleBytes, memory.StartMethod), (-1,))
    for benchmark, last in pairs:
        assert set(benchmark.params[last]) <= set(registry.IMPLEMENTATIONS)
