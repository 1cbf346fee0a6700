"""What hangs is named: the sample, the user's line, and what it waits for there."""

from __future__ import annotations

import inspect
import threading
from collections.abc import Callable
from json import decoder
from pathlib import Path
from typing import Any

import psutil
import pytest

from datasets_impl.doctor.probes import clock
from datasets_impl.doctor.probes.own_code import DOCTOR
from datasets_impl.doctor.probes.reading import HANG
from datasets_impl.doctor.process.examine import OVER, examine, slack
from datasets_impl.doctor.process.heard import Ask, Heard
from datasets_impl.doctor.process.stacks import places_of, stand_of, threads
from datasets_impl.doctor.report.diagnosis import diagnose
from tests import doctor_hanging, doctor_hazards
from tests.doctor_hanging import HANGING
from tests.leftovers import until

pytestmark = pytest.mark.usefixtures("forked")
slow = pytest.mark.slow
ASKED = [Ask("inside", 0.5), Ask("look", 0.5), Ask("batches", 3.0), Ask("growth", 1.0)]


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """What hangs for ever need not be waited for long."""
    monkeypatch.setattr("datasets_impl.doctor.process.examine.GRACE", 2.0)


@slow
@pytest.mark.usefixtures("impatient")
@pytest.mark.parametrize("hangs", HANGING, ids=lambda one: one.__name__)
def test_a_worker_that_hangs_is_named_with_its_line(hangs: Callable[..., Any], ward: Path) -> None:
    name, sample, awaited = HANGING[hangs]
    target = f"{doctor_hanging.__file__}:{hangs.__name__}"
    heard = examine(target, {"folder": str(ward)}, ASKED)
    found = diagnose("hanging", heard)
    first = found.findings[0]
    assert first.name == name, (found.verdict, found.findings, heard)
    place, _, code = first.places[0].partition("  ")
    line = inspect.getsource(doctor_hanging).splitlines()[int(place.rpartition(":")[2]) - 1]
    assert "# here" in line and code.startswith(line.strip()[:20]), first.places
    assert ("hangs at sample" in first.evidence) is sample, first.evidence
    assert (f"waiting for {awaited}" in first.evidence) if awaited else True, first.evidence
    assert ("forkserver" in first.remedy) is (name == "deadlock-after-fork")
    assert set(heard.failures.values()) == {HANG}
    assert any(said.startswith(f"Not done, as {HANG}: ") for said in found.not_done)
    assert until(lambda: not [1 for one in psutil.process_iter() if str(ward) in _line(one)])


def _line(process: psutil.Process) -> str:
    try:
        return " ".join(process.cmdline())
    except psutil.Error:
        return ""


@slow
def test_a_sample_that_ends_its_worker_is_named_and_avoided(ward: Path) -> None:
    asked = [Ask("inside", 30.0), *ASKED[1:]]  # time enough in all, on a busy machine
    heard = examine(f"{doctor_hanging.__file__}:killed", {"folder": str(ward)}, asked)
    found = diagnose("killed", heard)
    first = found.findings[0]
    assert first.title == "Sample 0 never comes", (found.verdict, heard)
    assert first.evidence.startswith("While it was read, its worker "), first.evidence
    assert first.places == [], "nobody saw where its worker stood"
    assert not heard.failures and heard.settled >= {"batches", "growth"}, heard


@slow
@pytest.mark.usefixtures("impatient")
def test_a_sample_that_hangs_is_named_with_its_line(ward: Path) -> None:
    target = f"{doctor_hazards.__file__}:HangsLater"
    asked = [Ask("inside", 30.0), Ask("look", 1.0)]  # time enough to say where it stands
    found = diagnose("hangs", examine(target, {"folder": str(ward)}, asked))
    first = found.findings[0]
    assert first.name == "stuck" and "it stood at" in first.evidence, found
    assert "doctor_hazards.py:" in first.places[0] and "Event().wait()" in first.places[0]
    assert f"({first.places[0].partition('  ')[0]})" in found.verdict


@slow
def test_a_worker_that_is_only_slow_does_not_hang(ward: Path) -> None:
    heard = examine(f"{doctor_hanging.__file__}:preparing", {"folder": str(ward)}, ASKED[:3])
    assert not heard.hung and "took longer" in heard.failures["batches"], heard


DUMP = """Thread 0x00007f0000000001 (most recent call first):
  File "{own}", line 30 in note
  File "{threading}", line 982 in run

Current thread 0x00007f0000000002 (most recent call first):
  File "{json}", line 353 in raw_decode
  File "{own}", line 44 in __getitem__
  File "{doctor}/probes/target.py", line 60 in read
"""


def test_the_thread_that_reads_is_told_of_and_not_one_of_the_users(tmp_path: Path) -> None:
    file = tmp_path / "own.py"
    file.write_text("\n" * 43 + "    with self.index[0].lock:  # held\n")
    text = DUMP.format(own=file, doctor=DOCTOR, threading=threading.__file__, json=decoder.__file__)
    assert [len(frames) for frames in threads(text)] == [3, 2]
    said = stand_of(text)
    assert said.startswith("own.py:44  with self.index[0].lock:")
    assert said.endswith(", waiting for self.index[0].lock")
    assert places_of(text) == ["own.py:44  with self.index[0].lock:  # held (in __getitem__)"]
    for nothing in ("", "Timeout (0:00:01)!\n"):
        assert stand_of(nothing) == "" and places_of(nothing) == []


@pytest.mark.parametrize("budget", [10.0, 60.0, 600.0])
def test_nothing_that_was_begun_may_go_on_for_longer_than_the_budget_allows(budget: float) -> None:
    heard = Heard(until=clock.monotonic() + OVER * budget)
    assert slack(OVER * budget) + heard.left <= 1.3 * budget


@slow
def test_another_start_of_workers_is_tried_where_a_fork_hangs(
    ward: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("datasets_impl.doctor.process.examine.RESTARTING", 90.0)
    target = f"{doctor_hanging.__file__}:lock_that_is_not_sent"
    asked = [*ASKED[:2], Ask("pickled", 0.5), Ask("batches", 3.0), Ask("growth", 200.0)]
    heard = examine(target, {"folder": str(ward)}, asked)
    first = diagnose("hanging", heard).findings[0]
    assert first.name == "deadlock-after-fork", heard
    assert "By forkserver they gave their first batch after " in first.evidence, heard
