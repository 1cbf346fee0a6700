"""What cannot fit is never recommended, and no probe takes more than there is room for."""

from __future__ import annotations

from collections import namedtuple
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch.utils.data import DataLoader, Dataset

from datasets_impl.doctor.findings.findings import findings
from datasets_impl.doctor.findings.time_causes import time_causes
from datasets_impl.doctor.probes import loaders, room
from datasets_impl.doctor.probes.integrity import integrity
from datasets_impl.doctor.probes.loaders import Part
from datasets_impl.doctor.probes.part import part_of
from datasets_impl.doctor.probes.room import DISK, MEMORY, SHARED, lacking, priced
from datasets_impl.doctor.probes.target import Subject, subject_of
from datasets_impl.doctor.process.heard import Heard
from datasets_impl.doctor.remedies import trials
from datasets_impl.doctor.remedies.remedies import kept_workers
from datasets_impl.doctor.remedies.remedy import Context
from datasets_impl.doctor.remedies.trials import tried
from datasets_impl.doctor.report.diagnosis import diagnose
from datasets_impl.system import hierarchy

THERE = {MEMORY: 23_000_000_000, SHARED: 12_000_000_000, DISK: 80_000_000_000}
BYTES = 200_000
BRIEF, UNHURRIED = 2.0, 600.0  # seconds: a trial of few samples, that has time for all remedies


class Many(Dataset[Any]):
    """20 million samples of 200 kB each."""

    def __init__(self, count: int = 20_000_000) -> None:
        self.count = count

    def __len__(self) -> int:
        return self.count

    def __getitem__(self, index: int) -> torch.Tensor:
        made = torch.empty(BYTES, dtype=torch.uint8)
        for _ in range(8):  # dear enough to be kept
            made.fill_(index % 251)
        return made


class Transformed(Many):
    def __init__(self) -> None:
        super().__init__()
        self.transform: Any = self.noisy

    def noisy(self, row: torch.Tensor) -> torch.Tensor:
        return row + torch.randint(0, 2, row.shape, dtype=torch.uint8)

    def __getitem__(self, index: int) -> torch.Tensor:
        row = super().__getitem__(index)
        return self.transform(row) if self.transform else row


@pytest.fixture
def there(monkeypatch: pytest.MonkeyPatch) -> None:
    """Room for some; and what there is room for is taken to help, without a trial."""
    for module in (trials, room):
        monkeypatch.setattr(module, "room", lambda *_: dict(THERE))

    def rounds(subject: Any, arms: list[Any], *_: Any) -> dict[str, list[float]]:
        names = [name for arm in arms[1:] for name in (arm.name, f"beside-{arm.name}")]
        return {trials.OWN: [100.0] * 2} | {name: [1.0] * 2 for name in names}

    monkeypatch.setattr(trials, "_rounds", rounds)


@pytest.mark.usefixtures("there")
@pytest.mark.parametrize("kind", [Many, Transformed])
def test_what_cannot_fit_is_left_out_with_a_sentence(kind: type[Many]) -> None:
    found = tried(Subject("many", kind(), cost=1e-3, nbytes=BYTES), BRIEF, most=UNHURRIED)
    names = {one["name"] for one in found["remedies"]}
    assert names and not names & {"stored", "cached", "kept-before-transform"}
    said = [one for one in found["inapplicable"] if "4.0 TB" in one]
    assert said and all("room for" in one for one in said), found["inapplicable"]


@pytest.mark.usefixtures("there")
def test_of_a_few_samples_the_whole_cost_stands_beside_what_is_free() -> None:
    found = tried(Subject("few", Many(200), cost=1e-3, nbytes=BYTES), BRIEF, most=UNHURRIED)
    made = diagnose("few", Heard({"look": {"type": "Many", "length": 200}, "tried": found}))
    by_name = {one.name: one for one in made.remedies}
    assert "40.0 MB of disk (80.0 GB free)" in by_name["stored"].cost
    assert by_name["cached"].needs == {SHARED: 40_000_000}


def remedy(**more: Any) -> dict[str, Any]:
    return {"name": "x", "title": "Fill the machine", "lines": "", "claim": "", "cost": "",
            "caution": "", "once_seconds": 0.0, "beside": [100.0, 101.0, 99.0],
            "blocks": [1.0, 1.1, 0.9], "workers": 0, "whole": False} | more  # fmt: skip


@given(
    st.dictionaries(st.sampled_from([MEMORY, SHARED, DISK]), st.integers(0, 10**14)),
    st.fixed_dictionaries({place: st.integers(0, 10**13) for place in (MEMORY, SHARED, DISK)}),
)
def test_what_does_not_fit_is_in_no_diagnosis(needs: dict[str, int], free: dict[str, int]) -> None:
    answer = {"own": [100.0], "samples": 9, "room": free, "remedies": [remedy(needs=needs)]}
    found = diagnose("x", Heard({"look": {"type": "D", "length": 9}, "tried": answer}))
    fits = all(need <= 0.9 * free[place] for place, need in needs.items())
    assert bool(found.remedies) is fits
    assert fits or ("fill the machine" not in found.verdict and found.not_done)
    assert bool(lacking("It", needs, free)) is not fits
    assert bool(priced(needs, free)) is bool(needs)


def test_workers_that_there_is_no_memory_for_are_left_out() -> None:
    answers = {
        "look": {"type": "D", "length": 9},
        "growth": {"few": 9_000_000_000},
        "tried": {"own": [100.0], "samples": 9, "room": THERE,
                  "remedies": [remedy(name="workers-4", title="4 workers", workers=4)]},
    }  # fmt: skip
    found = diagnose("x", Heard(answers))
    assert not found.remedies
    assert any("36.0 GB of memory" in said for said in found.not_done)


Usage = namedtuple("Usage", "total used free")


def test_shared_memory_of_a_container_is_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(room.shutil, "disk_usage", lambda path: Usage(1, 1, 64_000_000))
    monkeypatch.setattr(room, "memory_left", lambda: 10_000_000)
    assert room.room()[MEMORY] == room.room()[SHARED] == 10_000_000
    assert room.at_once() < 10_000_000


@pytest.mark.parametrize(
    ("version", "kind", "files"),
    [
        (1, "cgroup", ("memory.limit_in_bytes", "memory.usage_in_bytes", "total_inactive_file")),
        (2, "cgroup2", ("memory.max", "memory.current", "inactive_file")),
    ],
)
def test_a_containers_limit_is_read(
    version: int, kind: str, files: tuple[str, str, str], tmp_path: Path
) -> None:
    group = tmp_path / "sys" / "box" / "inner"
    group.mkdir(parents=True)
    (tmp_path / "self").mkdir()
    name = "memory" if version == 1 else ""
    (tmp_path / "self/mountinfo").write_text(
        f"30 20 0:26 / {tmp_path}/sys rw - {kind} cgroup rw,memory\n"
    )
    (tmp_path / "self/cgroup").write_text(f"{2 - version}:{name}:/box/inner\n")
    limit, used, unused = files
    (group / limit).write_text("max" if version == 2 else str(2**63 - 4096))
    (group.parent / limit).write_text("1000")
    for folder in (group, group.parent):
        (folder / used).write_text("700")
        (folder / "memory.stat").write_text(f"cache 5\n{unused} 200\n")
    assert hierarchy.memory_left(tmp_path) == 500
    (group.parent / limit).unlink()
    assert (hierarchy.memory_left(tmp_path) or 2**60) > 2**50


@pytest.mark.parametrize(("nbytes", "most"), [(2e9, 1), (20_000_000.0, 12)])
def test_no_probe_holds_more_than_there_is_room_for(
    nbytes: float, most: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(loaders, "at_once", lambda: 250_000_000)
    subject = subject_of("large", DataLoader(Many(5000), batch_size=64))
    subject.nbytes, subject.cost = nbytes, 1e-6
    assert loaders.trial_batch_of(subject) == min(most, max(1, most // 2))
    assert len(part_of(subject, 0.05)) <= most


class Cached(Dataset[Any]):
    """Keeps what it has read: 10 MB of all samples."""

    def __init__(self) -> None:
        self.kept = dict[int, torch.Tensor]()

    def __len__(self) -> int:
        return 40

    def __getitem__(self, index: int) -> torch.Tensor:
        if index not in self.kept:
            self.kept[index] = torch.full((250_000,), index, dtype=torch.uint8)
        return self.kept[index]


@pytest.mark.parametrize(("free", "fits"), [(23_000_000, False), (50_000_000, True)])
def test_a_cache_in_each_worker_is_advised_where_memory_has_room_for_all(
    free: int, fits: bool
) -> None:
    """One has room in either; four have it in the second."""
    subject = subject_of("x", DataLoader(Cached(), batch_size=4, num_workers=4))
    there, four = {MEMORY: free}, {MEMORY: 40_000_000}
    subject.answers = {
        "look": {"bytes": BYTES * 5 / 4, "length": 40, "cost": 1e-4},
        "integrity": integrity(subject, 60.0),
        "machine": {"room": there},
        "repeats": {"calls": [], "queries": []},
    }
    seen = subject.answers | {"settings": subject.settings}
    found = {one.name: one for one in findings(seen)}
    assert "lost-cache" in found and "endless-cache" not in found
    assert ("persistent_workers" in found["lost-cache"].lines) is fits
    assert ("needs 40.0 MB of memory" in found["lost-cache"].remedy) is not fits
    sample = subject.dataset[0]
    at = Context(subject, Part(subject, range(4), 40), [sample], True, "", None, 1e-4, None, there)
    (kept,) = (one for one in kept_workers(at) if one.name == "persistent")
    assert kept.needs == four and bool(lacking(kept.title, four, there)) is not fits
    del subject.answers["integrity"]
    assert not any(MEMORY in one.needs for one in kept_workers(replace(at)))


@pytest.mark.parametrize(
    ("free", "length", "said"),
    [
        (10**9, 10**6, "An epoch reads 100.0 GB, more than the 1.0 GB of memory"),
        (10**12, 10**6, "Keep files in the page cache"),
        (10**9, None, "Keep files in the page cache"),
    ],
)
def test_files_are_to_stay_in_memory_only_where_they_have_room(
    free: int, length: int | None, said: str
) -> None:
    seen = {
        "causes": {"total": 1e-2, "causes": {"reading": 9e-3}},
        "items": {"bytes_asked": 1e5},
        "look": {"length": length},
        "machine": {"room": {MEMORY: free}},
    }
    (found,) = time_causes(seen)
    assert found.name == "reading" and found.remedy.startswith(said)
