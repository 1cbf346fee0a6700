"""Slow storage and little memory: the state of every number is verified, or there is no number."""

from __future__ import annotations

import pickle
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from asv_runner.benchmarks.mark import SkipNotImplemented
from conftest import COUNT, PX, ROOT

from benchmarks import storage
from benchmarks.measures import epochs as measure
from benchmarks.measures import throttled
from datasets_impl import registry
from datasets_impl.corpus import Corpus
from datasets_impl.corrected.mapped import PAGE
from datasets_impl.errors import StudyError, Unsupported, VoidMeasurement
from datasets_impl.experiments import beyond_memory
from datasets_impl.files.whole import NOTE, TEXT
from datasets_impl.media import cgroup
from datasets_impl.media.cgroup import limited_bandwidth
from datasets_impl.observe import page_cache
from datasets_impl.variants.raw_files import INDEX, RawFileDataset
from tests.stand_in import without_torchvision
from tests.with_cells import cell, records, with_cells

BIG = 256  # px: twelve images of pixels are 2.4 MB, half a second at 5 MB/s
SLOW = 5


def last(log: Path) -> dict[str, Any]:
    return records(log)[-1]


@pytest.fixture
def throttling(on_disk: None, session_cache: Path) -> None:
    try:
        with limited_bandwidth(session_cache, 10**9):
            pass
    except Unsupported as reason:
        pytest.skip(str(reason))


@pytest.fixture
def not_throttled(monkeypatch: pytest.MonkeyPatch) -> None:
    """A limit that limits nothing: what a kernel that ignores it would do."""

    @contextmanager
    def nothing(path: Path, limit: int) -> Iterator[None]:
        yield

    monkeypatch.setattr(cgroup, "limited_bandwidth", nothing)


def by_bandwidth(impl: str, bandwidth: int = SLOW) -> Any:
    return storage.ByBandwidth().track_epoch(COUNT, BIG, bandwidth, impl)


# --- the throttled disk ----------------------------------------------------------------------


@pytest.mark.parametrize("impl", ["naive", "raw-files", "mapped-fixed"])
def test_throttled_epoch_and_its_verified_state(impl: str, log: Path, throttling: None) -> None:
    (value,) = by_bandwidth(impl)["samples"]
    record = last(log)
    assert value > 0
    assert record["resident_before"] == 0
    assert record["bytes_read"] >= 0.9 * record["bytes_of_files"] > 0
    assert record["limit"] == SLOW * 1_000_000
    assert record["images"] == COUNT
    seconds = value * COUNT / 1e6
    assert record["bytes_per_second"] == pytest.approx(record["bytes_read"] / seconds)
    assert record["bytes_read"] <= 1.05 * record["limit"] * (seconds + cgroup.SLICE)
    if impl != "naive":
        assert 0 <= record["bytes_of_files"] - COUNT * 3 * BIG**2 <= 2 * PAGE


@pytest.mark.parametrize("impl", ["naive", "raw-files", "mapped-fixed"])
def test_what_the_throttle_grants_in_advance_is_used_up_first(
    impl: str, log: Path, on_disk: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Inside the limit, after the eviction and before the clock starts."""
    happened = []

    @contextmanager
    def limited(path: Path, limit: int) -> Iterator[None]:
        happened.append("limit")
        yield
        happened.append("no limit")

    def noted(name: str, function: Any) -> Any:
        return lambda *given: (happened.append(name), function(*given))[1]

    monkeypatch.setattr(cgroup, "limited_bandwidth", limited)
    monkeypatch.setattr(cgroup, "require_throttled", lambda size, seconds, limit: 0.0)
    monkeypatch.setattr(cgroup, "warm", noted("advance", cgroup.warm))
    monkeypatch.setattr(page_cache, "require_cold", noted("cold", page_cache.require_cold))
    monkeypatch.setattr(measure, "timed", noted("timed", measure.timed))
    by_bandwidth(impl)
    assert happened == ["limit", "cold", "advance", "timed", "no limit"]


def test_warm_passed_off_as_cold_is_void(
    log: Path, on_disk: None, not_throttled: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    """End to end: through `_Benchmark.measured`, as asv calls it."""
    monkeypatch.setattr(page_cache, "evict", lambda paths: page_cache.warm(paths))
    with pytest.raises(VoidMeasurement, match="still in the page cache"):
        by_bandwidth("raw-files")
    assert last(log)["failed"].startswith("VoidMeasurement: 100.0% of 12 files")
    assert "value" not in last(log)


def test_warm_passed_off_as_cold_is_void_even_if_residency_lies(
    log: Path, on_disk: None, not_throttled: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(page_cache, "evict", lambda paths: page_cache.warm(paths))
    monkeypatch.setattr(page_cache, "resident_share", lambda paths: 0.0)
    with pytest.raises(VoidMeasurement, match="came from the device"):
        by_bandwidth("raw-files")
    assert "value" not in last(log)


@pytest.mark.parametrize("impl", ["raw-files", "mapped-fixed"])
def test_unthrottled_passed_off_as_throttled_is_void(
    impl: str, log: Path, on_disk: None, not_throttled: None
) -> None:
    with pytest.raises(VoidMeasurement, match="under a limit of 1 MB/s"):
        by_bandwidth(impl, bandwidth=1)
    assert "value" not in last(log)


def test_too_few_images_for_the_bandwidth_are_skipped(log: Path, on_disk: None) -> None:
    with pytest.raises(SkipNotImplemented, match="more or larger images"):
        by_bandwidth("raw-files", bandwidth=800)
    assert "tenths of a second" in last(log)["skipped"]


def test_without_control_groups_the_cell_is_skipped(
    log: Path, on_disk: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refused(resource: str) -> None:
        raise Unsupported("this system has no control groups to set limits with")

    monkeypatch.setattr(cgroup, "find", refused)
    with pytest.raises(SkipNotImplemented):
        by_bandwidth("naive")
    assert last(log)["skipped"] == "this system has no control groups to set limits with"


@pytest.mark.parametrize("stage", ["read", "decode"])
def test_throttled_share(stage: str, log: Path, throttling: None) -> None:
    corpus = measure.corpus_of(cell(n=COUNT, px=BIG))
    size = sum(path.stat().st_size for path in corpus.root.iterdir())
    assert size >= cgroup.SHORTEST_SECONDS * 1_000_000
    (value,) = storage.ReadShare().track_stage_share(COUNT, BIG, 1, stage, "naive")["samples"]
    record = last(log)
    assert 0 < value < 100 and record["resident_before"] == 0
    assert record["bytes_per_second"] > 0 and sum(record["shares"].values()) <= 100
    assert record["bytes_of_files"] <= record["bytes_read"]


def test_bandwidth_says_how_many_images_are_read(
    on_disk: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The same number for every arm, and no more than the bandwidth needs."""
    monkeypatch.setattr(cgroup, "limited_bandwidth", lambda path, limit: nullcontext())
    monkeypatch.setattr(cgroup, "require_throttled", lambda size, seconds, limit: 0.0)
    monkeypatch.setattr(throttled, "LEAST_BYTES", 5 * 3 * BIG**2)
    for impl in ("naive", "raw-files", "mapped-fixed"):
        assert throttled.epoch(cell(n=COUNT, px=BIG, bandwidth=1, impl=impl))[1]["images"] == 5


# --- opening again ---------------------------------------------------------------------------


@pytest.mark.parametrize("impl", ["preloaded", "mapped-fixed", "raw-files"])
def test_reopening(impl: str, on_disk: None, monkeypatch: pytest.MonkeyPatch) -> None:
    """Timed: a second construction over the same folder, which finds what the first one left."""
    folders: list[Path] = []
    build = registry.build

    def counted(name: str, folder: Path, *rest: Any) -> Any:
        folders.append(folder)
        return build(name, folder, *rest)

    monkeypatch.setattr(registry, "build", counted)
    value, state = measure.reopening(cell(n=COUNT, px=PX, impl=impl))
    assert value > 0 and state["resident_before"] == 1
    assert len(folders) == 1 + state["repeats"] and len(set(folders)) == 1


# --- raw files -------------------------------------------------------------------------------


def test_raw_files_are_reopened_not_rebuilt(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    first = RawFileDataset(folder)
    times = [Path(file).stat().st_mtime_ns for file in first.files]
    monkeypatch.setattr("datasets_impl.variants.raw_files.decoded", None)
    again = RawFileDataset(folder)
    assert [Path(file).stat().st_mtime_ns for file in again.files] == times
    assert all((first[i] == again[i]).all() for i in range(COUNT))


@pytest.mark.parametrize("harm", ["truncated", "missing", "another image", "folder"])
def test_damaged_raw_files_are_written_anew(harm: str, folder: Path) -> None:
    first = RawFileDataset(folder)
    pixels = [first[index].clone() for index in range(COUNT)]
    raw = Path(first.files[0])
    if harm == "truncated":
        raw.write_bytes(raw.read_bytes()[:-1])
    elif harm == "missing":
        raw.unlink()
    elif harm == "folder":
        shutil.rmtree(raw.parent)
    else:
        shutil.copyfile(sorted(folder.iterdir())[1], sorted(folder.iterdir())[0])
        pixels[0] = pixels[1]
    again = RawFileDataset(folder)
    for index in range(COUNT):
        np.testing.assert_array_equal(again[index], pixels[index])
    assert sorted(path.name for path in folder.parent.iterdir()) == [
        "images",
        "images.raw",
    ]


@pytest.mark.parametrize("name", ["thesis.txt", "0000012.raw", INDEX])
def test_raw_files_never_replace_what_is_not_theirs(name: str, folder: Path) -> None:
    raw = Path(RawFileDataset(folder).files[0]).parent
    (raw / name).write_text("years of work")
    (folder / "00000.jpg").unlink()
    with pytest.raises(StudyError, match="holds something else than raw pixels"):
        RawFileDataset(folder)
    assert (raw / name).read_text() == "years of work"


def test_raw_files_are_checked_when_first_read(folder: Path) -> None:
    first = RawFileDataset(folder)
    with Path(first.files[3]).open("r+b") as file:
        file.write(bytes(50))
    for again in (RawFileDataset(folder), pickle.loads(pickle.dumps(first))):
        assert again[2].any()
        with pytest.raises(StudyError, match=r"0000003\.raw is damaged"):
            again[3]


def test_raw_files_that_a_killed_build_left_are_swept(folder: Path) -> None:
    partial = folder.with_name(".images.raw.partial")
    (partial / "new").mkdir(parents=True)
    (partial / NOTE).write_text(TEXT)
    (partial / "new" / "0000000.raw").write_bytes(b"half")
    RawFileDataset(folder)
    assert not partial.exists()


def test_unreadable_image_is_named_and_nothing_is_left(folder: Path) -> None:
    bad = sorted(folder.iterdir())[3]
    bad.write_bytes(b"no JPEG")
    with pytest.raises(StudyError, match=bad.name):
        RawFileDataset(folder)
    assert sorted(path.name for path in folder.parent.iterdir()) == ["images"]


# --- more data than memory -------------------------------------------------------------------

SEEN = {
    "images": 50,
    "images_of_epoch": 100,
    "bytes_of_files": 1000,
    "bytes_read": 400,
    "limit": 600,
    "peak_bytes": 600,
}


def test_state_of_an_epoch_beyond_memory() -> None:
    beyond_memory.require_state(SEEN)
    beyond_memory.require_state(SEEN | {"bytes_read": 50_000})  # reading around faults is no fault
    with pytest.raises(VoidMeasurement, match="came from the device"):
        beyond_memory.require_state(SEEN | {"bytes_read": 100})
    with pytest.raises(VoidMeasurement, match="were held under"):
        beyond_memory.require_state(SEEN | {"peak_bytes": 601})


def test_state_of_an_epoch_within_memory() -> None:
    within = SEEN | {"limit": 3000, "bytes_read": 0}
    beyond_memory.require_state(within)
    with pytest.raises(VoidMeasurement, match="not from memory"):
        beyond_memory.require_state(within | {"bytes_read": 100})
    beyond_memory.require_state(within | {"bytes_of_files": 0, "bytes_read": 100})


@pytest.fixture
def small_set(
    corpus: Corpus, monkeypatch: pytest.MonkeyPatch, on_disk: None, tmp_path: Path
) -> Path:
    """A set of 24 images: what is tested is the child and its group, not their size."""
    for name, value in without_torchvision(tmp_path, ROOT).items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr(beyond_memory, "PIXELS", 24 * 3 * PX**2)
    return beyond_memory.pixel_set(corpus.root, PX)


def test_pixel_set_is_built_once(small_set: Path, corpus: Corpus) -> None:
    assert len(list(small_set.iterdir())) == 24
    (pixels,) = beyond_memory.stored("mapped-fixed", small_set)
    assert pixels.stat().st_size == PAGE + 24 * (3 * PX**2 + 8)
    assert pixels.stat().st_blocks * 512 >= 24 * 3 * PX**2, "a sparse file would cost no reading"
    raw = [path for path in beyond_memory.stored("raw-files", small_set) if path.suffix == ".raw"]
    assert len(raw) == 24
    before = pixels.stat().st_mtime_ns
    assert beyond_memory.pixel_set(corpus.root, PX) == small_set
    assert pixels.stat().st_mtime_ns == before


def test_disk_without_room(corpus: Corpus, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(beyond_memory, "PIXELS", 1 << 60)
    with pytest.raises(Unsupported, match="GB free"):
        beyond_memory.pixel_set(corpus.root, PX)


def test_machine_without_memory(small_set: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(beyond_memory, "LIMITS", {"beyond the limit": 1 << 60})
    with pytest.raises(Unsupported, match="of memory are available"):
        beyond_memory.run("raw-files", small_set, "beyond the limit", 1)


@pytest.mark.slow
@pytest.mark.parametrize("impl", ["preloaded", "mapped-fixed", "raw-files"])
def test_child_within_its_limit(
    impl: str, small_set: Path, on_disk: None, limiting: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(beyond_memory, "LIMITS", {"within the limit": 2 << 30})
    monkeypatch.setattr(beyond_memory, "require_state", lambda seen: None)  # 160 kB prove nothing
    seen = beyond_memory.run(impl, small_set, "within the limit", 60)
    assert (seen["ran_out"], seen["out_of_memory_kills"]) == (0, 0)
    assert seen["us_per_image"] > 0 and seen["images"] == seen["images_of_epoch"] == 24
    assert 0 < seen["peak_bytes"] <= 2 << 30 and seen["resident_before"] == 0


@pytest.mark.slow
def test_child_that_runs_out_of_memory(
    small_set: Path, on_disk: None, limiting: None, monkeypatch: pytest.MonkeyPatch, log: Path
) -> None:
    """A limit that PyTorch alone exceeds: killed by the kernel, and only the child."""
    monkeypatch.setattr(beyond_memory, "LIMITS", {"beyond the limit": 24 << 20})
    monkeypatch.setattr(throttled.beyond_memory, "pixel_set", lambda corpus, px: small_set)
    benchmark = with_cells(storage.BeyondMemory)
    result = benchmark.track_failed(COUNT, PX, "beyond the limit", "preloaded")
    assert result["samples"] == [1.0]
    record = last(log)
    assert record["out_of_memory_kills"] == 1
    assert record["peak_bytes"] <= record["limit"] == 24 << 20
    assert "us_per_image" not in record
    with pytest.raises(MemoryError, match="ran out"):
        with_cells(storage.BeyondMemoryEpoch).track_epoch(
            COUNT, PX, "beyond the limit", "raw-files"
        )


@pytest.mark.slow
def test_child_that_fails_otherwise_is_an_error(
    small_set: Path, on_disk: None, limiting: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A mistake of ours must not pass for a lack of memory."""
    monkeypatch.setattr(beyond_memory, "LIMITS", {"within the limit": 2 << 30})
    with pytest.raises(RuntimeError, match="KeyError: 'no-such'"):
        beyond_memory.run("no-such", small_set, "within the limit", 1)
