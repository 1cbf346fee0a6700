"""Workers that share too few cores, too few shards or a file, or pickle what they give, are named;
what would help is tried."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch.utils.data import DataLoader, default_collate, get_worker_info

from datasets_impl.doctor.findings.crowded import (
    bound_to_cores,
    idle_workers,
    more_workers_than_cores,
    too_many_threads,
)
from datasets_impl.doctor.findings.findings import findings
from datasets_impl.doctor.findings.handing import pickled_batches
from datasets_impl.doctor.findings.mechanisms import workers_cost
from datasets_impl.doctor.probes import loaders
from datasets_impl.doctor.probes.idle import idle
from datasets_impl.doctor.probes.loaders import Part, opened
from datasets_impl.doctor.probes.looking import look
from datasets_impl.doctor.probes.machine import machine
from datasets_impl.doctor.probes.parts import open_handles
from datasets_impl.doctor.probes.set_threads import hold
from datasets_impl.doctor.probes.target import subject_of
from datasets_impl.doctor.remedies.as_tensors import as_tensors, converted
from datasets_impl.doctor.remedies.crowded import crowded
from datasets_impl.doctor.remedies.narrowed import narrowed
from tests import doctor_crowded
from tests.test_doctor_again import COST, context, line_of, with_share
from tests.test_doctor_kinds import looked_at

PYTHON = with_share("python")
WORKERS = {"settings": {"num_workers": 2}}


@pytest.mark.parametrize(
    ("collate", "says"), [("of_arrays", "NumPy arrays of"), ("of_lists", "Python values")]
)
def test_batches_that_are_pickled_are_named(collate: str, says: str, tmp_path: Path) -> None:
    function = getattr(doctor_crowded, collate)
    made = DataLoader(
        doctor_crowded.Rows(tmp_path), batch_size=40, collate_fn=function, num_workers=2
    )
    facts = machine(subject_of("made", made), 0.3)
    at = context(made, tmp_path, machine=facts, batches={"hand_over": 9 * COST},
                 causes={"total": COST, "causes": {"python": COST}})  # fmt: skip
    first = findings(at.seen)[0]
    assert first.name == "pickled-batches" and says in first.evidence
    (remedy,) = converted(at)
    own, batch = at.collate(at.samples), remedy.collate(at.samples)
    assert torch.is_tensor(batch[0]) and first.name in remedy.mends
    assert torch.equal(batch[0], torch.as_tensor(np.asarray(own[0])))
    assert pickled_batches(at.seen | {"batches": {"hand_over": COST / 9}}) is None


def test_what_is_no_row_of_numbers_stays_as_it_is() -> None:
    text, few = np.array(["a"]), [1, 2]
    assert as_tensors({"a": (text, few, None)}) == {"a": (text, few, None)}


def test_threads_that_workers_set_are_seen_and_one_is_tried(tmp_path: Path) -> None:
    made = DataLoader(doctor_crowded.Rows(tmp_path), num_workers=2, worker_init_fn=print)
    at = context(made, tmp_path, batches={"threads": {"torch": 32}}, ceiling={"cores": 2}, **PYTHON)
    seen = at.seen | {"inside": {"worker_init_lines": [["train.py", 9, "set_num_threads(32)"]]}}
    found = too_many_threads(seen)
    assert found is not None and found.rank < 1 and "32 PyTorch threads" in found.evidence
    assert found.places == ["train.py:9  set_num_threads(32)"]
    (remedy,) = crowded(at)
    assert remedy.name == "one-thread" and "torch.set_num_threads(1)" in remedy.lines
    before = torch.get_num_threads()
    try:
        remedy.changes["worker_init_fn"].then()
        assert torch.get_num_threads() == 1
    finally:
        torch.set_num_threads(before)
    tried = {"remedies": [{"name": "one-thread", "beside": [3.0, 3.0], "blocks": [1.0, 1.0]}]}
    measured = too_many_threads(seen | {"tried": tried})
    assert measured is not None and measured.rank > 2 and "3.0 times" in measured.evidence


@pytest.fixture
def held(monkeypatch: pytest.MonkeyPatch) -> None:
    """As in a process of the probes; undone after the test."""
    monkeypatch.setattr(torch, "set_num_threads", torch.set_num_threads)
    hold()


@pytest.mark.usefixtures("held")
def test_threads_that_the_dataset_sets_in_a_worker_are_seen_and_one_is_tried(
    tmp_path: Path,
) -> None:
    before = torch.get_num_threads()
    made = DataLoader(doctor_crowded.SetsThreads(tmp_path), num_workers=2)
    told = looked_at(made)
    assert torch.get_num_threads() == before, "workers that are forked would wait for these"
    at = context(made, tmp_path, look=told, ceiling={"cores": 2}, **PYTHON)
    found = too_many_threads(at.seen)
    assert found is not None and "4 PyTorch threads" in found.evidence
    assert found.places[0].startswith(f"doctor_crowded.py:{line_of('SetsThreads')}  ")
    (remedy,) = crowded(at)
    for changes, count in (({}, 4), (remedy.changes, 1)):
        with opened(at.subject, at.part, 2, default_collate, **changes) as loader:
            assert {int(one) for batch in loader for one in batch} == {count}


@pytest.mark.usefixtures("held")
def test_threads_that_are_set_before_workers_start_are_none_of_theirs(tmp_path: Path) -> None:
    made = DataLoader(doctor_crowded.SetsThreadsBefore(tmp_path), num_workers=2)
    at = context(made, tmp_path, look=looked_at(made), ceiling={"cores": 2}, **PYTHON)
    assert too_many_threads(at.seen) is None and crowded(at) == []


FORKED = """
import torch
from torch.utils.data import DataLoader
from datasets_impl.doctor.probes.ceiling import _copying

class Smoothed:
    def __len__(self):
        return 8

    def __getitem__(self, index):
        return torch.nn.functional.conv2d(torch.ones(1, 3, 96, 96), torch.ones(3, 3, 9, 9))

torch.set_num_threads(1)
_copying(100_000, 0.2)
made = DataLoader(
    Smoothed(), num_workers=1, multiprocessing_context="fork", timeout=300,
    worker_init_fn=lambda _: torch.set_num_threads(4),
)
print(len(list(made)))
"""


def test_workers_of_many_threads_are_not_stopped_by_what_the_doctor_did() -> None:
    """Where the process that forks them had threads of OpenMP work for it, they would wait."""
    told = subprocess.run(
        [sys.executable, "-c", FORKED], capture_output=True, text=True, timeout=1200, check=False
    )
    assert told.stdout == "8\n", told.stderr


def test_a_process_that_is_bound_to_few_cores_is_named(tmp_path: Path) -> None:
    own = os.sched_getaffinity(0)
    made = DataLoader(doctor_crowded.Rows(tmp_path), num_workers=2)
    subject = subject_of("made", made)
    assert not machine(subject, 0.1)["bound"]
    if len(own) < 2:
        pytest.skip("there is one core")
    os.sched_setaffinity(0, {min(own)})
    try:
        facts = machine(subject, 0.1)
    finally:
        os.sched_setaffinity(0, own)
    assert facts["bound"]["own"] == 1
    seen = {"machine": facts, **WORKERS}
    found = bound_to_cores(seen)
    assert found is not None and "sched_setaffinity" in found.lines
    assert findings(seen)[0].name == found.name
    assert bound_to_cores({"machine": facts, "settings": {"num_workers": 0}}) is None


def test_workers_that_take_longer_to_start_than_their_epoch_come_first() -> None:
    seen = {
        "machine": {"cores": 2, "visible": 2}, "settings": {"num_workers": 40},
        "batches": {"starting": 2.0, "preparing": 0.1, "start_workers": 40},
        "look": {"length": 100, "cost": 1e-3}, "ceiling": {"cores": 2},
    }  # fmt: skip
    found = more_workers_than_cores(seen)
    assert found is not None and found.rank > 2 and "starts them for 1.9 s" in found.evidence
    for other in (
        {"settings": {"num_workers": 40, "persistent_workers": True}},
        {"look": {"length": 100_000, "cost": 1e-3}},
        {"causes": {"total": 1e-3, "causes": {"waiting": 1e-3}}},
    ):
        note = more_workers_than_cores(seen | other)
        assert note is not None and note.rank < 1, other


def test_where_none_is_best_no_smaller_number_of_workers_comes_first() -> None:
    def tried(name: str, us: float) -> dict[str, Any]:
        return {"name": name, "beside": [100.0] * 3, "blocks": [us] * 3}

    seen: dict[str, Any] = {
        "machine": {"cores": 2, "visible": 2},
        "settings": {"num_workers": 8},
        "batches": {"starting": 2.0, "preparing": 0.1, "start_workers": 8},
        "look": {"length": 100, "cost": 1e-5},
        "ceiling": {"cores": 2},
        "causes": {"total": 1e-5, "causes": {"reading": 1e-5}},
        "inside": {"batch_size": 4},
        "step_ms": 0.001,
        "tried": {"remedies": [tried("workers-0", 10.0), tried("workers-2", 50.0)]},
    }
    more, none = more_workers_than_cores(seen), workers_cost(seen)
    assert more is not None and none is not None and none.rank > more.rank > 1
    seen["step_ms"] = 1000.0  # hides what a batch takes, and not the start of eight workers
    more, none = more_workers_than_cores(seen), workers_cost(seen)
    assert more is not None and none is not None and more.rank > none.rank


@pytest.mark.usefixtures("forked_workers")
@pytest.mark.parametrize(("shards", "told"), [(2, 2), (4, 0)])
def test_workers_without_a_shard_are_named(shards: int, told: int) -> None:
    subject = subject_of("made", DataLoader(doctor_crowded.Shards(shards), num_workers=4))
    found = idle(subject, 30.0)
    assert found == {"workers": 4, "idle": told}
    named = idle_workers({"repeated": {"idle": found}})
    assert (named is not None) == bool(told)
    assert named is None or "Of 4 workers 2 gave samples" in named.evidence


@pytest.mark.usefixtures("forked_workers")
def test_what_the_doctor_has_opened_a_worker_opens_for_itself(tmp_path: Path) -> None:
    """Else workers share the position in the file, and read from each other's places."""
    made = DataLoader(doctor_crowded.Records(tmp_path), batch_size=1, num_workers=2)
    subject = subject_of("made", made)
    subject.answers["inside"] = {"handles": open_handles(subject)}
    looked = look(subject, 0.5)
    assert looked["seen"] and open_handles(subject) == ["dataset.file, an open file"]
    with opened(subject, Part(subject, [0]), 1, which_file) as loader:
        ((own, is_same),) = list(loader)
    assert not is_same and own != subject.dataset.file.fileno()
    before = subject.answers["inside"]["handles"] = open_handles(subject)
    with opened(subject, Part(subject, [0]), 1, which_file) as loader:
        ((_, is_same),) = list(loader)
    assert is_same, before  # what the user has opened is left as it is


def which_file(_: Any) -> tuple[int, bool]:
    dataset = get_worker_info().dataset  # type: ignore[union-attr]
    return dataset.file.fileno(), not loaders._left_open


def test_doubles_are_tried_as_floats(tmp_path: Path) -> None:
    made = doctor_crowded.Doubles(tmp_path)
    at = context(made, tmp_path, look=looked_at(made), **PYTHON)
    (remedy,) = narrowed(at)
    assert "float64" in remedy.mends and "astype(np.float32)" in remedy.lines
    assert remedy.dataset[3].dtype is torch.float32
    assert torch.allclose(remedy.dataset[3].double(), at.part[3])


def test_beside_other_programs_work_comes_before_what_workers_cost() -> None:
    """There is no core for workers to show what they give to it."""
    none = {"name": "workers-0", "beside": [900.0] * 3, "blocks": [300.0] * 3}
    busy = {
        "machine": {"foreign": 1.5}, "inside": {"batch_size": 64}, "tried": {"remedies": [none]},
        **WORKERS,
    }  # fmt: skip
    for cause, first in (("parsing XML", "parsing XML"), ("python", "workers-cost")):
        seen = busy | {"causes": {"total": COST / 2, "causes": {cause: COST / 2}}}
        assert findings(seen)[0].name == first
    alone = {"machine": {"foreign": 0.1}, "causes": seen["causes"]}
    assert findings(busy | alone)[0].name == "workers-cost"
