"""Memory of a process tree, held against what arithmetic says it must be.

The two known cases are large on purpose: a list of a million strings under fork, and a tensor of
1 GiB that three processes share.
"""

from __future__ import annotations

import multiprocessing
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import psutil
import pytest
import torch

from datasets_impl.errors import Unsupported
from datasets_impl.observe import memory
from datasets_impl.observe.memory import (
    Memory,
    PeakMemory,
    mapped_bytes,
    process_memory,
    tree_memory,
)
from tests.leftovers import until

MB = 10**6
PAGE = 4096
fork = multiprocessing.get_context("fork")


@contextmanager
def workers(count: int, work: Callable[[], Any]) -> Iterator[list[Any]]:
    """`count` forked processes that run `work` once each `go` is sent, and then rest."""

    def run(end: Any) -> None:
        end.send("ready")
        while end.recv() == "go":
            work()
            end.send("done")

    pairs = [fork.Pipe() for _ in range(count)]
    processes = [fork.Process(target=run, args=(child,), daemon=True) for _, child in pairs]
    for process in processes:
        process.start()
    for ours, _ in pairs:
        assert ours.recv() == "ready"
    try:
        yield [(process.pid, ours) for process, (ours, _) in zip(processes, pairs, strict=True)]
        for ours, _ in pairs:
            ours.send("end")
        for process in processes:
            process.join()
            assert process.exitcode == 0
    finally:
        for process in processes:
            process.kill()
            process.join()


def growth(pid: int, end: Any) -> int:
    """Bytes of private memory a worker gains by doing its work once."""
    before = process_memory(pid).private
    end.send("go")
    assert end.recv() == "done"
    return process_memory(pid).private - before


# --- known cases -----------------------------------------------------------------------------


def test_reading_a_list_of_a_million_strings_copies_every_page_of_them() -> None:
    """Reading a string changes its reference count, so each page that holds one is copied."""
    strings = [f"/data/train/{index:060d}" for index in range(10**6)]
    pages = len({id(string) // PAGE for string in strings})
    # The same from the layout alone: objects are laid out one after the other, 16-byte aligned.
    size = -(-sys.getsizeof(strings[0]) // 16) * 16
    assert pages * PAGE == pytest.approx(10**6 * size, rel=0.05)

    def walk() -> None:
        for string in strings:
            len(string)

    with workers(1, walk) as [(pid, end)]:
        first, second = growth(pid, end), growth(pid, end)
    assert first >= 0.99 * pages * PAGE
    assert first <= 1.05 * pages * PAGE + MB, "the list's own pointers are only read"
    assert abs(second) < MB, "what was copied once is not copied again"


def test_reading_a_numpy_array_of_a_million_records_copies_nothing() -> None:
    array = np.array([b"/data/train/%060d" % index for index in range(10**6)])
    assert array.nbytes == 72 * 10**6

    def walk() -> None:
        for index in range(len(array)):
            len(array[index])

    with workers(1, walk) as [(pid, end)]:
        assert growth(pid, end) < MB


@pytest.mark.fresh_process
def test_a_shared_tensor_of_one_gibibyte_is_counted_once() -> None:
    size = 1 << 30
    statistics = os.statvfs("/dev/shm")
    if statistics.f_bavail * statistics.f_frsize < 1.2 * size:
        pytest.skip("/dev/shm is too small")
    before = tree_memory().summed
    tensor = torch.zeros(size, dtype=torch.uint8).share_memory_()
    pages = tensor.numpy()[::PAGE]  # by NumPy: a forked child cannot use PyTorch's threads

    def touch() -> None:
        assert pages.sum() == 0

    touch()

    with workers(2, touch) as running:
        for _, end in running:
            end.send("go")
            assert end.recv() == "done"
        tree = tree_memory()
        resident = sum(psutil.Process(pid).memory_info().rss for pid in tree.processes)
        grown = tree.summed - before
        parts = [tree.processes[pid].shm for pid in (os.getpid(), *(pid for pid, _ in running))]
    assert resident > 3 * size, "resident set sizes count it three times, so all three touched it"
    assert grown.shm == pytest.approx(size, rel=0.01)
    # What a neighbour's tests make the kernel forget of this process's files counts as shrunk.
    assert 0.9 * size < grown.total < 1.5 * size, "the workers have a little of their own"
    assert parts == pytest.approx([size / 3] * 3, rel=0.02)


# --- one process -----------------------------------------------------------------------------


def test_the_two_splits_add_up() -> None:
    found = process_memory(os.getpid())
    assert found.total > 10 * MB
    assert found.anonymous + found.page_cache + found.shm == pytest.approx(found.total, abs=PAGE)
    assert found.held == found.anonymous + found.shm
    assert min(found.private, found.shared, found.anonymous, found.page_cache) >= 0


@pytest.mark.fresh_process
def test_private_memory_grows_by_what_is_allocated_and_touched() -> None:
    np.ones(MB, dtype=np.uint8)  # the first of them touches code as well
    process_memory(os.getpid())
    before = process_memory(os.getpid())
    block = np.ones(50 * MB, dtype=np.uint8)
    grown = process_memory(os.getpid()) - before
    del block
    assert grown.private == pytest.approx(50 * MB, rel=0.02)
    assert grown.anonymous == pytest.approx(50 * MB, rel=0.02)
    assert abs(grown.shm) < MB


@pytest.mark.fresh_process
def test_a_mapped_file_is_page_cache_and_found_by_name(tmp_path: Path) -> None:
    path, other = tmp_path / "pixels", tmp_path / "other"
    path.write_bytes(bytes(20 * MB))
    other.write_bytes(bytes(PAGE))
    # What the first call of anything allocates is not the file's.
    np.memmap(other, dtype=np.uint8, mode="r")[::PAGE].sum()
    mapped_bytes(os.getpid(), [other])
    process_memory(os.getpid())

    def seen() -> tuple[float, float]:
        """By how much page cache, and what is mapped of the file, grow as it is read."""
        before = process_memory(os.getpid())
        mapped = np.memmap(path, dtype=np.uint8, mode="r")
        assert mapped_bytes(os.getpid(), [path]) < MB, "mapped but not read yet"
        mapped[::PAGE].sum()
        grown = process_memory(os.getpid()) - before
        assert grown.anonymous < 2 * MB, "what is allocated meanwhile is not the file's"
        return grown.page_cache, mapped_bytes(os.getpid(), [path])

    # A kernel that is short of memory may take pages of libraries away meanwhile.
    assert until(lambda: seen() == pytest.approx((20 * MB, 20 * MB), rel=0.05))
    assert mapped_bytes(os.getpid(), [other]) == 0 == mapped_bytes(os.getpid(), [])


def test_sum_and_difference() -> None:
    one, two = Memory(1, 2, 1, 1, 1, 5), Memory(10, 20, 10, 10, 10, 50)
    assert one + two == Memory(11, 22, 11, 11, 11, 55)
    assert two - one == Memory(9, 18, 9, 9, 9, 45)
    assert (one + two).total == 33


# --- kernels that tell less ------------------------------------------------------------------


@pytest.fixture
def older(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A /proc whose sums are absent, beside the true one that psutil goes on reading."""
    monkeypatch.setattr(memory, "PROC", tmp_path)
    return tmp_path


def test_single_regions_say_the_same_as_the_sums(older: Path) -> None:
    before = process_memory(os.getpid())
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(memory, "PROC", Path("/proc"))
        exact = process_memory(os.getpid())
    after = process_memory(os.getpid())  # something may be freed meanwhile
    for kind in ("total", "private", "held"):
        least, most = sorted((getattr(before, kind), getattr(after, kind)))
        assert 0.98 * least <= getattr(exact, kind) <= 1.02 * most, kind


def test_sums_without_kinds_fall_back_to_the_regions(older: Path) -> None:
    home = older / str(os.getpid())
    home.mkdir()
    (home / "smaps_rollup").write_text("0-f ---p 0 00:00 0 [rollup]\nPss: 4 kB\n")
    assert process_memory(os.getpid()).total > 10 * MB


def test_regions_without_sharing_are_unsupported(
    older: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    regions = [SimpleNamespace(path="[heap]", rss=1)]
    monkeypatch.setattr(psutil.Process, "memory_maps", lambda self, grouped: regions)
    with pytest.raises(Unsupported, match="how memory is shared"):
        process_memory(os.getpid())


def test_no_regions_at_all_is_unsupported(older: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr(psutil.Process, "memory_maps")
    with pytest.raises(Unsupported, match="how memory is shared"):
        tree_memory()


def test_a_refusal_is_unsupported(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(path: Path) -> str:
        raise PermissionError

    monkeypatch.setattr(Path, "read_text", refuse)
    with pytest.raises(Unsupported, match="refuses"):
        process_memory(os.getpid())


# --- processes that go away ------------------------------------------------------------------


def test_an_ended_process_has_no_memory() -> None:
    child = subprocess.Popen(["true"])
    while psutil.Process(child.pid).status() != psutil.STATUS_ZOMBIE:
        time.sleep(0.01)
    with pytest.raises(psutil.NoSuchProcess):  # ended, but not collected
        process_memory(child.pid)
    assert child.pid not in tree_memory().processes
    child.wait()
    with pytest.raises(psutil.NoSuchProcess):
        process_memory(child.pid)
    with pytest.raises(psutil.NoSuchProcess):
        tree_memory(child.pid)


def test_a_child_that_ends_while_the_tree_is_read_is_left_out(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    with workers(2, lambda: None) as [(stays, _), (goes, _)]:
        real = process_memory

        def read(pid: int) -> Memory:
            if pid == goes:
                raise psutil.NoSuchProcess(pid)
            return real(pid)

        monkeypatch.setattr(memory, "process_memory", read)
        assert set(tree_memory().processes) >= {os.getpid(), stays}
        assert goes not in tree_memory().processes


# --- the peak --------------------------------------------------------------------------------


@pytest.mark.fresh_process
def test_peak_is_seen_although_it_has_passed() -> None:
    with PeakMemory(interval=0.01) as peak:
        start = tree_memory().summed
        block = np.ones(80 * MB, dtype=np.uint8)
        seen = peak.samples
        while peak.samples < seen + 3:
            time.sleep(0.01)
        del block
    assert (peak.peak - start).anonymous >= 75 * MB
    assert tree_memory().summed.held < peak.peak.held - 70 * MB
    assert peak.samples >= 3


def test_an_error_while_sampling_is_raised_at_the_end(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse() -> None:
        raise Unsupported("no such file")

    with pytest.raises(Unsupported, match="no such file"), PeakMemory(interval=0.001) as peak:
        monkeypatch.setattr(memory, "tree_memory", refuse)
        peak._thread.join()
    assert not peak._thread.is_alive()


def test_an_error_inside_the_block_is_not_hidden() -> None:
    with pytest.raises(KeyError), PeakMemory() as peak:
        raise KeyError
    assert not peak._thread.is_alive()
