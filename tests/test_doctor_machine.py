"""What the machine beneath does not give is said, and only where the loader asks for it."""

from __future__ import annotations

import os
from collections import namedtuple
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import psutil
import pytest
import torch
from rich.console import Console
from rich.filesize import decimal
from torch.utils.data import DataLoader, Dataset, IterableDataset

from datasets_impl.doctor.findings.findings import findings
from datasets_impl.doctor.probes import machine as probe
from datasets_impl.doctor.probes.growth import growth
from datasets_impl.doctor.probes.machine import machine, mounted
from datasets_impl.doctor.probes.target import Subject, subject_of
from datasets_impl.doctor.process.heard import Heard
from datasets_impl.doctor.report.diagnosis import diagnose
from datasets_impl.doctor.report.page import page
from datasets_impl.doctor.report.surroundings import surroundings
from datasets_impl.doctor.report.terminal import enough, print_diagnosis

GB = 1 << 30
FINE: dict[str, Any] = {
    "cores": 8, "visible": 8, "quota": None, "descriptors": 1024, "by_descriptor": True,
    "ahead": 2, "batch_bytes": 1 << 20, "batch_tensors": 2, "pinned": False, "foreign": 0.0,
    "swapped_in": 0.0,
    "room": {"memory": 8 * GB, "shared memory": 4 * GB, "disk": 9 * GB}, "data": [],
    "spins": [], "quick_disks": [["/fast", 9 * GB]], "bound": {}, "batch_arrays": 0,
    "batch_values": 0, "batch_padding": [],
}  # fmt: skip
READING = {"causes": {"reading": 0.008, "decoding": 0.002}, "total": 0.01}


def found(workers: int = 4, growth: int = 0, causes: Any = None, **facts: Any) -> list[str]:
    seen = {
        "machine": FINE | facts,
        "settings": {"num_workers": workers},
        "growth": {"few": growth},
        "causes": causes or {},
    }
    return [one.name for one in findings(seen)]


def test_nothing_is_said_of_a_machine_that_is_large_enough() -> None:
    assert found() == found(workers=0, batch_bytes=64 * GB) == []
    assert found(workers=16) == []


@pytest.mark.parametrize(
    ("name", "given"),
    [
        ("shared-memory", {"batch_bytes": GB}),
        ("descriptors", {"batch_tensors": 400}),
        ("memory", {"growth": 3 * GB}),
        ("more-workers-than-cores", {"cores": 1, "visible": 64, "quota": 1.0}),
        ("swaps", {"swapped_in": 64 << 20}),
        ("slow-disk", {"spins": ["/data/a"], "causes": READING}),
        ("far-away", {"data": [["/data/a", "/data", "nfs4"]], "causes": READING}),
        ("far-away", {"data": [["/b/a", "/b", "fuse.s3fs"]], "causes": READING}),
        ("far-away", {"data": [["/app/a", "/", "overlay"]], "causes": READING}),
    ],
)
def test_each_limit_is_named(name: str, given: dict[str, Any]) -> None:
    assert name in found(**given)


def test_page_locked_batches_take_the_next_power_of_two() -> None:
    """Nine batches of 0.9 GB fit into 8.6 GB as they are, and not as PyTorch locks them."""
    size = 900_000_000
    assert "memory" not in found(batch_bytes=size)
    seen = {"machine": FINE | {"batch_bytes": size, "pinned": True}, "settings": {"num_workers": 4}}
    (one,) = [one for one in findings(seen) if one.name == "memory"]
    assert f"have {decimal(9 * GB)} of batches ready, in page-locked memory" in one.evidence
    assert "pin_memory" in one.remedy


def of_machine(workers: int, growth: dict[str, Any], **facts: Any) -> str:
    one = diagnose("x", Heard({
        "machine": FINE | {"cores": 2, "visible": 64, "quota": 1.5} | facts,
        "inside": {"settings": {"num_workers": workers}}, "growth": growth,
    }))  # fmt: skip
    assert one.machine is not None and not one.not_done
    console = Console(width=300, record=True)
    print_diagnosis(one, None, console)
    said = surroundings(one.machine)
    assert said in console.export_text() and said in page(one)
    return said


def test_what_may_be_used_is_said_where_nothing_is_exceeded() -> None:
    """Cores of those that are visible, and memory against what is free; none is made up."""
    cores = "2 of 64 cores may be used, by a quota of 1.5"
    assert of_machine(0, {}) == f"{cores}."
    of_free = f"of {decimal(8 * GB)} of memory that are free"
    assert of_machine(2, {"few": GB}) == (
        f"{cores}; 2 workers and their batches take about {decimal(2 * GB + (5 << 20))}, {of_free}."
    )
    assert of_machine(2, {}) == (  # a stream that could not be read in its time
        f"{cores}; 2 workers have up to {decimal(5 << 20)} of batches ready, {of_free}; what each "
        "has for itself was not measured."
    )
    whole = of_machine(0, {}, cores=64, visible=64, quota=None)
    assert whole == "64 of 64 cores may be used."
    assert diagnose("x", Heard({})).machine is None


class Buffered(IterableDataset[torch.Tensor]):
    def __iter__(self) -> Iterator[torch.Tensor]:
        buffer = torch.ones(1 << 24)  # 64 MiB, in each worker
        yield from buffer[:100]


def test_what_workers_of_a_stream_have_is_measured() -> None:
    subject = subject_of("x", DataLoader(Buffered(), batch_size=4, num_workers=2))
    assert growth(subject, 5.0)["few"] >= 64 << 20
    with_findings = {"growth": growth(subject, 5.0), "settings": {"num_workers": 2}}
    assert not findings(with_findings)
    too_slow = replace(subject, answers={"look": {"first": 4.0}})
    alone = subject_of("x", DataLoader(Buffered(), batch_size=4))
    assert growth(too_slow, 5.0) == growth(alone, 5.0) == {}


@pytest.mark.parametrize(
    "given",
    [
        {"batch_tensors": 400, "by_descriptor": False},
        {"batch_tensors": 400, "workers": 0},
        {"data": [["/data/a", "/data", "nfs4"]]},  # decoded, or in the page cache
        {"data": [["/data/a", "/data", "ext4"]], "causes": READING},
        {"spins": ["/data/a"]},
        {"spins": ["/data/a"], "quick_disks": [], "causes": READING},
    ],
)
def test_what_does_no_harm_is_not_named(given: dict[str, Any]) -> None:
    names = found(**given)
    assert not {"descriptors", "far-away", "slow-disk"} & set(names)


def test_a_quota_is_told_from_cores_that_are_not_there() -> None:
    seen = {"machine": FINE | {"cores": 2, "visible": 64, "quota": 1.5},
            "settings": {"num_workers": 8}}  # fmt: skip
    (one,) = findings(seen)
    assert one.evidence == "8 workers, and 2 cores this container may use of 64."


class Files(Dataset[Any]):
    def __init__(self, root: Path) -> None:
        self.root = str(root)
        self.samples = [(str(root / "a"), 0), (str(root / "missing"), 1)]
        self.word = "not a path"

    def __len__(self) -> int:
        return 64

    def __getitem__(self, index: int) -> dict[str, torch.Tensor]:
        return {"a": torch.zeros(10), "b": torch.tensor(index)}


@pytest.fixture
def subject(tmp_path: Path) -> Subject:
    (tmp_path / "a").touch()
    made = subject_of("x", DataLoader(Files(tmp_path), batch_size=8, prefetch_factor=None))
    made.nbytes = 48
    return made


def test_facts_of_this_machine(subject: Subject) -> None:
    facts = machine(subject, 0.3)
    assert facts.keys() == FINE.keys()
    assert facts["batch_tensors"] == 2
    assert facts["batch_bytes"] == 8 * 48
    assert 1 <= facts["cores"] <= facts["visible"] == os.cpu_count()


def test_tensors_of_batches_that_are_not_stacked_are_counted(subject: Subject) -> None:
    assert subject.loader is not None
    subject.loader.collate_fn = list
    assert machine(subject, 0.3)["batch_tensors"] == 16


def test_the_innermost_mount_counts(monkeypatch: pytest.MonkeyPatch) -> None:
    Partition = namedtuple("Partition", ["mountpoint", "fstype"])
    table = [Partition("/", "ext4"), Partition("/data", "nfs4"), Partition("/dat", "xfs")]
    monkeypatch.setattr(psutil, "disk_partitions", lambda all: table)
    assert mounted(Path("/data/photos")) == ["/data", "nfs4"]
    assert mounted(Path("/database")) == ["/", "ext4"]
    monkeypatch.setattr(psutil, "disk_partitions", lambda all: [])
    assert mounted(Path("/data")) == []


def test_other_programs_are_told_beside_the_findings() -> None:
    one = diagnose("x", Heard({"machine": FINE | {"foreign": 1.4}}))
    assert "Other programs used 1.4 cores meanwhile, so times are too long." in one.not_done
    assert not one.findings


def remedy(workers: int, gain: float) -> dict[str, Any]:
    own = [1000.0, 1001.0, 1002.0]
    return {
        "name": f"workers-{workers}", "title": f"{workers} workers", "beside": own,
        "blocks": [one / gain for one in own], "workers": workers, "lines": "", "claim": "",
        "cost": "", "caution": "", "once_seconds": 0.0, "needs": {},
    }  # fmt: skip


@pytest.mark.parametrize(("step_ms", "workers"), [(50.0, 1), (25.0, 2), (10.0, None), (1000.0, 0)])
def test_the_smallest_number_of_workers_that_feeds_the_step(
    step_ms: float, workers: int | None
) -> None:
    """A batch takes 32 ms here; 1, 2 and 4 workers make it 1, 1.9 and 2 times as fast."""
    tried = {
        "own": [1000.0], "samples": 64, "batch": 32,
        "remedies": [remedy(1, 1.0), remedy(2, 1.9), remedy(4, 2.0)],
    }  # fmt: skip
    heard = Heard({"tried": tried, "inside": {"batch_size": 32, "settings": {}}, "look": {}})
    step = diagnose("x", heard, step_ms).step
    assert step is not None
    assert step.enough_workers == workers
    assert str(workers if workers else "none" if workers == 0 else "No number") in enough(step)


@pytest.mark.parametrize(
    ("gains", "step_ms", "workers"),
    [
        ({16: 4.0, 32: 4.0, 0: 0.25, 1: 0.25}, 60.0, 7),
        ({16: 2.0, 32: 2.0}, 60.0, 11),  # twelve more gave as much as four
        ({16: 4.0}, 200.0, 2),
        ({16: 4.0}, 100.0, 4),
        ({1: 0.25}, 60.0, 7),  # more were not tried: as far as there are cores
        ({1: 0.25}, 20.0, None),
    ],
)
def test_numbers_of_workers_between_those_that_were_tried_are_estimated(
    gains: dict[int, float], step_ms: float, workers: int | None
) -> None:
    """A batch takes 100 ms with 4 workers here, on 16 cores."""
    tried = {
        "own": [1000.0], "samples": 100, "batch": 100,
        "remedies": [remedy(count, gain) for count, gain in gains.items()],
    }  # fmt: skip
    settings = {"batch_size": 100, "settings": {"num_workers": 4}}
    heard = Heard({"tried": tried, "inside": settings, "look": {}, "machine": {"cores": 16}})
    step = diagnose("x", heard, step_ms).step
    assert step is not None and step.enough_workers == workers
    assert step.tried_workers == sorted([4, *gains])
    estimated = workers is not None and workers not in step.tried_workers
    assert ("an estimate" in enough(step)) is estimated


@pytest.mark.parametrize("step_ms", [None, 5.0, 500.0])
def test_what_takes_time_is_no_finding_beside_a_step_that_is_fed(
    step_ms: float | None, capsys: pytest.CaptureFixture[str]
) -> None:
    """A batch of ten takes 10 ms. What is wrong with samples stays a finding."""
    settings = {"settings": {"num_workers": 2}, "batch_size": 10}
    heard = Heard({
        "look": {"turn": 1e-8, "type": "Tiles"},
        "causes": {"total": 1e-3, "causes": {"transforming": 6e-4, "reading": 4e-4}},
        "inside": settings | {"unsorted": "os.listdir(root)"},
        "tried": {"own": [1000.0], "samples": 64, "batch": 10, "remedies": []},
    })  # fmt: skip
    made = diagnose("x", heard, step_ms=step_ms)
    fed = step_ms == 500.0
    kinds = [one.kind for one in made.findings]
    assert kinds == (["note"] * 3 if fed else ["time", "time", "note"])
    assert made.verdict.startswith("Your loader is fine") is fed
    print_diagnosis(made, None, Console(width=100))
    said = capsys.readouterr().out
    assert ("1. The transform takes the time" in said) is not fed
    assert ("- The transform takes the time" in said) is fed
    html = page(made)
    assert html.index("The order depends") > html.index("Worth knowing")
    assert (html.index("<h3>The transform") > html.index("Worth knowing")) is fed

    heard.answers["inside"]["empty_batch"] = 3
    made = diagnose("x", heard, step_ms=step_ms)
    assert made.findings[0].kind == "wrong" and "A batch is empty" in made.verdict


def test_the_probe_sleeps_no_longer_than_it_may(
    subject: Subject, monkeypatch: pytest.MonkeyPatch
) -> None:
    naps: list[float] = []
    monkeypatch.setattr(probe.clock, "sleep", naps.append)
    machine(subject, 0.25)
    assert len(naps) == 1 and 0 <= naps[0] <= 0.25
