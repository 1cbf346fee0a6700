"""A lock that workers share is told where they wait for one another at it, and nowhere else."""

from __future__ import annotations

import fcntl
import inspect
import os
from collections import Counter
from multiprocessing.managers import AcquirerProxy  # type: ignore[attr-defined]
from multiprocessing.synchronize import SemLock
from pathlib import Path
from typing import Any

import pytest
from filelock import BaseFileLock

from datasets_impl.doctor.findings.findings import findings
from datasets_impl.doctor.findings.mechanisms import wait_in_turn
from datasets_impl.doctor.probes import in_turn as probe
from datasets_impl.doctor.probes.in_turn import Noted, in_turn, shares
from datasets_impl.doctor.probes.loaders import as_list, opened
from datasets_impl.doctor.probes.samples import fingerprint
from datasets_impl.doctor.probes.target import subject_of
from datasets_impl.doctor.remedies.remedy import Context
from datasets_impl.doctor.remedies.unlocked import unlocked
from tests import doctor_locked
from tests.doctor_locked import BRIEF, HELD, LEFT, OPENED_ANEW, WORK, Locked, loader_of
from tests.test_doctor_again import context

SLOW = {
    "causes": {"total": 0.01, "causes": {"reading": 0.01}}, "look": {"turn": 1e-8},
    "settings": {"num_workers": 4}, "ceiling": {"cores": 2},
}  # fmt: skip
LINE = [__file__, 3, "with self.lock:"]


def told(held: float, met: float, **other: Any) -> Any:
    answer = {"held": held, "met": met, "lines": [LINE]}
    return wait_in_turn(SLOW | {"batches": {"in_turn": answer}} | other)


def test_a_lock_that_is_held_for_most_of_a_sample_comes_first() -> None:
    found = told(0.95, 0.4)
    assert found is not None and "holds the lock for 95% of its time" in found.evidence
    assert found.places == ["test_doctor_in_turn.py:3  with self.lock:"]
    answer = {"held": 0.95, "met": 0.4, "lines": [LINE]}
    assert findings(SLOW | {"batches": {"in_turn": answer}})[0].name == "wait-in-turn"


@pytest.mark.parametrize(
    ("held", "met", "workers", "cores", "says"),
    [
        (0.95, 0.4, 2, 8, True),
        (0.95, 0.02, 2, 8, False),  # there are many locks
        (0.3, 0.3, 2, 8, False),
        (0.3, 0.3, 8, 8, True),
        (0.3, 0.3, 8, 2, False),  # there are no cores for eight at the same time
        (0.95, 0.4, 0, 2, False),
        (0.02, 0.3, 8, 8, False),
    ],
)
def test_a_lock_is_told_where_it_makes_workers_wait(
    held: float, met: float, workers: int, cores: int, says: bool
) -> None:
    settings = {"settings": {"num_workers": workers}, "ceiling": {"cores": cores}}
    assert (told(held, met, **settings) is not None) is says
    assert told(held, met, **settings, look={"turn": 1.0}) is None, "quick samples are no matter"


@pytest.fixture
def own_locks(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is changed in a worker is changed back here."""
    for owner, names in (
        (SemLock, ["__enter__", "__exit__"]),
        (AcquirerProxy, ["__enter__", "__exit__", "acquire", "release"]),
        (BaseFileLock, ["acquire", "release"]), (fcntl, ["flock", "lockf"]),
    ):  # fmt: skip
        for name in names:
            monkeypatch.setattr(owner, name, getattr(owner, name))


def noted(kind: type[Locked], folder: Path, monkeypatch: pytest.MonkeyPatch) -> Noted:
    """One sample of it, by a clock that goes on only while something is unpacked."""
    now = [1.0]

    def unpacked(self: Locked, index: int) -> Any:
        now[0] += WORK
        return self.rows[index]

    monkeypatch.setattr(Locked, "unpacked", unpacked)
    monkeypatch.setattr(probe, "running", lambda: now[0])
    subject, locks = subject_of("x", loader_of(kind, folder)), probe._Locks()
    locks.watch(subject)
    locks.read(subject.read, 0)
    return locks.read(subject.read, 1)


@pytest.mark.usefixtures("own_locks")
@pytest.mark.parametrize("kind", HELD, ids=lambda one: one.__name__)
def test_what_is_done_under_a_lock_is_noted(
    kind: type[Locked], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = noted(kind, tmp_path, monkeypatch)
    assert found.spent == pytest.approx(WORK) and found.met == 0
    ((place, held),) = found.held.items()
    assert held == pytest.approx(WORK)
    line = inspect.getsource(doctor_locked).splitlines()[place[1] - 1]
    assert place[0] == doctor_locked.__file__ and line.endswith("# the costly line")


@pytest.mark.usefixtures("own_locks")
@pytest.mark.parametrize("kind", [one for one in BRIEF if one is not doctor_locked.OfEach],
                         ids=lambda one: one.__name__)  # fmt: skip
def test_what_is_done_beside_a_lock_is_not(
    kind: type[Locked], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = noted(kind, tmp_path, monkeypatch)
    assert found.spent == pytest.approx(WORK) and found.held.total() == 0.0


def test_shares_are_of_a_samples_own_time() -> None:
    """Without what it waits for another."""
    one = Noted(4, 2, 4.0, 2.0, Counter({(__file__, 3): 1}))
    found = shares([one, one])
    assert (found["held"], found["met"]) == (0.5, 0.5) and found["lines"][0][:2] == [
        __file__,
        3,
    ]


@pytest.mark.slow
@pytest.mark.parametrize("kind", [*HELD, *BRIEF], ids=lambda one: one.__name__)
def test_workers_that_share_a_lock_are_watched(kind: type[Locked], tmp_path: Path) -> None:
    subject = subject_of("x", loader_of(kind, tmp_path))
    subject.cost = WORK
    found = in_turn(subject, 2.0)
    seen = SLOW | {"batches": {"in_turn": found}}
    assert (wait_in_turn(seen) is not None) is (kind in HELD), found


def test_datasets_without_a_lock_are_left_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(probe, "opened", lambda *_, **__: pytest.fail("no worker is needed"))
    free = loader_of(Locked, tmp_path)
    subject = subject_of("x", free)
    monkeypatch.setattr(probe, "names_called", lambda _: set())
    subject.cost = WORK
    assert in_turn(subject, 2.0) == {}


def locked(kind: type[Locked], folder: Path) -> Context:
    answer = {"held": 0.95, "met": 0.4, "lines": [LINE]}
    nothing: dict[str, Any] = {"calls": [], "queries": []}
    seen = SLOW | {"batches": {"in_turn": answer}, "repeats": nothing}
    made = loader_of(kind, folder)
    return context(made, folder, **{key: one for key, one in seen.items() if key != "look"})


@pytest.mark.parametrize("kind", OPENED_ANEW, ids=lambda one: one.__name__)
def test_a_file_that_each_worker_opens_is_read_without_the_lock(
    kind: type[Locked], tmp_path: Path
) -> None:
    at = locked(kind, tmp_path)
    (remedy,) = unlocked(at)
    assert "wait-in-turn" in remedy.mends and remedy.workers == 2
    lock = getattr(at.subject.dataset, "reader", at.subject.dataset).lock
    expected = [fingerprint(at.part[index]) for index in range(8)]
    # A worker would wait for it without an end.
    with lock, opened(at.subject, remedy.dataset, 2, as_list, batch_size=4) as loader:
        found = [fingerprint(one) for batch in loader for one in batch]
    assert found[:8] == expected
    assert [fingerprint(at.part[index]) for index in range(8)] == expected, "as it was"


def test_the_lines_open_the_file_anew(tmp_path: Path) -> None:
    at = locked(doctor_locked.Filed, tmp_path)
    made, (remedy,) = at.subject.dataset, unlocked(at)
    known, first, lines = [made.file], remedy.lines.partition("\n")[0], remedy.lines
    exec(first, space := {"self": made, "os": os})
    for _ in range(2):
        exec(lines.partition("\n")[2], space)
        known.append(made.file)
    assert known[0] is not known[1] is known[2] and known[2].name == known[0].name


@pytest.mark.parametrize("kind", LEFT, ids=lambda one: one.__name__)
def test_a_lock_is_kept_where_it_may_be_needed(kind: type[Locked], tmp_path: Path) -> None:
    assert unlocked(locked(kind, tmp_path)) == []
