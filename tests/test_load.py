"""Load during a measurement: whose CPU time it is, what it voids, and what the page says of it."""

from __future__ import annotations

import json
import multiprocessing
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, ClassVar

import psutil
import pytest
from asv_runner.benchmarks.mark import SkipNotImplemented
from conftest import ROOT

from benchmarks.common import _Benchmark
from benchmarks.grids import Cell
from datasets_impl.errors import StudyError
from datasets_impl.observe import load
from datasets_impl.observe.load import RETRIES_VARIABLE, Load, Snapshot, between, snapshot, worked
from datasets_impl.observe.log import LOG_VARIABLE, ROUND_VARIABLE
from datasets_impl.observe.page_cache import Unsupported
from scripts import load as load_report
from scripts import page
from scripts.describe import describe_machine
from scripts.evidence import MachineResults, load_evidence
from scripts.judge import load_study
from tests.claims_text import HEAD, claim
from tests.synthetic_results import SKIPPED, Bench, Noise, write_results

BURNT = 0.4  # CPU seconds: forty ticks
SPIN = f"import time\nwhile time.process_time() < {BURNT}: pass\n"
FOREVER = "while True: pass"


def burn() -> None:
    while time.process_time() < BURNT:
        pass


def wait_until(reached: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 60
    while not reached():
        assert time.monotonic() < deadline
        time.sleep(0.02)


def burnt(process: psutil.Process) -> float:
    times = process.cpu_times()
    return float(times.user + times.system)


# --- whose CPU time --------------------------------------------------------------------------


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
    assert snapshot().own >= alive.own, "what it worked must not vanish with it"


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


# --- what it does to a measurement -----------------------------------------------------------

QUIET = Load(seconds=1.0, foreign=0.0, steal=0.0, stolen=0.0)
LOADED = Load(seconds=1.0, foreign=1.5, steal=0.0, stolen=0.0)


class Timed(_Benchmark):
    param_names: ClassVar[list[str]] = ["px", "impl"]


class Counted(Timed):
    spoilt_by_load = False


@pytest.fixture
def log(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    path = tmp_path / "log.jsonl"
    monkeypatch.setenv(LOG_VARIABLE, str(path))
    monkeypatch.delenv(RETRIES_VARIABLE)
    return path


def records(log: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in log.read_text().splitlines()]


def measured(
    monkeypatch: pytest.MonkeyPatch,
    loads: list[Load],
    values: Callable[[int], float] = float,
    benchmark: type[_Benchmark] = Timed,
) -> float:
    """The sample asv gets when the attempts are made under `loads`, one after the other."""
    waiting = iter(loads)
    monkeypatch.setattr(load, "between", lambda first, last: next(waiting))
    attempts: list[Cell] = []

    def measure(cell: Cell) -> tuple[float, dict[str, Any]]:
        attempts.append(cell)
        return values(len(attempts)), {"attempt": len(attempts)}

    result = benchmark().measured((64, "naive"), measure)
    assert len(attempts) == len(loads) and next(waiting, None) is None
    assert {(cell.px, cell.impl) for cell in attempts} == {(64, "naive")}
    (sample,) = result["samples"]
    return float(sample)


def test_a_quiet_measurement_stands(monkeypatch: pytest.MonkeyPatch, log: Path) -> None:
    assert measured(monkeypatch, [QUIET]) == 1.0
    (record,) = records(log)
    assert not {"voided", "loaded", "load"} & set(record)
    assert {"load_before", "steal", "foreign_cores", "mhz", "seconds"} <= set(record)


def test_a_loaded_measurement_is_made_again_and_stays_in_the_log(
    monkeypatch: pytest.MonkeyPatch, log: Path
) -> None:
    assert measured(monkeypatch, [LOADED, QUIET]) == 2.0
    voided, kept = records(log)
    assert voided["voided"] == "other programs used 1.50 cores"
    assert (voided["value"], voided["attempt"], voided["foreign_cores"]) == (1.0, 1, 1.5)
    assert (kept["value"], kept["attempt"]) == (2.0, 2)
    assert "voided" not in kept and "loaded" not in kept
    assert not {"skipped", "failed"} & (set(voided) | set(kept))


def test_after_two_repetitions_a_loaded_measurement_is_kept_and_marked(
    monkeypatch: pytest.MonkeyPatch, log: Path
) -> None:
    assert measured(monkeypatch, [LOADED] * 3) == 3.0
    *voided, kept = records(log)
    assert [record["value"] for record in voided] == [1.0, 2.0]
    assert all("voided" in record for record in voided)
    assert kept["loaded"] is True and kept["load"] and "voided" not in kept


@pytest.mark.parametrize("values", [lambda n: 1.0 / n, lambda n: 10.0**n, lambda n: 5.0])
def test_values_decide_nothing(
    monkeypatch: pytest.MonkeyPatch, log: Path, values: Callable[[int], float]
) -> None:
    assert measured(monkeypatch, [LOADED, QUIET], values) == values(2)
    assert measured(monkeypatch, [QUIET], values) == values(1)
    assert measured(monkeypatch, [LOADED] * 3, values) == values(3)


def test_counts_are_not_spoilt(monkeypatch: pytest.MonkeyPatch, log: Path) -> None:
    assert measured(monkeypatch, [LOADED], benchmark=Counted) == 1.0
    (record,) = records(log)
    assert "loaded" not in record


def test_repetitions_can_be_forbidden(monkeypatch: pytest.MonkeyPatch, log: Path) -> None:
    monkeypatch.setenv(RETRIES_VARIABLE, "0")
    assert measured(monkeypatch, [LOADED]) == 1.0
    (record,) = records(log)
    assert record["loaded"] is True


@pytest.mark.parametrize("text", ["", "-1", "many", "1.5"])
def test_a_senseless_number_of_repetitions_is_one_sentence(
    monkeypatch: pytest.MonkeyPatch, text: str
) -> None:
    monkeypatch.setenv(RETRIES_VARIABLE, text)
    with pytest.raises(StudyError, match="whole number"):
        load.most_retries()


def test_no_repetition_that_asv_would_cut_short(monkeypatch: pytest.MonkeyPatch, log: Path) -> None:
    long = Load(seconds=_Benchmark.timeout / 3, foreign=1.5, steal=0.0, stolen=0.0)
    assert measured(monkeypatch, [long]) == 1.0
    (record,) = records(log)
    assert record["loaded"] is True


def test_a_skip_is_not_repeated(monkeypatch: pytest.MonkeyPatch, log: Path) -> None:
    def measure(cell: Cell) -> tuple[float, dict[str, Any]]:
        raise Unsupported("no such disk")

    with pytest.raises(SkipNotImplemented):
        Timed().measured((64, "naive"), measure)
    (record,) = records(log)
    assert record["skipped"] == "no such disk"


def test_the_study_names_the_round(monkeypatch: pytest.MonkeyPatch, log: Path) -> None:
    monkeypatch.setenv(ROUND_VARIABLE, "4")
    measured(monkeypatch, [LOADED, QUIET])
    assert [record["round"] for record in records(log)] == [4, 4]


# --- what the page says ----------------------------------------------------------------------


def entry(px: int, number: int | None = None, **more: Any) -> dict[str, Any]:
    told = {} if number is None else {"round": number}
    return {
        "benchmark": "epoch.ByResolution",
        "factors": {"px": px, "impl": "naive"},
        "foreign_cores": 0.01,
        "value": 1.0,
        **told,
        **more,
    }


VOID = {"voided": "other programs used 1.50 cores", "foreign_cores": 1.5}
KEPT = {"loaded": True, "load": "other programs used 0.90 cores", "foreign_cores": 0.9}
PLACE_64 = ("epoch.ByResolution", (("impl", "naive"), ("px", 64)))
PLACE_128 = ("epoch.ByResolution", (("impl", "naive"), ("px", 128)))


def test_flagged_cells_carry_their_rounds() -> None:
    log = [
        entry(64, 1),
        entry(128, 1, **VOID),
        entry(128, 1),
        entry(64, 2, **KEPT),
        entry(128, 2, **VOID),
        entry(128, 2, **KEPT),
        entry(64, 3, **KEPT),
        {"factors": {"px": 64}, "benchmark": "exact.X", "skipped": "no disk", "round": 3},
        {"note": "no measurement"},
    ]
    assert load_report.flagged(log) == {PLACE_64: (2, 3), PLACE_128: (2,)}
    assert load_report.remark((2, 3)) == "kept under foreign load in rounds 2, 3"
    assert load_report.remark((2,)) == "kept under foreign load in round 2"
    assert load_report.remark(()) == ""


def test_rounds_are_counted_where_the_log_names_none() -> None:
    log = [entry(64), entry(64, **VOID), entry(64, **VOID), entry(64), entry(64, **KEPT)]
    assert load_report.flagged(log) == {PLACE_64: (3,)}


def test_summary_counts_voided_repeated_and_kept() -> None:
    log = [
        entry(64, 1, **VOID),
        entry(64, 1, **VOID),
        entry(64, 1),
        entry(128, 1, **VOID),
        entry(128, 1, **KEPT),
        entry(64, 2),
    ]
    sentence = load_report.summary(log)
    assert "3 of 6 measurements were voided" in sentence
    assert "2 were made again" in sentence and "1 kept under load" in sentence
    assert sentence.endswith("0.01 cores")
    assert load_report.summary([{"benchmark": "a", "factors": {}, "value": 1.0}]) == ""


def test_the_page_names_the_load_of_a_machine() -> None:
    log = [entry(64, 1, mhz=2600), entry(64, 2, mhz=2900, **KEPT), entry(64, 3, **VOID)]
    machine = MachineResults("lab", "f" * 40, {}, {}, log, sampled=True)
    details = describe_machine(machine).details
    assert "1 of 3 measurements were voided" in details["load during cells"]
    assert details["cells kept under load"] == "epoch.ByResolution (naive, 64 px): round 2"
    assert details["CPU frequency during cells"] == "2,600 to 2,900 MHz"
    assert (
        "load during cells"
        not in describe_machine(MachineResults("lab", "f" * 40, {}, {}, [], sampled=True)).details
    )


RATIO = """
[[claim.test]]
label = "naive / preloaded"
kind = "ratio"
metric = "epoch"
benchmarks = ["epoch.ByResolution"]
treatment = { impl = "naive" }
baseline = { impl = "preloaded" }
[[claim.test]]
label = "slope"
kind = "slope"
metric = "epoch"
benchmarks = ["epoch.ByResolution"]
treatment = { impl = "naive" }
baseline = { impl = "preloaded" }
over = "px"
bar = 0.0
"""
RULES = HEAD + claim(
    RATIO,
    headline='{ px = 64, impl = "naive" }',
    identifier="C14",
    title="Preloading makes epochs cheaper",
    finding="It takes {headline}.",
)


def test_flagged_cells_are_marked_on_the_page(tmp_path: Path) -> None:
    """Whichever arm it was; other cells, and other benchmarks with the same levels, are not."""
    noise = Noise()
    bench = Bench(
        "epoch.ByResolution.track_epoch",
        {"px": [64, 128, 256], "impl": ["naive", "preloaded"]},
        lambda factors: noise.around(300.0 if factors["impl"] == "naive" else 1.0),
    )
    baseline = {"px": 128, "impl": "preloaded"}
    log = [
        entry(64, 2, **KEPT),
        {**entry(128, 3, **KEPT), "factors": baseline},
        {**entry(256, 4, **KEPT), "benchmark": "epoch.ByWorkers"},
        entry(256, 5, **VOID),
    ]
    write_results(tmp_path / "results", [bench], observations=log)
    (tmp_path / "claims.toml").write_text(RULES)
    study = load_study([tmp_path / "results"], tmp_path / "claims.toml")
    cells = {(cell.test, cell.factors["px"]): cell for cell in study.claims[0].evidence}
    assert cells["naive / preloaded", 64].loaded == (2,)
    assert cells["naive / preloaded", 128].loaded == (3,)
    assert cells["naive / preloaded", 256].loaded == ()
    assert cells["slope", "64 to 256"].loaded == (2, 3)
    assert cells["naive / preloaded", 64].outcome == "for", "a flag decides nothing"
    remark = page.remark(cells["naive / preloaded", 64], "> 1.05")
    assert remark == "kept under foreign load in round 2"


def test_many_flagged_cells_are_cut_short() -> None:
    log = [entry(px, 1, **KEPT) for px in range(64, 64 + load_report.NAMED + 5)]
    assert load_report.kept_under_load(log).endswith("; 5 more, in the log")


def test_voided_cold_measurements_are_not_counted_as_verified() -> None:
    cold = {"bytes_read": 100, "bytes_of_files": 100, "resident_before": 0.0}
    log = [entry(64, 1, **cold, **VOID), entry(64, 1, **cold)]
    machine = MachineResults("lab", "f" * 40, {}, {}, log, sampled=True)
    assert describe_machine(machine).details["verified states"].startswith("1 cold measurements")


def test_a_voided_record_does_not_look_like_a_failure(tmp_path: Path) -> None:
    """Evidence takes its reasons for missing cells from the log."""
    bench = Bench(
        "epoch.ByResolution.track_epoch",
        {"px": [64, 128], "impl": ["naive"]},
        lambda factors: [1.0, 2.0] if factors["px"] == 64 else SKIPPED,
    )
    skip = {"benchmark": "epoch.ByResolution", "factors": {"px": 128, "impl": "naive"}}
    log = [entry(64, 1, **VOID), entry(64, 1), {**skip, "skipped": "no disk"}, entry(128, **VOID)]
    write_results(tmp_path, [bench], observations=log)
    cells = load_evidence([tmp_path]).cells.set_index("px")
    assert (cells.loc[64, "status"], cells.loc[64, "reason"]) == ("ok", "")
    assert (cells.loc[128, "status"], cells.loc[128, "reason"]) == ("skipped", "no disk")


def test_exact_findings_are_counts() -> None:
    """Asked in an interpreter of its own: other tests import the suite under other profiles."""
    code = (
        "from benchmarks.prepare import benchmark_classes as b; "
        "print(*[c.spoilt_by_load for c in b() if 'exact' in c.__module__])"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert set(done.stdout.split()) == {"False"}
