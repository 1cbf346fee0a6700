"""A finding shows the line that it comes from, however costly that is; and code that fits it."""

from __future__ import annotations

import io
import os
import pickle
import sys
import time
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from rich.console import Console
from torch.utils.data import DataLoader, Dataset
from torchvision.transforms import v2

from datasets_impl.doctor.findings.crowded import too_many_threads
from datasets_impl.doctor.findings.findings import findings
from datasets_impl.doctor.findings.mechanisms import many_tensors, workers_cost
from datasets_impl.doctor.findings.memory import grows, large_pickle, leaks, packed_lines
from datasets_impl.doctor.findings.starting import slow_to_make
from datasets_impl.doctor.probes import inside, items, pickling, profiling
from datasets_impl.doctor.probes.inside import look_inside
from datasets_impl.doctor.probes.making import made_again
from datasets_impl.doctor.probes.pickling import pickled
from datasets_impl.doctor.probes.profiling import causes
from datasets_impl.doctor.probes.starting import loader_lines
from datasets_impl.doctor.probes.target import Subject, subject_of
from datasets_impl.doctor.process.heard import Heard
from datasets_impl.doctor.report.diagnosis import diagnose
from datasets_impl.doctor.report.terminal import print_diagnosis

HERE = Path(__file__).name
PLACE = [f"{HERE}:7  DataLoader(rows)"]
MADE = {"loader_lines": [[__file__, 7, "DataLoader(rows)"]]}


def marked(what: str) -> str:
    """The place whose line ends with this comment."""
    text = Path(__file__).read_text().splitlines()
    (number,) = [at for at, one in enumerate(text, 1) if one.endswith(f"# {what}")]
    return f"{HERE}:{number}  "


class Rows(Dataset[Any]):
    def __init__(self, count: int = 64) -> None:
        self.records = [{"path": f"{one}.jpg", "label": one} for one in range(count)]  # the list
        self.data = np.zeros(count)  # the array

    def __len__(self) -> int:
        return len(self.records)

    def __getitem__(self, index: int) -> torch.Tensor:
        if index == 63:
            time.sleep(0.02)  # far slower
        return torch.full((8,), float(self.records[index]["label"]))


def collated(samples: list[torch.Tensor]) -> torch.Tensor:
    time.sleep(0.01 * len(samples))  # costly batch
    return torch.stack(samples)


def whole_batches(samples: list[torch.Tensor]) -> torch.Tensor:
    if len(samples) < 16:
        raise ValueError("whole batches only")
    time.sleep(0.02)
    return torch.stack(samples)


def train() -> DataLoader[Any]:
    return DataLoader(Rows(), batch_size=16, num_workers=2)  # train


def validate() -> DataLoader[Any]:
    return DataLoader(Rows(), batch_size=32)  # validate


@pytest.mark.slow
def test_the_costlier_a_collate_function_the_fewer_samples_show_its_line() -> None:
    """Sixteen samples take so long that those hooks would have no time for them."""
    subject = subject_of("x", DataLoader(Rows(32), batch_size=16, collate_fn=collated))
    given, original = list[int](), profiling.attribute

    def noting(get: Any, inputs: Any, rounds: int) -> Any:
        given.extend(map(len, inputs))
        return original(get, inputs, rounds)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(profiling, "attribute", noting)
        found = causes(subject, 1.0)
    assert given == [2]
    line = found["lines"][0]
    assert f"{HERE}:{line['line']}  " == marked("costly batch")
    assert line["causes"]["collating"] > 0


def test_one_that_takes_whole_batches_only_has_no_line_and_no_harm() -> None:
    some = [Rows()[0]] * 16
    assert profiling._of_collate(whole_batches, some, 1.0, until=0.0) == []


def test_the_list_that_workers_copy_is_shown_where_it_is_made(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(inside, "BIG", 50)
    found = look_inside(subject_of("x", Rows()), 1.0)
    growth = {"private": [90_000_000], "few": 10_000_000, "samples": 64, "of": 64}
    told = grows({"inside": found, "growth": growth})
    assert told is not None and told.places[0].startswith(marked("the list"))
    assert "for one in records]" in told.lines


@pytest.mark.parametrize(
    ("made", "kind"),
    [
        ([{"path": "a", "label": 1}, {"path": "b", "label": 2}], "list"),
        ([[1, "a"], [2]], "list"),
        ((("a", 1), ("b", 2)), "tuple"),
        (["a", "bé"], "list"),
        ([Path("a"), Path("b") / "c"], "list"),
        ([5, 7], "list"),
        ([b"a\0", b"b"], "list"),
        ({"b": {"label": 2}, "a": {"label": 1}}, "dict"),
        ({5, 7}, "set"),
    ],
)
def test_records_are_packed_by_code_that_fits_them(made: Any, kind: str) -> None:
    """It runs, and what is read of it is what was there."""
    first = next(iter(made.values() if kind == "dict" else made))
    lines = packed_lines("records", kind, type(first).__name__)
    names: dict[str, Any] = {
        "np": np, "os": os, "pickle": pickle, "Path": Path, "self": SimpleNamespace(),
    }  # fmt: skip
    exec(lines, names | {"records": made})
    again = " is one again"
    if again in lines and kind != "set":
        reading = next(one for one in lines.splitlines() if one.endswith(again))
        reading = reading[reading.index("# ") + 2 :].removesuffix(again).rpartition("; ")[2]
        read = [eval(reading, names | {"index": index}) for index in range(len(made))]
    else:
        read = list(names["self"].records)
    expected = [made[key] for key in sorted(made)] if kind == "dict" else list(made)
    assert read == (sorted(made) if kind == "set" else expected)


def test_what_is_large_in_a_pickle_is_named_with_its_line(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pickling, "LARGE", 1000)
    found = pickled(subject_of("x", Rows(1000)), 60.0)
    assert found["largest"][0] == "records"
    seen = {
        "pickled": found | {"bytes": 1 << 30},
        "inside": {"start_method": "spawn"}, "settings": {"num_workers": 2},
    }  # fmt: skip
    told = large_pickle(seen)
    assert told is not None and told.places[0].startswith(marked("the list"))
    assert "of it self.records, and" in told.evidence and "'records': None" in told.lines


def test_a_sample_that_is_far_slower_is_shown_with_its_line(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    rows = Rows()
    times = np.full(64, 1e-5)
    times[63] = 0.02
    (line,) = items._slow_lines(subject_of("x", rows), list(range(64)), times, 60.0)
    assert f"{HERE}:{line[1]}  " == marked("far slower")
    times[63] = 2e-5
    assert items._slow_lines(subject_of("x", rows), list(range(64)), times, 60.0) == []


class SlowlyMade(Rows):
    def __init__(self) -> None:
        super().__init__()
        time.sleep(0.7)  # takes long


def test_what_takes_long_to_be_made_is_shown_with_its_line() -> None:
    subject = Subject("x", Rows(), make=SlowlyMade, made_seconds=9.0)
    start = made_again(subject, 60.0)
    told = slow_to_make({"starting": start | {"again": 60.0}, "look": {"cost": 1e-6, "length": 64}})
    assert told is not None and told.places[0].startswith(marked("takes long"))


def test_what_grows_is_shown_where_something_is_put_into_it() -> None:
    seen = {
        "growth": {"private": [0, 50_000_000, 100_000_000]},
        "integrity": {"lines": {"caches": [[__file__, 9, "self.given.append(one)"]]}},
    }
    told = leaks(seen)
    assert told is not None and told.places == [f"{HERE}:9  self.given.append(one)"]


@pytest.mark.parametrize("name", ["train", "validate"])
def test_of_several_loaders_the_one_that_was_named_is_shown(name: str) -> None:
    subject = subject_of(f"{__name__}:{name}", getattr(sys.modules[__name__], name)())
    (line,) = loader_lines(subject)
    assert f"{HERE}:{line[1]}  " == marked(name)
    subject.name = f"{__name__}:elsewhere"
    assert loader_lines(subject) == [], "it could be either"
    assert loader_lines(subject_of("x", Rows())) == []


def cost(
    with_us: float, without_us: float, batch: int, step_ms: float | None = None
) -> dict[str, Any]:
    none = {"name": "workers-0", "beside": [with_us] * 3, "blocks": [without_us] * 3}
    return {
        "settings": {"num_workers": 4}, "inside": {"batch_size": batch}, "step_ms": step_ms,
        "tried": {"remedies": [none]}, "starting": MADE,
    }  # fmt: skip


TURN = {"look": {"turn": 5e-8}}


@pytest.mark.parametrize(
    ("seen", "is_note"),
    [
        (cost(60, 30, 32), True),  # as a store that is mapped
        (cost(600, 200, 32), False),
        (cost(60, 30, 32, step_ms=1.0), False),
        (cost(600, 200, 32, step_ms=100.0), True),
        (cost(30, 12, 64) | TURN, False),  # tensors in memory
        (cost(60, 30, 32) | TURN, True),
        (cost(30, 12, 64, step_ms=10.0) | TURN, True),
    ],
)
def test_workers_that_cost_less_than_a_step_are_worth_knowing(
    seen: dict[str, Any], is_note: bool
) -> None:
    told = workers_cost(seen)
    assert told is not None and (told.rank < 1) is is_note
    assert ("training step longer" in told.evidence) is is_note
    assert told.places == PLACE
    assert [one.name for one in findings(seen)][:1] == ["workers-cost"]


def test_beside_the_given_step_it_is_a_note() -> None:
    own = {"own": [60.0, 61.0], "samples": 64, "batch": 32, "remedies": []}
    answers = {"inside": {"settings": {"num_workers": 4}, "batch_size": 32}, "tried": own}
    none = {
        "name": "workers-0", "title": "0 workers", "beside": [60.0, 61.0], "blocks": [30.0, 30.1],
        "workers": 0, "lines": "", "claim": "", "cost": "", "caution": "", "once_seconds": 0.0,
        "needs": {}, "mends": ["workers-cost"],
    }  # fmt: skip
    own["remedies"] = [none]
    for step_ms, kind in ((None, "note"), (1.0, "mechanism"), (50.0, "note")):
        (found,) = diagnose("x", Heard(answers=dict(answers)), step_ms).findings
        assert found.kind == kind


class Hazards(Dataset[Any]):
    def __init__(self, folder: Path) -> None:
        self.names = os.listdir(folder)  # noqa: PTH208 # listing
        self.labels = [0] * 9  # the labels
        self.change = v2.RandomHorizontalFlip()  # the transform
        self.stored = [self.change(torch.zeros(1, 2, 2))] * 10

    def __len__(self) -> int:
        return len(self.stored)

    def __getitem__(self, index: int) -> torch.Tensor:
        return self.stored[index]


def test_hazards_are_shown_with_what_they_come_from(tmp_path: Path) -> None:
    seen = {
        "inside": look_inside(subject_of("x", Hazards(tmp_path)), 1.0),
        "repeated": {"reads": 80, "samples": 8, "distinct": 1},
        "look": {"random_called": True},
    }
    found = {one.name: one.places[0] for one in findings(seen) if one.places}
    assert found["lengths"].startswith(marked("the labels"))
    assert found["frozen"].startswith(marked("the transform"))
    assert found["unsorted"].startswith(marked("listing"))


def test_code_that_a_finding_has_shown_is_not_shown_again() -> None:
    none = {
        "name": "workers-0", "title": "0 workers", "beside": [900.0, 901.0, 902.0],
        "blocks": [30.0, 30.1, 30.2], "workers": 0, "lines": "DataLoader(..., num_workers=0)",
        "claim": "", "cost": "", "caution": "", "once_seconds": 0.0, "needs": {},
        "mends": ["workers-cost"],
    }  # fmt: skip
    own = {"own": [900.0, 901.0], "samples": 64, "batch": 32, "remedies": [none]}
    inside = {"settings": {"num_workers": 4}, "batch_size": 32}
    console = Console(width=100, file=io.StringIO())
    one = diagnose("x", Heard({"inside": inside, "tried": own}))
    print_diagnosis(one, None, console)
    told = console.file.getvalue()  # type: ignore[attr-defined]
    assert one.remedies[0].recommended and told.count("DataLoader(..., num_workers=0)") == 1


def test_settings_are_shown_where_the_loader_is_made() -> None:
    seen: dict[str, Any] = {
        "starting": MADE, "settings": {"num_workers": 8}, "ceiling": {"cores": 2},
        "inside": {"opencv_threads": 4, "batch_size": 2},
        "machine": {"cores": 2, "batch_tensors": 100}, "batches": {"hand_over": 1e-3},
        "causes": {"total": 1e-3, "causes": {"collating": 1e-3}},
    }  # fmt: skip
    names = {one.name: one.places for one in findings(seen)}
    assert names["threads"] == names["many-tensors"] == names["more-workers-than-cores"] == PLACE
    assert too_many_threads(seen) is not None and many_tensors(seen) is not None
