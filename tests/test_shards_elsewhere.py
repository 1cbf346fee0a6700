"""Shards are made by workers that die or cannot start, and from and to object stores."""

from __future__ import annotations

import multiprocessing
import os
import resource
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ProcessPoolExecutor, ThreadPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import fsspec
import psutil
import pytest

from datasets_impl.convert import convert_to_shards, main
from datasets_impl.corpus import Corpus
from datasets_impl.errors import StudyError
from datasets_impl.formats import open_stored
from datasets_impl.formats import where as module
from datasets_impl.formats.workers import CONTEXT, submitting
from datasets_impl.media.object_store import ObjectStore, object_store
from tests.commands import ROOT
from tests.folders import snapshot
from tests.leftovers import gone, until
from tests.stored_sets import SIZE, contents, expected, here


def dying(marks: Path, always: bool, function: Any, task: Any) -> int:
    """Kills its own process before a task: before each, or once before the second."""
    mark = marks / "killed"
    if always or (task.number == 1 and not mark.exists()):
        mark.touch()
        os.kill(os.getpid(), signal.SIGKILL)
    number: int = function(task)
    return number


@pytest.fixture
def deadly(monkeypatch: pytest.MonkeyPatch) -> Callable[[Path, bool], None]:
    """Local workers, some of which are killed."""
    real = module.submitting

    def use(marks: Path, always: bool) -> None:
        @contextmanager
        def deadly(workers: int, begun: Any) -> Iterator[Any]:
            with real(workers, begun) as submit:
                yield lambda function, task: submit(partial(dying, marks, always, function), task)

        monkeypatch.setattr(module, "submitting", deadly)

    return use


@pytest.mark.slow
def test_a_killed_worker_is_replaced(
    folder: Path, tmp_path: Path, deadly: Callable[[Path, bool], None]
) -> None:
    here(folder, tmp_path / "good")
    deadly(tmp_path, False)
    assert convert_to_shards(folder, tmp_path / "set", shard_images=SIZE, workers=2).shards == 3
    assert (tmp_path / "killed").exists(), "nobody was killed"
    assert snapshot(tmp_path / "set") == snapshot(tmp_path / "good")


@pytest.mark.slow
def test_workers_end_with_a_killed_owner(folder: Path, tmp_path: Path) -> None:
    command = [sys.executable, "-m", "tests.killed_conversion", str(folder), str(tmp_path / "set")]
    own = {**os.environ, "TMPDIR": str(tmp_path)}  # where the owner's folder stays
    with subprocess.Popen(command, cwd=ROOT, env=own, stdout=subprocess.PIPE, text=True) as owner:
        try:
            assert owner.stdout
            assert [owner.stdout.readline() for _ in range(2)] == ["done\n"] * 2
            started = psutil.Process(owner.pid).children(recursive=True)
        finally:
            owner.kill()
    assert len(started) >= 3, "a server and two workers"
    assert until(lambda: all(map(gone, started)))


@pytest.mark.slow
def test_workers_that_die_each_time_end_it_in_a_sentence(
    folder: Path, tmp_path: Path, deadly: Callable[[Path, bool], None]
) -> None:
    deadly(tmp_path, True)
    with pytest.raises(StudyError, match="run it again with fewer workers"):
        convert_to_shards(folder, tmp_path / "set", shard_images=SIZE, workers=1)


def lasting(folder: Path) -> int:
    """A shard that takes a while, as one of many large pictures does."""
    with tempfile.TemporaryDirectory(dir=folder):
        (folder / "begun").touch()
        time.sleep(1e6)
    return 0


@pytest.mark.slow
def test_a_pool_that_is_stopped_leaves_no_traceback(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever waits for many shards cancels them all when the user stops it."""
    raised: list[Any] = []
    monkeypatch.setattr(threading, "excepthook", raised.append)
    with pytest.raises(KeyboardInterrupt), submitting(1, CONTEXT.Semaphore(0)) as submit:
        asked = [submit(time.sleep, 20) for _ in range(50)]
        assert until(asked[2].running)  # as many as a pool of one worker fetches
        for one in asked:
            one.cancel()
        raise KeyboardInterrupt
    assert not raised


@pytest.mark.slow
def test_ctrl_c_ends_shards_that_have_begun_and_leaves_none_of_their_files(tmp_path: Path) -> None:
    with pytest.raises(KeyboardInterrupt), submitting(1, CONTEXT.Semaphore(0)) as submit:
        future = submit(lasting, tmp_path)
        assert until((tmp_path / "begun").exists)
        raise KeyboardInterrupt
    assert future.exception() is not None
    assert [path.name for path in tmp_path.iterdir()] == ["begun"]


def test_no_server_is_started_that_would_lack_descriptors() -> None:
    begun, (soft, hard) = CONTEXT.Semaphore(0), resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (16, hard))
    try:
        with pytest.raises(OSError, match="Too many open files"), submitting(100, begun):
            pass
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


def test_a_program_without_a_guard_is_told_of_it(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A worker reads it again, and would wait for the conversion that has started the worker."""
    guard = 'call convert_to_shards under `if __name__ == "__main__":`'

    def broken(*given: object) -> Future[Any]:
        raise BrokenProcessPool("A process ended")

    with monkeypatch.context() as patch:
        patch.setattr(ProcessPoolExecutor, "submit", broken)
        for how in ({"workers": 2}, {"executor": ProcessPoolExecutor(1)}):
            with pytest.raises(StudyError, match=guard):
                convert_to_shards(folder, tmp_path / "set", **how)  # type: ignore[arg-type]
    monkeypatch.setattr(multiprocessing.current_process(), "_inheriting", True, raising=False)
    with pytest.raises(SystemExit, match=guard):
        convert_to_shards(folder, tmp_path / "set")


def test_a_daemon_that_may_start_no_process_is_told_so(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(multiprocessing.current_process()._config, "daemon", True)  # type: ignore[attr-defined]
    with pytest.raises(StudyError, match=r"daemonic processes .*; give an executor"):
        convert_to_shards(folder, tmp_path / "set", workers=1)
    with ThreadPoolExecutor(1) as threads:
        assert convert_to_shards(folder, tmp_path / "set", executor=threads).shards == 1


@pytest.fixture(scope="module")
def store(corpus: Corpus) -> Iterator[ObjectStore]:
    """The pictures in one bucket, and another for what is made of them."""

    with object_store(corpus.root) as running:
        fsspec.filesystem("s3", **running.address.options).call_s3("create_bucket", Bucket="made")
        yield running


def downloaded(store: ObjectStore, url: str) -> dict[str, bytes]:

    system = fsspec.filesystem("s3", **store.address.options)
    system.invalidate_cache()
    root = url.partition("://")[2]
    return {path[len(root) + 1 :]: system.cat_file(path) for path in system.find(root)}


@pytest.mark.slow
@pytest.mark.usefixtures("object_libraries")
@pytest.mark.parametrize(("name", "kind"), [("pack", "jpeg"), ("tar", "pixels")])
def test_from_and_to_an_object_store(
    name: str, kind: Any, folder: Path, tmp_path: Path, store: ObjectStore
) -> None:
    more = {"storage_options": store.address.options}
    here(store.address.url, tmp_path / "set", name, kind, **more)  # type: ignore[arg-type]
    assert contents(open_stored(tmp_path / "set")) == expected(folder, kind, name)
    target = f"s3://made/{name}/set"
    source: Any = store.address.url
    with pytest.raises(StudyError, match="plug"):
        here(source, target, name, kind, fail_at=1, **more)
    assert here(source, target, name, kind, **more).wrote == [1]
    assert downloaded(store, target) == snapshot(tmp_path / "set")
    assert here(source, target, name, kind, **more).wrote == []
    local = here(folder, target, name, kind, **more)  # the same pictures from elsewhere
    assert local.wrote == [0, 1, 2]


@pytest.mark.slow
@pytest.mark.usefixtures("object_libraries")
def test_objects_of_somebody_else_are_left(folder: Path, store: ObjectStore) -> None:
    more = {"storage_options": store.address.options}
    before = downloaded(store, "s3://study")
    for _ in range(2):
        with pytest.raises(StudyError, match="holds something else than a stored set"):
            here(folder, "s3://study", **more)
        assert downloaded(store, "s3://study") == before
    with pytest.raises(StudyError, match="s3://nobody/out could not be read or written"):
        here(folder, "s3://nobody/out", **more)
    with pytest.raises(StudyError, match="is in no folder of a class"):
        here("s3://study", "s3://made/out", labelled=True, **more)  # type: ignore[arg-type]
    with pytest.raises(StudyError, match="has no JPEG file"):
        here("s3://study/nothing", "s3://made/out", **more)  # type: ignore[arg-type]


@pytest.mark.parametrize("target", ["s3:/bucket/x", "s3:bucket", "file:/x", "file://host/x",
                                    "local://x"])  # fmt: skip
def test_an_address_that_is_cut_short_makes_no_folder(
    target: str, folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    before = snapshot(tmp_path)
    with pytest.raises(StudyError, match=r"is no address|names another host"):
        here(folder, target)
    assert snapshot(tmp_path) == before


@pytest.mark.slow
@pytest.mark.parametrize(
    ("source", "said"),
    [
        ("http://127.0.0.1:9/pictures", "cannot be listed (Cannot connect"),
        ("nope://x", "mend its protocol, or install what it asks for"),
        ("data://x", "cannot be listed (NotImplementedError)"),
    ],
)
def test_an_address_that_does_not_answer_is_not_called_empty(
    source: str, said: str, tmp_path: Path
) -> None:
    with pytest.raises(StudyError) as raised:
        here(source, tmp_path / "out")  # type: ignore[arg-type]
    assert said in str(raised.value)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("error", "why"),
    [
        (BlockingIOError(11, "Resource temporarily unavailable"), "temporarily unavailable"),
        (EOFError("unexpected EOF"), "no process or thread"),
        (RuntimeError("can't start new thread"), "no process or thread"),
        (OSError("AF_UNIX path too long"), "(AF_UNIX path too long); set TMPDIR to a folder with"),
    ],
)
def test_workers_that_cannot_be_started_end_it_in_a_sentence(
    error: Exception,
    why: str,
    folder: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    def none_left(*given: object) -> Future[Any]:
        raise error

    monkeypatch.setattr(ProcessPoolExecutor, "submit", none_left)
    assert main([str(folder), str(tmp_path / "set")]) == 2
    said = " ".join(capsys.readouterr().err.split())
    assert "cannot be started" in said and why in said and "Traceback" not in said
