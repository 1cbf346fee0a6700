"""Where a remedy is the one for the cause, it is offered, named as such, and measured."""

from __future__ import annotations

import time
from collections.abc import Callable
from io import BytesIO
from pathlib import Path
from typing import Any

import pytest

from datasets_impl.doctor.findings.findings import findings
from datasets_impl.doctor.findings.memory import grows
from datasets_impl.doctor.findings.starting import workers_restart
from datasets_impl.doctor.probes import clock
from datasets_impl.doctor.probes.samples import size_of
from datasets_impl.doctor.probes.target import Subject, subject_of
from datasets_impl.doctor.process.heard import Heard
from datasets_impl.doctor.remedies import trials
from datasets_impl.doctor.remedies.collating import one_tensor_a_field
from datasets_impl.doctor.remedies.opened_once import Opened
from datasets_impl.doctor.remedies.preloaded import preloaded
from datasets_impl.doctor.remedies.remedies import kept_workers
from datasets_impl.doctor.remedies.trials import tried
from datasets_impl.doctor.remedies.uneven import uneven
from datasets_impl.doctor.report.diagnosis import diagnose
from tests import doctor_remedied

UNHURRIED = 10.0  # times the clock's seconds, so that a busy machine takes no trial its time
SOME, FEW = [0.0005, 0.0005, 0.0005, 0.02, 0.0005] * 8, 1e-4
STARTING = {"starting": 2.0, "preparing": 0.0}
RESTARTS = {"inside": {"start_method": "spawn"}, "batches": STARTING}

CASES: dict[str, tuple[Callable[..., Any], str, set[str], dict[str, Any]]] = {
    "large": (
        uneven, "outlier", {"out-of-order", "small-tasks"},
        {"items": {"first": [FEW] * 99 + [0.02], "second": [FEW] * 99 + [0.02],
                   "indices": list(range(100))}},
    ),
    "objects": (
        one_tensor_a_field, "many-tensors", {"one-tensor-a-field"},
        {"machine": {"batch_tensors": 96}, "inside": {"batch_size": 16},
         "batches": {"hand_over": 1e-3}, "causes": {"total": 1e-4, "causes": {"python": 1e-4}}},
    ),
    "annotated": (
        kept_workers, "workers-restart", {"persistent"},
        {"batches": {"preparing": 2.0}},
    ),
    "imported": (preloaded, "workers-restart", {"preloaded"}, RESTARTS),
}  # fmt: skip


@pytest.fixture
def unhurried(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(clock, "perf_counter", lambda: time.perf_counter() / UNHURRIED)
    monkeypatch.setattr(trials, "MOST_ROUNDS", 2)


def subject_with(name: str, folder: Path) -> Subject:
    """As after the probes that have found its cause."""
    subject = subject_of(name, getattr(doctor_remedied, name)(folder))
    size = size_of(subject.read(0))
    look = {"type": name, "length": 40, "bytes": size, "cost": FEW, "kinds": []}
    subject.answers = {"look": look, "repeats": {"calls": [], "queries": []}, **CASES[name][3]}
    return subject


@pytest.mark.usefixtures("unhurried")
@pytest.mark.parametrize(
    "name", [*(one for one in CASES if one != "imported"),
             pytest.param("imported", marks=pytest.mark.slow)],
)  # fmt: skip
def test_the_remedy_for_the_cause_is_measured(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    make, cause, offered, _ = CASES[name]
    fresh, original = list[float](), trials._fresh
    monkeypatch.setattr(trials, "REMEDIES", (make,))
    monkeypatch.setattr(trials, "_fresh", lambda *a: fresh.append(original(*a)) or fresh[-1])
    subject = subject_with(name, tmp_path)
    seen = {**subject.answers, "settings": subject.settings}
    assert findings(seen)[0].name == cause
    found = tried(subject, 2.0, most=40.0)  # seconds for each import of PyTorch, beside others
    measured = {one["name"]: one for one in found["remedies"]}
    assert offered <= measured.keys(), (found["late"], found["failed"], found["inapplicable"])
    for one in offered:
        assert cause in measured[one]["mends"]
        assert len(measured[one]["blocks"]) == len(measured[one]["beside"]) == 2
    # Where a start takes long, that of workers that stay is one to compare with.
    assert len(fresh) == {"annotated": 1, "imported": 4}.get(name, 0)
    told = diagnose(name, Heard(answers={**subject.answers, "tried": found}))
    assert offered <= {one.name for one in told.remedies}


@pytest.mark.usefixtures("unhurried")
def test_what_there_was_no_time_for_is_told_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(trials, "REMEDIES", (kept_workers,))
    monkeypatch.setattr(trials, "_whole", lambda *_: False)
    late = tried(subject_with("annotated", tmp_path), 0.5)["late"]
    assert late.count("Keep workers from epoch to epoch") == 1


@pytest.mark.parametrize(
    ("method", "epoch", "says"),
    [("spawn", 0.1, "import everything again"), ("spawn", 9.0, ""), ("fork", 0.1, "")],
)
def test_workers_that_import_everything_again_are_told(
    method: str, epoch: float, says: str
) -> None:
    seen = {
        "inside": {"start_method": method},
        "settings": {"num_workers": 2},
        "batches": STARTING,
        "look": {"cost": epoch, "length": 2},
    }
    found = workers_restart(seen)
    assert says in found.title if found and says else (found is None and not says)


@pytest.mark.parametrize(
    ("grown", "samples", "packed", "told"),
    [
        (32e6, 4000, None, True),
        (7e6, 768, 1e6, True),
        (7e6, 768, 6e6, False),
        (7e6, 768, None, False),  # there was no time to prove it
        (7e6, 240_000, 1e6, False),  # all of them would take no more
        (1e6, 768, 0.0, False),
    ],
)
def test_growth_over_a_few_samples_is_believed_where_it_was_proved(
    grown: float, samples: int, packed: float | None, told: bool
) -> None:
    answer = {"private": [10e6 + grown], "few": 10e6, "samples": samples, "of": 250_000}
    if packed is not None:
        answer["packed"] = packed
    seen = {"growth": answer, "inside": {"big_lists": [["dataset.samples", 250_000, "dict"]]}}
    found = grows(seen)
    assert (found is not None and found.name == "grows") is told


@pytest.mark.parametrize(
    ("mode", "times"), [("r", 1), ("r:xz", 1), ("r|gz", 1), ("w", 2), ("w:xz", 2), ("a", 2)]
)
def test_only_what_is_read_stays_open(mode: str, times: int) -> None:
    opened = list[str]()
    stand_in = Opened(lambda *given: opened.append(given[0]) or BytesIO())
    for _ in range(2):
        stand_in("pictures.tar", mode)
    assert len(opened) == times
