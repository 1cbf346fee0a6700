"""What passes before the first batch is told in its parts, and what would shorten it is tried."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import pytest
import torch
from torch.utils.data import DataLoader, TensorDataset, WeightedRandomSampler

from datasets_impl.doctor.findings.starting import (
    before_first,
    slow_sampler,
    stream_start,
    workers_restart,
)
from datasets_impl.doctor.probes import batches as batches_probe
from datasets_impl.doctor.probes.inside import look_inside
from datasets_impl.doctor.probes.loaders import Part
from datasets_impl.doctor.probes.looking import look
from datasets_impl.doctor.probes.preparing import Prepared, attributes
from datasets_impl.doctor.probes.reads import seconds_of_items
from datasets_impl.doctor.probes.starting import starting
from datasets_impl.doctor.probes.target import Subject, subject_of
from datasets_impl.doctor.process.child import _starts_late
from datasets_impl.doctor.process.heard import Heard
from datasets_impl.doctor.remedies import trials
from datasets_impl.doctor.remedies.remedies import kept_workers
from datasets_impl.doctor.report.diagnosis import diagnose
from datasets_impl.doctor.report.terminal import beside
from tests import doctor_habits, doctor_remedied
from tests.test_doctor_again import COST, LONG


def test_a_smaller_buffer_is_tried(tmp_path: Path) -> None:
    made = doctor_habits.Buffered(tmp_path)
    subject = subject_of("x", made)
    subject.answers["look"] = look(subject, LONG) | {"first": 0.5}
    found = starting(subject, 2.0)
    assert found["buffer"]["name"] == "buffer_size" and found["buffer"]["smaller"] == 50
    assert made.buffer_size == 400 and 50 in made.filled
    seen = {"look": {**subject.answers["look"], "cost": 1e-6}}
    told = stream_start(seen | {"starting": {"buffer": found["buffer"] | {"seconds": 0.01}}})
    assert told is not None
    assert "With buffer_size=50 in place of 400 it takes 0.01 s" in told.evidence
    assert told.lines == "Buffered(..., buffer_size=50)"


def test_a_sampler_is_timed_with_replacement(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("datasets_impl.doctor.probes.starting.LEAST", 0.0)
    data = TensorDataset(torch.zeros(1000))
    sampler = WeightedRandomSampler(torch.ones(1000), 8, replacement=False)
    found = starting(subject_of("x", DataLoader(data, sampler=sampler)), 60.0)
    assert found["replacing"] > 0 and not sampler.replacement
    slow = found | {"sampler": 2.0, "replacing": 0.01, "batches": 8, "batch": 1}
    told = slow_sampler({"starting": slow, "look": {"cost": 1e-6}})
    assert told is not None and told.evidence.endswith("With replacement it needs 0.01 s.")


def test_what_passes_before_the_first_batch_is_told_apart() -> None:
    seen = {
        "starting": {"made": 1.5, "again": 1.2, "sampler": 0.3, "kind": "ByLength"},
        "batches": {"start_workers": 2, "starting": 0.9, "preparing": 0.5, "first_batch": 1.0},
        "settings": {"num_workers": 2},
        "inside": {"start_method": "spawn", "settings": {"num_workers": 2}},
        "pickled": {"seconds": 0.1},
        "look": {"type": "Rows", "length": 9, "bytes": 8.0, "kinds": [], "cost": 1e-3},
    }
    found = list(before_first(seen))
    assert [(name, round(seconds, 3), each) for name, seconds, each in found] == [
        ("making the dataset", 1.2, False),
        ("the sampler", 0.3, True),
        ("pickling it for workers", 0.2, True),
        ("starting workers", 0.2, True),
        ("what workers prepare", 0.5, True),
        ("the samples of the batch", 0.1, True),
    ]
    stays = {"num_workers": 2, "persistent_workers": True}
    each = [one[2] for one in before_first(seen | {"settings": stays})]
    assert each == [False, True, False, False, False, True]
    told = beside(diagnose("x", Heard(answers=seen)))[-1]
    assert told.startswith("Before the first batch: making the dataset 1.20 s; in each epoch the ")


def test_workers_find_no_cache_that_was_filled_here(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Else what they keep would seem to save nothing."""
    subject = subject_of("x", doctor_habits.caching(tmp_path))
    for index in range(8):
        subject.read(index)
    subject.stores = {"dataset.kept": 0}
    subject.answers = {
        "look": {"bytes": 1.0, "cost": COST}, "repeats": {"calls": [], "queries": []},
        "integrity": {"caches": [["dataset.kept", 8, None]]},
    }  # fmt: skip
    held: list[int] = []
    original = trials.opened

    def opened(*given: Any, **options: Any) -> Any:
        held.append(len(subject.dataset.kept))
        return original(*given, **options)

    monkeypatch.setattr(trials, "opened", opened)
    monkeypatch.setattr(trials, "REMEDIES", (kept_workers,))
    monkeypatch.setattr(trials, "MOST_ROUNDS", 2)
    found = trials.tried(subject, 2.0, most=8.0)
    assert "persistent" in [one["name"] for one in found["remedies"]] or found["late"]
    assert 0 in held


def prepares(worker: int) -> None:
    torch.utils.data.get_worker_info().dataset.load()  # type: ignore[union-attr]


def test_what_workers_prepare_is_shown_with_its_line() -> None:
    data = TensorDataset(torch.zeros(10))
    subject = subject_of("x", DataLoader(data, num_workers=2, worker_init_fn=prepares))
    seen = {"inside": look_inside(subject, 1.0), "settings": subject.settings}
    told = workers_restart(seen | {"batches": {"preparing": 2.0}})
    assert told is not None and "  torch.utils.data.get_worker_info()" in told.places[0]


def test_slow_samples_are_no_preparation_of_workers() -> None:
    """On a busy machine the first of them take longer in workers."""
    seen = {"settings": {"num_workers": 2}, "look": {"cost": 0.1, "length": 4}}
    start = {"preparing": 1.0, "first_samples": 2.0}
    assert workers_restart(seen | {"batches": start}) is None
    assert workers_restart(seen | {"batches": start | {"first_samples": 0.1}}) is not None


class Stacked:
    """A collate function that takes long over a large batch."""

    def __call__(self, samples: list[Any]) -> torch.Tensor:
        time.sleep(0.4)
        return torch.stack([number for (number,) in samples])


def start_of(subject: Subject) -> dict[str, Any]:
    subject.attributes = attributes(subject.dataset)
    first = seconds_of_items(subject, [0, 1])[0]
    subject.answers["look"] = {"first": first, "cost": COST}
    part = Part(subject, list(range(8)))
    return batches_probe._start(subject, part, subject.loader.collate_fn, 4)  # type: ignore[union-attr]


def test_collating_the_first_batch_is_no_preparation() -> None:
    data = TensorDataset(torch.zeros(16))
    made = DataLoader(data, batch_size=4, num_workers=2, collate_fn=Stacked())
    found = start_of(subject_of("x", made))
    assert found["first_batch"] - found["starting"] > 0.3 > found["preparing"]
    assert found["prepared"]["first"] == 0.0 and found["first_sets"] == []


def test_what_the_first_sample_sets_is_set_in_each_worker_anew(tmp_path: Path) -> None:
    """Though the trainer's own process has read samples before."""
    subject = subject_of("x", doctor_remedied.annotated(tmp_path))
    found = start_of(subject)
    assert found["first_sets"] == ["notes"] and subject.dataset.notes is not None
    assert max(found["prepared"], key=found["prepared"].get) == "first"
    told = workers_restart({"batches": found | {"preparing": 2.0}, "settings": subject.settings})
    assert told is not None and "sets self.notes" in told.evidence
    assert "  self.notes = {" in told.places[0]


@pytest.mark.parametrize(("lazy", "more"), [(True, 2.0), (False, 0.0)])
def test_only_a_first_sample_that_sets_something_prepares(
    lazy: bool, more: float, tmp_path: Path
) -> None:
    subject = subject_of("x", doctor_remedied.annotated(tmp_path))
    noted = Prepared(Part(subject, [0, 1]))
    noted.told[:] = torch.tensor([0.25, 0.5, 3.0, 1.0, 9.0, 4.0, 0.0])
    assert noted.seconds(0.5, lazy) == {"sent": 0.25, "init": 0.5, "first": more}


def test_workers_that_share_cores_have_no_shorter_epoch_for_it() -> None:
    seen = {"settings": {"num_workers": 8}, "look": {"cost": 0.01, "length": 100}}
    start = {"batches": {"preparing": 0.4}}
    assert workers_restart(seen | start) is not None
    assert workers_restart(seen | start | {"ceiling": {"cores": 2}}) is None
    waits = {"causes": {"total": 0.01, "causes": {"waiting": 0.01}}}
    assert workers_restart(seen | start | {"ceiling": {"cores": 2}} | waits) is not None


def test_what_arrives_by_a_small_pickle_is_what_it_imports() -> None:
    seen = {
        "settings": {"num_workers": 2}, "look": {"cost": 1e-3, "length": 100},
        "inside": {"start_method": "spawn"},
        "batches": {"preparing": 2.0, "starting": 4.0, "prepared": {"sent": 1.9, "init": 0.1}},
    }  # fmt: skip
    told = workers_restart(seen)
    assert told is not None and "import everything again" in told.title
    told = workers_restart(seen | {"pickled": {"bytes": 1 << 30}})
    assert told is not None and "most of it for unpickling the dataset" in told.evidence


def test_a_start_that_was_held_up_does_not_count(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    taken = iter([2.0, 0.0])
    monkeypatch.setattr(
        batches_probe, "_start", lambda *_: {"preparing": next(taken), "starting": 0.0}
    )
    found = batches_probe.batches(subject_of("x", doctor_habits.caching(tmp_path)), LONG)
    assert found["preparing"] == 0.0


@pytest.mark.parametrize(("first", "late"), [(9.0, True), (1.0, False)])
def test_a_stream_that_starts_late_is_not_gone_over_in_too_short_a_time(
    first: float, late: bool, tmp_path: Path
) -> None:
    subject = subject_of("x", doctor_habits.Buffered(tmp_path))
    subject.answers["look"] = {"first": first}
    assert _starts_late(subject, "causes", 2.0) is _starts_late(subject, "repeated", 2.0) is late
    assert not _starts_late(subject, "starting", 2.0), "which finds out why"
    subject = subject_of("x", doctor_habits.Caching(tmp_path))
    subject.answers["look"] = {"first": first}
    assert not _starts_late(subject, "causes", 2.0)
