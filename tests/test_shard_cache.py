"""The bounded cache of shards: each comes once, whoever asks, and it never holds more."""

from __future__ import annotations

import multiprocessing
import os
import shutil
import signal
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest

from datasets_impl.errors import StudyError
from datasets_impl.formats.shard_cache import LOCK, MARK, PART, ShardCache
from tests.folders import snapshot

SIZE = 1000  # bytes of each made-up shard
NAMES = [f"{number:016x}-000000" for number in range(8)]


def made(name: str) -> bytes:
    return name.encode() * (SIZE // len(name) + 1)


def fetching(name: str, fetched: list[str], seconds: float = 0.0) -> Callable[[], bytes]:
    def fetch() -> bytes:
        fetched.append(name)
        time.sleep(seconds)
        return made(name)[:SIZE]

    return fetch


def test_what_is_here_is_not_fetched_again_and_the_oldest_goes(tmp_path: Path) -> None:
    cache, fetched = ShardCache(tmp_path / "cache", 3 * SIZE), list[str]()

    def read(number: int) -> None:
        name = NAMES[number]
        assert cache.read(name, SIZE, 5, 20, fetching(name, fetched)) == made(name)[5:25]
        for each in (tmp_path / "cache").glob("0*"):  # a clock of a few milliseconds is too coarse
            stat = each.stat()
            os.utime(each, ns=(stat.st_atime_ns, stat.st_mtime_ns - 10_000_000))

    for number in (0, 1, 2, 0, 3, 0, 1):
        read(number)
        assert cache.held() <= 3 * SIZE
    assert fetched == [NAMES[number] for number in (0, 1, 2, 3, 1)]


def test_many_threads_fetch_a_shard_once(tmp_path: Path) -> None:
    cache, fetched = ShardCache(tmp_path / "cache", 3 * SIZE), list[str]()
    fetch = fetching(NAMES[0], fetched, 0.05)
    with ThreadPoolExecutor(16) as pool:
        found = list(pool.map(lambda at: cache.read(NAMES[0], SIZE, at, 1, fetch), range(16)))
    assert fetched == NAMES[:1] and b"".join(found) == made(NAMES[0])[:16]


def reading(folder: Path, seed: int, rounds: int) -> None:
    """What one of several processes does."""
    cache, random = ShardCache(folder, 3 * SIZE), np.random.default_rng(seed)
    for number in random.integers(0, len(NAMES), rounds):
        name = NAMES[number]
        if cache.read(name, SIZE, 0, SIZE, fetching(name, [], 0.001)) != made(name)[:SIZE]:
            os._exit(1)
        if number % 3 == 0:
            cache.bring(NAMES[0], SIZE, fetching(NAMES[0], []), keep=[name])


def test_it_never_holds_more_however_many_processes_there_are(tmp_path: Path) -> None:
    cache = ShardCache(tmp_path / "cache", 3 * SIZE)
    context = multiprocessing.get_context("fork")
    processes = [context.Process(target=reading, args=(cache.folder, n, 100)) for n in range(4)]
    for process in processes:
        process.start()
    most = 0
    while any(process.is_alive() for process in processes):
        most = max(most, cache.held())
    assert [process.exitcode for process in processes] == [0] * 4
    most = max(most, cache.held())
    assert 0 < most <= 3 * SIZE
    assert not list(cache.folder.glob(f"*{PART}"))


def test_a_fetch_that_fails_is_told_to_all_who_wait_and_leaves_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    cache, tried = ShardCache(tmp_path / "cache", 3 * SIZE), list[str]()
    awaited, wait = threading.Event(), cache._await

    def waits(name: str) -> None:
        awaited.set()
        wait(name)

    monkeypatch.setattr(cache, "_await", waits)

    def fails() -> bytes:
        tried.append(NAMES[0])
        assert awaited.wait(600), "somebody else wants it meanwhile"
        raise StudyError("The store is gone.")

    def read(_: int) -> str:
        with pytest.raises(StudyError) as told:
            cache.read(NAMES[0], SIZE, 0, 1, fails)
        return str(told.value)

    with ThreadPoolExecutor(8) as pool:
        assert set(pool.map(read, range(8))) == {"The store is gone."}
    assert len(tried) < 8, "who waited does not try the same again"
    assert cache.held() == 0
    with pytest.raises(StudyError, match="came with 3 bytes and should have 1,000"):
        cache.read(NAMES[0], SIZE, 0, 1, lambda: b"cut")
    assert cache.read(NAMES[0], SIZE, 0, 1, fetching(NAMES[0], [])) == b"0"


def test_what_a_killed_process_began_is_cleared(tmp_path: Path) -> None:
    cache, said = ShardCache(tmp_path / "cache", 3 * SIZE), multiprocessing.Event()

    def hangs() -> bytes:
        said.set()
        time.sleep(600)
        return b""

    def begin() -> None:
        cache.bring(NAMES[0], SIZE, hangs)

    process = multiprocessing.get_context("fork").Process(target=begin)
    process.start()
    assert said.wait(600) and cache.held() == SIZE
    assert process.pid is not None
    os.kill(process.pid, signal.SIGKILL)
    process.join()
    assert cache.read(NAMES[0], SIZE, 0, 1, fetching(NAMES[0], [])) == b"0"
    assert cache.held() == SIZE


def test_files_of_somebody_else_are_left(tmp_path: Path) -> None:
    folder = tmp_path / "cache"
    cache = ShardCache(folder, SIZE)
    (folder / "thesis.part").write_bytes(bytes(10 * SIZE))
    for name in NAMES[:3]:
        cache.read(name, SIZE, 0, 1, fetching(name, []))
    assert (folder / "thesis.part").stat().st_size == 10 * SIZE and cache.held() == SIZE
    with pytest.raises(StudyError, match="stands where a folder would be"):
        ShardCache(folder / "thesis.part", SIZE)


@pytest.mark.parametrize("lock", [None, b"", b"work", b"work" * 99, MARK[:9] + b"work"])
@pytest.mark.parametrize("name", [NAMES[0], NAMES[0] + PART, "thesis.txt"])
def test_a_folder_of_somebody_else_is_no_cache(
    lock: bytes | None, name: str, tmp_path: Path
) -> None:
    """Names alone do not tell whose they are; and nothing is made there."""
    (tmp_path / name).write_bytes(b"years of work")
    if lock is not None:
        (tmp_path / LOCK).write_bytes(lock)
    before = snapshot(tmp_path)
    if lock == b"" and name != "thesis.txt":  # as of a cache that was made before it was marked
        assert ShardCache(tmp_path, SIZE).held() == 13
        return
    with pytest.raises(StudyError, match="holds something else than a cache of shards"):
        ShardCache(tmp_path, SIZE)
    assert snapshot(tmp_path) == before


def test_a_cache_is_marked_also_one_that_was_made_before_there_was_a_mark(tmp_path: Path) -> None:
    for lock in (None, b"", MARK[:9]):  # the last by a process that was killed while it wrote
        if lock is not None:
            (tmp_path / LOCK).write_bytes(lock)
        cache = ShardCache(tmp_path, SIZE)
        cache.read(NAMES[0], SIZE, 0, 1, fetching(NAMES[0], []))
        assert (tmp_path / LOCK).read_bytes() == MARK
    assert cache.holds(NAMES[0])


def test_a_mark_is_not_written_through_a_link(tmp_path: Path) -> None:
    folder, theirs = tmp_path / "cache", tmp_path / "empty"
    folder.mkdir()
    theirs.touch()
    (folder / LOCK).symlink_to(theirs)
    cache = ShardCache(folder, SIZE)
    with pytest.raises(StudyError):
        cache.read(NAMES[0], SIZE, 0, 1, fetching(NAMES[0], []))
    assert theirs.read_bytes() == b""


def test_a_folder_that_was_cleared_away_is_made_again(tmp_path: Path) -> None:
    cache, fetched = ShardCache(tmp_path / "cache", 3 * SIZE), list[str]()
    for _ in range(2):
        found = cache.read(NAMES[0], SIZE, 0, SIZE, fetching(NAMES[0], fetched))
        assert found == made(NAMES[0])[:SIZE]
        shutil.rmtree(cache.folder)
    assert fetched == NAMES[:1] * 2
    cache.bring(NAMES[0], SIZE, fetching(NAMES[0], fetched))
    ShardCache(cache.folder, 3 * SIZE)
    assert (cache.folder / LOCK).read_bytes() == MARK
