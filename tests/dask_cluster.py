"""A real Dask cluster on loopback: a scheduler and workers, each with an address of its own."""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any

from tests import counting_worker
from tests.leftovers import until
from tests.relay import Relay, free_port

ROOT = Path(__file__).parents[1]
CUT_OFF = 1  # the worker that is reached, and reaches the scheduler, through a relay alone


def written(file: Path, scheduler: subprocess.Popen[bytes]) -> str:
    """The address of a scheduler, once it is whole in its file, which is there before."""
    while scheduler.poll() is None:
        with contextlib.suppress(FileNotFoundError, ValueError):
            return str(json.loads(file.read_text())["address"])
        time.sleep(0.1)
    raise AssertionError("the scheduler has ended")


class Cluster:
    """Each process is one of its own; shards leave their lines in `told`."""

    def __init__(self, home: Path, workers: int) -> None:
        self.home, self.told, self.relay = home, home / "told", Relay()
        self.held = home / "held"
        self.told.touch()
        (home / "log").unlink(missing_ok=True)  # of a cluster before
        address = home / "scheduler.json"
        address.unlink(missing_ok=True)
        self.workers: list[subprocess.Popen[bytes]] = []
        known = ("--scheduler-file", str(address))
        self.scheduler = self._started("scheduler", "--host", "127.0.0.1", "--port", "0", *known)
        try:
            self.on = written(address, self.scheduler)
            self._start(workers, known)
        except BaseException:
            self.end()
            raise

    def _start(self, workers: int, known: tuple[str, ...]) -> None:
        for number in range(workers):
            host = f"127.0.0.{number + 2}"  # the scheduler is at the first
            where = ("--host", host, *known)
            if number == CUT_OFF:
                port = free_port(host)
                at, _, its_port = self.on.removeprefix("tcp://").partition(":")
                where = (
                    *(
                        self.relay.before(at, int(its_port)),
                        "--listen-address",
                        f"tcp://{host}:{port}",
                    ),
                    *("--contact-address", self.relay.before(host, port)),
                )
            self.workers.append(
                self._started(
                    *("worker", *where, "--no-nanny", "--nthreads", "1", "--death-timeout", "60"),
                    *("--local-directory", str(self.home), "--preload", counting_worker.__file__),
                )
            )
        log = self.home / "log"
        while log.read_text().count("Registered to") < workers:
            assert all(worker.poll() is None for worker in self.workers), log.read_text()
            time.sleep(0.1)

    def _started(self, *words: str) -> subprocess.Popen[bytes]:
        with (self.home / "log").open("ab") as log:
            return subprocess.Popen(
                [sys.executable, "-m", "dask", *words, "--no-dashboard"],
                env={
                    **os.environ,
                    "PYTHONPATH": str(ROOT),
                    "DASK_TEMPORARY_DIRECTORY": str(self.home),
                    "TMPDIR": str(self.home),  # what a killed worker leaves goes with it
                    counting_worker.FILE: str(self.told),
                    counting_worker.HELD: str(self.held),
                },
                stdout=log,
                stderr=log,
            )

    def begun(self) -> int:
        """Shards, of all workers."""
        return sum(line.startswith("begun") for line in self.told.read_text().splitlines())

    def kill_one(self) -> None:
        """The first that lives and is not the one to be cut off."""
        left = [one for one in self.workers if one is not self.workers[CUT_OFF]]
        next(one for one in left if one.poll() is None).kill()

    def _of_the_cut_off(self, what: str) -> int:
        line = f"{what} {self.workers[CUT_OFF].pid}"
        return self.told.read_text().splitlines().count(line)

    @contextlib.contextmanager
    def converting(self, after: int, convert: Any, *given: Any, **more: Any) -> Iterator[Any]:
        """A conversion that has begun so many shards, and makes no other one for now."""
        after += self.begun()
        said = self.held.with_suffix(".new")
        said.write_text(str(after))
        said.rename(self.held)
        with ThreadPoolExecutor(1) as thread:
            running: Future[Any] = thread.submit(convert, *given, on=self.on, **more)
            try:
                while self.begun() < after and not running.done():
                    time.sleep(0.05)
                yield running
            finally:
                self.held.unlink(missing_ok=True)

    def cut_off(self, seconds: float, running: Future[Any]) -> int:
        """Have one worker reach nobody while it writes; how many shards it made meanwhile."""
        while self._of_the_cut_off("begun") == self._of_the_cut_off("made"):
            assert not running.done(), "it ended before anybody was cut off"
            time.sleep(0.02)
        with self.relay.cut():
            before = self._of_the_cut_off("made")
            self.held.unlink()  # all go on
            time.sleep(seconds)
            assert until(lambda: self._of_the_cut_off("made") > before)
            return self._of_the_cut_off("made") - before

    def end(self) -> None:
        for process in (*self.workers, self.scheduler):
            process.kill()
            process.wait()
        self.relay.end()
