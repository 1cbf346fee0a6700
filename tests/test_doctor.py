"""The doctor names what ails a dataset, finds nothing wrong with the healthy, and survives."""

from __future__ import annotations

import inspect
import json
import linecache
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from torch.utils.data import Dataset, default_collate

from datasets_impl.doctor.__main__ import main, questions
from datasets_impl.doctor.findings.mechanisms import outlier
from datasets_impl.doctor.findings.memory import leaks
from datasets_impl.doctor.findings.time_causes import time_causes
from datasets_impl.doctor.probes.samples import leaves
from datasets_impl.doctor.process.examine import examine
from datasets_impl.doctor.process.heard import Heard
from datasets_impl.doctor.remedies.batched import Together
from datasets_impl.doctor.remedies.remedy import alike
from datasets_impl.doctor.report.diagnosis import Diagnosis, diagnose
from tests import doctor_gallery, doctor_hazards, doctor_healthy, doctor_strange
from tests.doctor_gallery import AILING
from tests.doctor_hazards import HAZARDS
from tests.doctor_healthy import HEALTHY
from tests.doctor_strange import STRANGE
from tests.folders import prints

HOMES = (doctor_gallery, doctor_hazards, doctor_healthy, doctor_strange)
GALLERY, _, _, STRANGERS = (str(Path(one.__file__)) for one in HOMES)
slow = pytest.mark.slow
pytestmark = pytest.mark.usefixtures("forked_workers")
WARD, NOT_PYTHON = "WARD", "not_python.py"
KINDS_OF_WORK = {
    "ParsesText": "parsing JSON",
    "SharedCache": "asking another process",
    "UnpacksWhole": "decompressing",
}
LINES = {  # the line that a hazard is shown with
    "opened_before": 'self.file = h5py.File(path, "r")',
    "spawned_lambda": "made.change = lambda row: row",
}
NO_LOADER = {"RaisesOnce": "broken-sample", "Ragged": "not-collated"}  # gets through their samples
OWN = {"log.txt"}  # which a dataset of the gallery writes itself
BUDGET = 11.0  # seconds
QUICK = ("batches", "growth", "tried")  # left out where the cause needs no loader to be seen
# What proves a growth ends its probe, so that a longer time for it costs a busy machine alone.
LONGER = {  # which probe gets how many seconds more: both start workers several times
    "workers_for_quick_rows": ("tried", 9.0),
    "ListOfDicts": ("growth", 5.0),
    "Leaking": ("growth", 5.0),
}
ADD_UP = ("Decode", "SlowTransform", "PythonLoop", "Sleeping", "collating")  # their parts do
BUT = {  # workers that are spawned import torch, seconds each
    "ListOfDicts": ("batches", "tried"),
    "Leaking": ("batches", "tried"),
    "workers_for_quick_rows": ("growth", "batches"),
    "mapped_spawn": QUICK,
    "VerySlow": (),
    "healthy_loader": (),
}


@pytest.fixture(scope="module")
def left(ward: Path) -> dict[str, str]:
    """Fingerprints of the user's files, as the last visit left them: each takes them once."""
    return prints(ward)


Visit = Callable[..., tuple[Diagnosis, Heard]]


@pytest.fixture
def seen(ward: Path, left: dict[str, str]) -> Visit:
    def seen(name: str, budget: float = BUDGET, *but: str) -> tuple[Diagnosis, Heard]:
        file = next(home.__file__ for home in HOMES if hasattr(home, name))
        probe, more = LONGER.get(name, ("", 0.0))
        asked = [replace(one, seconds=one.seconds + more * (one.probe == probe))
                 for one in questions(budget, but or BUT.get(name, QUICK))]  # fmt: skip
        heard = examine(f"{file}:{name}", {"folder": str(ward)}, asked)
        now = prints(ward)
        changed = [one for one, content in left.items() if now.get(one) != content]
        left.update(now)
        assert set(changed) <= OWN, "a file of the user's is another one"
        assert not heard.user_error, heard.user_error
        return diagnose(name, heard), heard

    return seen


def visited(*names: str) -> list[Any]:
    """The others of them take long together."""
    return [
        name if name in ("Decode", "SameNoise", "Healthy") else pytest.param(name, marks=slow)
        for name in names
    ]


@pytest.mark.parametrize("name", visited(*AILING, *HAZARDS))
def test_the_cause_is_named_first(name: str, seen: Visit) -> None:
    found, heard = seen(name)
    names = [one.name for one in found.findings]
    first = (AILING | HAZARDS)[name]
    assert names[:1] == [first], (names, found.parts, heard.failures, found.not_done)
    if name in ADD_UP:
        assert found.total_us is not None
        assert abs(found.unattributed_us) < 0.1 * found.total_us, found.parts
    if name in KINDS_OF_WORK:
        check_first_line(name, found)
    if name in LINES:
        place, _, code = found.findings[0].places[0].partition("  ")
        assert code.startswith(LINES[name]) and f"({place})" in found.verdict


def check_first_line(name: str, found: Diagnosis) -> None:
    """The line that is marked comes first, with its kind of work, and under the first finding."""
    source = inspect.getsource(getattr(doctor_gallery, name)).splitlines()
    (marked,) = (line.strip() for line in source if "# the costly line" in line)
    place, first = found.places[0], found.findings[0].places[0]
    assert (place.code, place.kind) == (marked, KINDS_OF_WORK[name]), found.places
    assert linecache.getline(place.file, place.line).strip() == marked
    assert place.at_most == pytest.approx(min(100.0, 1 / (1 - place.share)))
    assert first.startswith(f"doctor_gallery.py:{place.line}  {marked[:20]}"), first


@pytest.mark.parametrize("name", visited(*HEALTHY))
def test_nothing_is_wrong_with_the_healthy(
    name: str, seen: Visit, monkeypatch: pytest.MonkeyPatch
) -> None:
    # These items are cheap, but others on the machine may take more time from them than from the
    # loop that tells what cheap is.
    monkeypatch.setattr("datasets_impl.doctor.findings.finding.TURNS", 3000)
    found, _ = seen(name)
    assert [one.name for one in found.findings] == [], found.findings
    # A busy machine leaves less time to try what else could be quicker, and is told to be busy;
    # what writes as it is made, and takes long for that there, is not made a second time.
    busy = ("For lack of time", "For the time", "Other programs", "The dataset was made only once")
    assert not [said for said in found.not_done if not said.startswith(busy)]


@slow
def test_samples_that_only_workers_can_read_are_not_called_broken(seen: Visit) -> None:
    found, _ = seen("opened_in_workers")
    assert found.findings == []
    assert found.verdict.startswith("No sample could be read outside of workers: sample 0")
    assert any("worker_init_fn" in said for said in found.not_done)


@slow
@pytest.mark.parametrize("name", STRANGE)
def test_strange_ones_are_survived(name: str, seen: Visit) -> None:
    found, heard = seen(name)
    assert found.verdict and "" not in heard.failures
    assert heard.answers["look"]["type"] == name
    if name in NO_LOADER:
        assert [one.name for one in found.findings][:1] == [NO_LOADER[name]], found.findings
        assert found.total_us is not None, heard.failures


@slow
def test_a_hang_is_told_with_its_place(seen: Visit) -> None:
    found, heard = seen("Hangs")
    assert "took longer than" in heard.failures["look"]
    assert "doctor_strange.py" in heard.failures["look"]
    assert found.verdict.startswith("No sample could be looked at: while sample ")
    assert "inside" in heard.answers, "what does not read samples goes on"


@slow
def test_samples_too_slow_for_the_budget_are_no_sign_of_health(seen: Visit) -> None:
    found, heard = seen("VerySlow", 10.0, "items", "repeated", "ceiling", *QUICK)
    assert "causes" in heard.late
    assert found.verdict.startswith("A sample takes 1.5") and "--budget" in found.verdict


@slow
def test_workers_that_hang_are_told(seen: Visit) -> None:
    found, heard = seen("HangsInWorkers", 10.0, "growth", "repeated", "ceiling")
    assert {"look", "causes"} <= heard.answers.keys(), heard.failures
    assert (found.not_done and "tried" not in heard.answers) or not found.remedies


@slow
def test_a_dead_process_is_told(seen: Visit) -> None:
    _, heard = seen("Dies")
    assert "SIGKILL" in heard.failures["look"]


@slow
@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["/no/such/folder"], "is no folder"),
        ([""], "No target was named"),
        (["no_such_module:Thing"], "could not be imported"),
        (["no_such_file.py:Thing"], "no file"),
        ([f"{GALLERY}:Missing"], "no 'Missing'"),
        ([f"{doctor_healthy.__file__}:Healthy"], "--kwargs"),
        ([f"{doctor_healthy.__file__}:Healthy.__len__"], "is a method of a class"),
        ([f"{GALLERY}:COUNT"], "neither a dataset nor a DataLoader"),
        ([f"{STRANGERS}:Empty", "--kwargs", WARD], "holds no sample"),
        ([f"{STRANGERS}:BrokenLength", "--kwargs", WARD], "mend its __len__"),
        ([f"{STRANGERS}:NegativeLength", "--kwargs", WARD], "mend its __len__"),
        ([f"{STRANGERS}:CallsWrongly", "--kwargs", WARD], "doctor_strange.py:"),
        ([f"{STRANGERS}:generated", "--kwargs", WARD], "only once"),
        ([":Thing"], "must name both"),
        (["there.py:"], "must name both"),
        ([f"{NOT_PYTHON}:x"], f"{NOT_PYTHON}:1"),
        ([str(Path(__file__).parent), "--out", "/proc/none"], "/proc/none"),
        ([str(Path(__file__).parent), "--svg", "/"], "is a folder"),
        ([f"{STRANGERS}:NotMade", "--kwargs", '{"folder": "x"}'], "the index is missing"),
        (["x", "--kwargs", "{"], "give a JSON object"),
        (["x", "--kwargs", "[]"], "JSON object"),
        (["x", "--budget", "1"], "from 10 to"),
        (["x", "--step-ms", "-1"], "from 0.001 to"),
        (["x", "--step-ms", "nan"], "from 0.001 to"),
        (["x", "--budget", "nan"], "from 10 to"),
    ],
)
def test_bad_input_is_one_sentence(
    arguments: list[str],
    says: str,
    ward: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    Path(NOT_PYTHON).write_text("class:\n")
    arguments = [one.replace(WARD, json.dumps({"folder": str(ward)})) for one in arguments]
    assert main(arguments) == 2
    said = capsys.readouterr().err
    assert says in said and "Traceback" not in said


@slow
def test_an_empty_folder_is_bad_input(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([str(tmp_path)]) == 2
    assert "has no picture" in capsys.readouterr().err


def answers(**more: Any) -> Heard:
    return Heard({"look": {"type": "Photos", "length": 10, "kinds": [], "bytes": 1.0}, **more})


def test_only_what_was_measured_to_help_is_recommended() -> None:
    """The whole interval must be above the bar; a mean that is, is not enough."""
    own = [100.0, 101.0, 99.0, 100.0]
    remedy = {"title": "", "lines": "", "claim": "", "cost": "", "caution": "", "once_seconds": 0.0,
              "beside": own, "workers": 0, "whole": False}  # fmt: skip
    found = diagnose(
        "x",
        answers(
            tried={
                "own": own,
                "samples": 10,
                "remedies": [
                    remedy | {"name": "sure", "blocks": [50.0, 51.0, 49.0, 50.0]},
                    remedy | {"name": "unsure", "blocks": [20.0, 180.0, 30.0, 150.0]},
                ],
            }
        ),
    )
    by_name = {one.name: one for one in found.remedies}
    assert by_name["sure"].recommended and by_name["sure"].gain == pytest.approx(2.0, rel=0.01)
    assert by_name["unsure"].gain > 1.1 and not by_name["unsure"].recommended


def private(*megabytes: float) -> dict[str, Any]:
    memory = [int(1e6 * one) for one in megabytes]
    return {"growth": {"private": memory, "few": memory[0], "samples": 10}}


def test_memory_that_malloc_keeps_is_no_leak() -> None:
    """Seen on random crops of photographs: 6 MB an epoch, and less from epoch to epoch."""
    assert leaks(private(60, 66, 72, 78)) is None
    assert leaks(private(60, 100, 117, 134)) is None
    assert leaks(private(60, 90, 121, 152)) is not None


def items_of(slow: int, times: float) -> dict[str, Any]:
    """Of a hundred samples of 1 ms so many that take longer."""
    taken = [1e-3 * times] * slow + [1e-3] * (100 - slow)
    return {"items": {"first": taken, "second": taken, "indices": list(range(100))},
            "settings": {"num_workers": 2}}  # fmt: skip


@pytest.mark.parametrize(("slow", "times"), [(1, 30.0), (5, 20.0), (8, 15.0)])
def test_a_few_slow_samples_are_named_whether_one_or_some(slow: int, times: float) -> None:
    found = outlier(items_of(slow, times))
    assert found is not None and f"the slowest {slow} % take" in found.evidence
    assert "in_order=False" in found.lines


@pytest.mark.parametrize(("slow", "times"), [(5, 4.0), (40, 20.0), (2, 12.0), (1, 9.0)])
def test_what_is_a_little_slower_or_no_exception_is_none_of_a_few(slow: int, times: float) -> None:
    assert outlier(items_of(slow, times)) is None


@pytest.mark.parametrize(
    ("batch", "told"), [(32, []), (None, ["python"]), (512, ["python"]), (64, ["python"])]
)
def test_a_batch_that_no_step_waits_for_long_is_no_problem(batch: Any, told: list[str]) -> None:
    """As of a row of a mapped file, which takes little more than what is cheap by itself."""
    seen = {"look": {"turn": 6e-8}, "causes": {"total": 9e-5, "causes": {"python": 6e-5}},
            "inside": {"batch_size": batch}}  # fmt: skip
    assert [one.name for one in time_causes(seen)] == told


def test_of_many_small_causes_the_largest_is_named() -> None:
    parts = {"transforming": 27e-5, "decoding": 23e-5, "collating": 18e-5, "resizing": 17e-5}
    seen = {"causes": {"total": 1e-3, "causes": parts}}
    assert [one.name for one in time_causes(seen)] == ["transforming"]


@pytest.mark.parametrize(
    ("copying", "told"), [(160.0, []), (40.0, ["collating", "converting"]), (110.0, ["collating"])]
)
def test_a_copy_that_is_as_quick_as_one_can_be_is_no_cause(copying: float, told: list[str]) -> None:
    """As of large rows of a mapped file, which are copied out of it and into a batch."""
    seen = {"causes": {"total": 18e-5, "collating": 22e-5, "causes": {"converting": 16e-5}},
            "ceiling": {"copying": copying, "limit": copying}}  # fmt: skip
    assert sorted(one.name for one in time_causes(seen)) == told


def test_a_batch_is_fetched_in_the_structure_of_its_samples() -> None:
    images = torch.arange(12, dtype=torch.uint8).reshape(3, 4)
    for wrap in (lambda x: x, lambda x: (x,), lambda x: {"image": x.numpy()}):
        samples = [wrap(image) for image in images]
        made = Together(samples).__getitems__([2, 0])  # type: ignore[arg-type]
        expected = default_collate([samples[2], samples[0]])
        assert type(made) is type(expected)
        assert torch.equal(next(leaves(made)).value, next(leaves(expected)).value)


@pytest.mark.parametrize(("workers", "waits"), [(0, 0.5), (2, 0.0)])
def test_without_workers_loading_and_stepping_take_turns(workers: int, waits: float) -> None:
    heard = answers(
        tried={"own": [1000.0], "samples": 10, "remedies": []},
        inside={"settings": {"num_workers": workers}, "batch_size": 10},
    )
    step = diagnose("x", heard, step_ms=10.0).step
    assert step is not None and step.waits == pytest.approx(waits)
    assert step.fine is (workers > 0)


def test_break_even_counts_what_is_paid_once() -> None:
    remedy = {"name": "stored", "title": "", "lines": "", "claim": "", "cost": "", "caution": "",
              "once_seconds": 0.002, "beside": [200.0, 210.0], "blocks": [100.0, 110.0],
              "workers": 0, "whole": False}  # fmt: skip
    found = diagnose("x", answers(tried={"own": [200.0], "samples": 5, "remedies": [remedy]}))
    assert found.remedies[0].break_even_epochs == pytest.approx(2.0)


class Whole(Dataset[Any]):
    def __getitem__(self, index: int) -> torch.Tensor:
        return torch.arange(64).reshape(8, 8)


class Shifted(Dataset[Any]):
    """Another part of the picture, as a crop of a smaller one is."""

    def __getitem__(self, index: int) -> torch.Tensor:
        return torch.arange(64).reshape(8, 8).flip(0)


def test_a_remedy_that_gives_other_pixels_is_not_offered() -> None:
    at = SimpleNamespace(same_each_time=True, samples=[Whole()[0]], part=Whole(), cost=1e-4)
    assert alike(at, Whole())  # type: ignore[arg-type]
    assert not alike(at, Shifted())  # type: ignore[arg-type]
