"""The page cache is set and proven; a measurement in another state than it claims is void."""

from __future__ import annotations

import ctypes
import os
from pathlib import Path
from typing import Any

import psutil
import pytest

from benchmarks.measures import epochs as measure
from datasets_impl.documented import MemoryMappedDataset
from datasets_impl.errors import Unsupported, VoidMeasurement
from datasets_impl.observe import page_cache
from datasets_impl.observe.page_cache import PAGE

pytestmark = pytest.mark.usefixtures("evictable")
PAGES = 64


@pytest.fixture
def evictable(on_disk: None, tmp_path: Path) -> None:
    """Skip where this machine cannot evict a file, or cannot tell.

    Asked of the kernel without the code under test, which could otherwise skip its own tests.
    """
    if not hasattr(os, "posix_fadvise"):
        pytest.skip("this platform has no posix_fadvise")
    if not hasattr(ctypes.CDLL(None), "mincore"):
        pytest.skip("this platform has no mincore")
    probe = tmp_path / "probe"
    with probe.open("wb+", buffering=0) as handle:
        handle.write(bytes(PAGE))
        os.fsync(handle)
        os.posix_fadvise(handle.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)
    try:
        before = psutil.Process().io_counters().read_bytes
        probe.read_bytes()
        fetched = psutil.Process().io_counters().read_bytes - before
    except (AttributeError, OSError, psutil.Error):
        pytest.skip("this kernel does not count the bytes a process reads")
    if not fetched:
        pytest.skip("the file system of the temporary folder keeps pages that it is asked to drop")


@pytest.fixture
def files(tmp_path: Path) -> list[Path]:
    paths = [tmp_path / name for name in ("a", "b")]
    for path in paths:
        path.write_bytes(b"x" * (PAGES * PAGE))
    return paths


def read(files: list[Path]) -> None:
    for path in files:
        path.read_bytes()


def test_evicted_and_warmed(files: list[Path]) -> None:
    page_cache.warm(files)
    assert page_cache.resident_share(files) == 1
    page_cache.evict(files)
    assert page_cache.resident_share(files) == 0
    page_cache.warm(files)
    assert page_cache.resident_share(files) == 1


def test_share_is_of_pages(files: list[Path]) -> None:
    page_cache.warm(files)
    page_cache.evict(files[:1])
    assert page_cache.resident_share(files) == 0.5
    (files[1].parent / "empty").touch()
    assert page_cache.resident_share([files[1].parent / "empty"]) == 1


def test_asking_does_not_change_the_state(files: list[Path]) -> None:
    page_cache.evict(files)
    before = page_cache.bytes_read()
    assert [page_cache.resident_share(files) for _ in range(3)] == [0, 0, 0]
    assert page_cache.bytes_read() == before


def test_dirty_pages_are_evicted_too(tmp_path: Path) -> None:
    path = tmp_path / "dirty"
    path.write_bytes(b"x" * (PAGES * PAGE))  # not synced
    page_cache.evict([path])
    assert page_cache.resident_share([path]) == 0


def test_warm_passed_off_as_cold_is_void(files: list[Path]) -> None:
    page_cache.evict(files)
    assert page_cache.require_cold(files) == 0
    files[0].read_bytes()
    with pytest.raises(VoidMeasurement, match="still in the page cache"):
        page_cache.require_cold(files)


def test_nothing_read_is_void(files: list[Path]) -> None:
    page_cache.warm(files)
    before = page_cache.bytes_read()
    read(files)
    with pytest.raises(VoidMeasurement, match="came from the device"):
        page_cache.require_read(page_cache.bytes_read(), files, before)


def test_part_read_is_void(files: list[Path]) -> None:
    size = 2 * PAGES * PAGE
    assert page_cache.require_read(100 + size, files, 100) == size
    with pytest.raises(VoidMeasurement):
        page_cache.require_read(100 + size // 2, files, 100)


def test_cold_run(files: list[Path]) -> None:
    state: dict[str, Any] = {}
    assert measure.cold(lambda: read(files), files, _Nothing(), state) > 0
    assert state["resident_before"] == 0
    assert state["bytes_read"] >= state["bytes_of_files"] == 2 * PAGES * PAGE


def test_cold_run_without_eviction_is_void(
    files: list[Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    page_cache.warm(files)
    monkeypatch.setattr(page_cache, "evict", lambda paths: None)
    ran: list[bool] = []
    with pytest.raises(VoidMeasurement, match="still in the page cache"):
        measure.cold(lambda: ran.append(True), files, _Nothing(), {})
    assert not ran, "measured in the wrong state"


def test_cold_run_that_reads_nothing_is_void(files: list[Path]) -> None:
    with pytest.raises(VoidMeasurement, match="came from the device"):
        measure.cold(lambda: None, files, _Nothing(), {})


def test_cold_run_warmed_behind_its_back_is_void(
    files: list[Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Even with the first check fooled, the count of bytes read gives a warm run away."""
    page_cache.warm(files)
    monkeypatch.setattr(page_cache, "evict", lambda paths: None)
    monkeypatch.setattr(page_cache, "resident_share", lambda paths: 0.0)
    with pytest.raises(VoidMeasurement, match="came from the device"):
        measure.cold(lambda: read(files), files, _Nothing(), {})


def test_warmed_run_whose_files_do_not_stay_is_void(
    files: list[Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    state: dict[str, Any] = {}
    page_cache.evict(files)
    measure.warmed(files, state)
    assert state["resident_before"] == 1
    monkeypatch.setattr(page_cache, "warm", page_cache.evict)
    with pytest.raises(VoidMeasurement, match="stayed in the page cache"):
        measure.warmed(files, state)


def test_mapped_pages_are_released(folder: Path) -> None:
    """Pages that this process has mapped and touched survive an eviction unless let go first."""
    dataset = MemoryMappedDataset(folder)
    data = [folder / "image_data.dat"]
    before = dataset.mmap.copy()
    page_cache.release_mappings(dataset)
    page_cache.evict(data)
    assert page_cache.resident_share(data) == 0
    assert (dataset.mmap == before).all()


def test_platform_without_eviction(files: list[Path], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr(page_cache.os, "posix_fadvise")
    with pytest.raises(Unsupported, match="posix_fadvise"):
        page_cache.evict(files)


class _Nothing:
    """A dataset that maps nothing."""
