"""Conversion on a real Dask cluster, some of which dies meanwhile.

Each worker has an address of Linux's loopback of its own.
"""

from __future__ import annotations

import contextlib
import json
import logging.handlers
import os
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from datasets_impl.convert import convert_to_shards
from datasets_impl.errors import StudyError
from datasets_impl.files.pictures import jpeg_files
from datasets_impl.formats import where
from tests import counting_worker
from tests.folders import snapshot

pytest.importorskip("distributed")
pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(sys.platform != "linux", reason="workers are addresses of its loopback"),
]
ROOT = Path(__file__).parents[1]
SIZE, COPIES = 6, 10


class Cluster:
    """A scheduler and workers, each a process of its own; their lines are in `begun`."""

    def __init__(self, home: Path, workers: int) -> None:
        self.home, self.begun = home, home / "begun"
        self.begun.touch()
        (home / "log").unlink(missing_ok=True)  # of a cluster before
        self.address = home / "scheduler.json"
        self.address.unlink(missing_ok=True)
        self.scheduler = self._started("scheduler", "--host", "127.0.0.1", "--port", "0")
        while not self.address.exists():
            assert self.scheduler.poll() is None, (home / "log").read_text()
            time.sleep(0.1)
        preload = str(Path(counting_worker.__file__))
        self.workers = [
            self._started(
                *("worker", "--no-nanny", "--nthreads", "1", "--host", f"127.0.0.{number}"),
                *("--local-directory", str(home), "--preload", preload, "--death-timeout", "60"),
            )
            for number in range(2, workers + 2)  # the scheduler is at the first
        ]
        while (home / "log").read_text().count("Registered to") < workers:
            assert all(worker.poll() is None for worker in self.workers)
            time.sleep(0.1)

    def _started(self, *words: str) -> subprocess.Popen[bytes]:
        with (self.home / "log").open("ab") as log:
            return subprocess.Popen(
                [
                    *(sys.executable, "-m", "dask", *words, "--no-dashboard"),
                    *("--scheduler-file", str(self.address)),
                ],
                env={
                    **os.environ,
                    "PYTHONPATH": str(ROOT),
                    "DASK_TEMPORARY_DIRECTORY": str(self.home),
                    counting_worker.FILE: str(self.begun),
                    counting_worker.PAUSE: "0.3",
                },
                stdout=log,
                stderr=log,
            )

    @property
    def on(self) -> str:
        return str(json.loads(self.address.read_text())["address"])

    def count(self) -> int:
        return len(self.begun.read_text().splitlines())

    @contextlib.contextmanager
    def converting(self, photos: Path, target: Path, after: int) -> Iterator[Future[Any]]:
        """A conversion that has begun so many shards."""
        with ThreadPoolExecutor(1) as thread:
            running = thread.submit(
                convert_to_shards, photos, target, shard_images=SIZE, on=self.on
            )
            while self.count() < after and not running.done():
                time.sleep(0.05)
            yield running

    def end(self) -> None:
        for process in (*self.workers, self.scheduler):
            process.send_signal(signal.SIGCONT)
            process.kill()
            process.wait()


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Callable[[int], Cluster]]:
    with contextlib.ExitStack() as ending:

        def started(workers: int) -> Cluster:
            home = tmp_path / "cluster"
            home.mkdir(exist_ok=True)
            cluster = Cluster(home, workers)
            ending.callback(cluster.end)
            return cluster

        yield started


@pytest.fixture
def photos(folder: Path) -> Path:
    for path in jpeg_files(folder):
        for copy in range(COPIES - 1):
            shutil.copyfile(path, folder / f"{copy:03}-{Path(path).name}")
    return folder


def test_a_scheduler_that_stops_for_a_while_and_workers_that_are_killed_and_cut_off(
    photos: Path, tmp_path: Path, start: Callable[[int], Cluster]
) -> None:
    """Clients of the first are told that what they asked for is forgotten, and ask again."""
    convert_to_shards(photos, tmp_path / "local", shard_images=SIZE, workers=1)
    cluster, submitted = start(3), [0]
    real = where.connected

    @contextlib.contextmanager
    def forgetful(address: str, looks: int) -> Iterator[Any]:
        with real(address, looks) as submit:

            def submitting(*call: Any) -> Any:
                submitted[0] += 1
                if submitted[0] == 12:
                    raise ConnectionError("the scheduler is gone")
                return submit(*call)

            yield submitting

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(where, "connected", forgetful)
        convert_to_shards(photos, tmp_path / "again", shard_images=SIZE, on=cluster.on)
    assert submitted[0] > 20
    assert snapshot(tmp_path / "again") == snapshot(tmp_path / "local")
    before = cluster.count()
    with cluster.converting(photos, tmp_path / "set", before + 4) as running:
        cluster.workers[0].kill()
        cluster.workers[1].send_signal(signal.SIGSTOP)
        threading.Timer(10, cluster.workers[1].send_signal, [signal.SIGCONT]).start()
        written, shards, _ = running.result()
    assert (written, shards) == (20, 20)
    assert snapshot(tmp_path / "set") == snapshot(tmp_path / "local")
    assert shards <= cluster.count() - before <= 1.5 * shards


def test_a_scheduler_that_dies(
    photos: Path, tmp_path: Path, start: Callable[[int], Cluster], request: pytest.FixtureRequest
) -> None:
    convert_to_shards(photos, tmp_path / "local", shard_images=SIZE, workers=1)
    cluster, told = start(3), logging.handlers.BufferingHandler(100)
    logging.getLogger("distributed.client").addHandler(told)
    request.addfinalizer(lambda: logging.getLogger("distributed.client").removeHandler(told))
    with cluster.converting(photos, tmp_path / "set", 8) as running:
        cluster.scheduler.kill()
        with pytest.raises(StudyError, match=r"lost or could not go on .* run it again"):
            running.result()
    assert told.buffer == [], "Dask's own tracebacks"
    assert not (tmp_path / "set").exists()
    cluster.end()
    cluster = start(3)
    written, shards, _ = convert_to_shards(
        photos, tmp_path / "set", shard_images=SIZE, on=cluster.on
    )
    assert 0 < written < shards, "what was written was written again"
    assert snapshot(tmp_path / "set") == snapshot(tmp_path / "local")
    assert cluster.count() <= 1.5 * shards
