"""Load during a measurement: whose CPU time it is."""

from __future__ import annotations

import multiprocessing
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator

import psutil
import pytest

from datasets_impl.observe import load
from datasets_impl.observe.load import Load, Snapshot, between, snapshot, worked

BURNT = 0.4  # CPU seconds: forty ticks
SPIN = f"import time\nwhile time.process_time() < {BURNT}: pass\n"
FOREVER = "while True: pass"


def burn() -> None:
    while time.process_time() < BURNT:
        pass


def wait_until(reached: Callable[[], bool]) -> None:
    while not reached():
        time.sleep(0.02)


def burnt(process: psutil.Process) -> float:
    times = process.cpu_times()
    return float(times.user + times.system)


@pytest.fixture
def stranger() -> Iterator[psutil.Process]:
    """A spinning process of another parent and session, as any other program is."""
    read, write = os.pipe()
    child = os.fork()
    if child == 0:  # forks again and ends, so that the grandchild belongs to nobody here
        os.setsid()
        spinner = subprocess.Popen([sys.executable, "-c", FOREVER])
        os.write(write, str(spinner.pid).encode())
        os._exit(0)
    os.waitpid(child, 0)
    pid = int(os.read(read, 32))
    os.close(read)
    os.close(write)
    try:
        yield psutil.Process(pid)
    finally:
        os.kill(pid, signal.SIGKILL)


def test_a_stranger_is_foreign(stranger: psutil.Process) -> None:
    assert stranger not in psutil.Process().children(recursive=True)
    first, before = snapshot(), burnt(stranger)
    wait_until(lambda: burnt(stranger) - before >= BURNT)
    took = burnt(stranger) - before
    last = snapshot()
    assert worked(first, last) < took / 2, "a stranger's time was taken for our own"
    found = between(first, last)
    assert found.foreign * found.seconds > took / 2


def test_a_spinning_stranger_voids_a_measurement(stranger: psutil.Process) -> None:
    first, before = snapshot(), burnt(stranger)
    wait_until(lambda: burnt(stranger) - before >= BURNT)
    found = between(first, snapshot())
    # The stranger got its share in less than twice the time, or others were at work as well.
    assert "other programs used" in found.spoils()


def own_growth(work: Callable[[], object]) -> float:
    first = snapshot()
    work()
    return worked(first, snapshot())


def test_this_process_is_own() -> None:
    def spin() -> None:
        start = time.process_time()
        while time.process_time() - start < BURNT:
            pass

    assert own_growth(spin) >= 0.9 * BURNT


def test_a_worker_that_has_ended_is_own() -> None:
    def work() -> None:
        subprocess.run([sys.executable, "-c", SPIN], check=True)

    assert own_growth(work) >= 0.9 * BURNT


def test_a_worker_of_a_worker_is_own() -> None:
    outer = f"import subprocess, sys; subprocess.run([sys.executable, '-c', {SPIN!r}], check=True)"

    def work() -> None:
        subprocess.run([sys.executable, "-c", outer], check=True)

    assert own_growth(work) >= 0.9 * BURNT


@pytest.mark.parametrize("method", ["fork", "forkserver"])
def test_workers_of_every_start_method_are_own(method: str) -> None:
    def work() -> None:
        worker = multiprocessing.get_context(method).Process(target=burn)
        worker.start()
        worker.join()
        assert worker.exitcode == 0

    assert own_growth(work) >= 0.9 * BURNT


def test_a_living_server_is_own_and_its_end_changes_nothing() -> None:
    server = subprocess.Popen([sys.executable, "-c", FOREVER])
    try:
        first = snapshot()
        process = psutil.Process(server.pid)
        before = burnt(process)
        wait_until(lambda: burnt(process) - before >= BURNT)
        alive = snapshot()
        assert worked(first, alive) >= 0.9 * BURNT
    finally:
        server.kill()
        server.wait()
    # Two accounts are summed in another order, and each counts whole ticks.
    tick = 1 / os.sysconf("SC_CLK_TCK")
    assert snapshot().own >= alive.own - 1.5 * tick, "what it worked must not vanish with it"


def test_own_work_is_not_foreign() -> None:
    """Arithmetic of the difference, which no other process can disturb."""
    first = Snapshot(at=0.0, busy=100.0, stolen=0.0, own=7.0)
    busy = between(first, Snapshot(at=2.0, busy=104.0, stolen=0.0, own=11.0))
    assert (busy.foreign, busy.steal, busy.spoils()) == (0.0, 0.0, "")
    half = between(first, Snapshot(at=2.0, busy=104.0, stolen=0.0, own=10.0))
    assert half.foreign == 0.5
    # The helper that ended had worked for 9 s before; another came.
    helped = between(
        Snapshot(at=0.0, busy=100.0, stolen=0.0, own=7.0, helpers={2: 9.0, 3: 1.0}),
        Snapshot(at=2.0, busy=104.0, stolen=0.0, own=10.0, helpers={3: 1.25, 4: 0.25}),
    )
    assert helped.foreign == 0.25
    # Ticks can make the own share larger than the whole.
    assert between(first, Snapshot(at=2.0, busy=100.0, stolen=0.0, own=9.0)).foreign == 0.0


def test_a_clock_that_stands_still_is_not_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    """As that of a user's code may, which freezes it for what it tests."""
    for name in ("time", "perf_counter", "monotonic"):
        monkeypatch.setattr(time, name, lambda: 0.0)
    first = snapshot()
    assert between(first, snapshot()).seconds > 1e-6


def test_steal_is_a_share_of_the_time_wanted() -> None:
    first = Snapshot(at=0.0, busy=10.0, stolen=1.0, own=10.0)
    found = between(first, Snapshot(at=1.0, busy=10.75, stolen=1.25, own=10.75))
    assert found.steal == 0.25
    assert "other guests took 25%" in found.spoils()


@pytest.mark.parametrize(
    ("found", "spoilt"),
    [
        (Load(seconds=1.0, foreign=0.26, steal=0.0, stolen=0.0), True),
        (Load(seconds=1.0, foreign=0.25, steal=0.0, stolen=0.0), False),
        (Load(seconds=0.19, foreign=2.0, steal=0.5, stolen=0.1), False),  # too short to judge
        (Load(seconds=0.2, foreign=0.26, steal=0.0, stolen=0.0), True),
        (Load(seconds=1.0, foreign=0.0, steal=0.11, stolen=0.1), True),
        (Load(seconds=1.0, foreign=0.0, steal=0.1, stolen=0.1), False),
        (Load(seconds=1.0, foreign=0.0, steal=0.5, stolen=0.02), False),  # two ticks
    ],
)
def test_thresholds(found: Load, spoilt: bool) -> None:
    assert bool(found.spoils()) is spoilt


def test_kernel_threads_are_looked_for_below_kthreadd_only(monkeypatch: pytest.MonkeyPatch) -> None:
    """In a container, process 2 may be anything."""
    monkeypatch.setattr(load, "KERNEL_PARENT", os.getpid())
    server = subprocess.Popen([sys.executable, "-c", SPIN])
    try:
        wait_until(lambda: burnt(psutil.Process(server.pid)) > 0.05)
        assert load._kernel_threads() == {}
    finally:
        server.kill()
        server.wait()
    monkeypatch.setattr(load, "KERNEL_PARENT", 2**22 + 1)  # above any process id
    assert load._kernel_threads() == {}


@pytest.mark.parametrize("error", [FileNotFoundError, NotImplementedError, RuntimeError])
def test_an_unreadable_frequency_is_none(
    monkeypatch: pytest.MonkeyPatch, error: type[Exception]
) -> None:
    def unreadable() -> None:
        raise error

    monkeypatch.setattr(psutil, "cpu_freq", unreadable)
    assert load.frequency() is None
    monkeypatch.setattr(psutil, "cpu_freq", lambda: None)
    assert load.frequency() is None
