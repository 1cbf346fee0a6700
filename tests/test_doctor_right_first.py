"""Where samples are wrong, that is what is told, with its code; what takes time comes after it."""

from __future__ import annotations

import io
from typing import Any

import pytest
from rich.console import Console

from datasets_impl.doctor.process.heard import Heard
from datasets_impl.doctor.report.diagnosis import diagnose
from datasets_impl.doctor.report.model import Diagnosis
from datasets_impl.doctor.report.page import page
from datasets_impl.doctor.report.terminal import print_diagnosis
from datasets_impl.doctor.report.verdict import lower
from datasets_impl.doctor.report.wording import RIGHT_FIRST

LOOK = {"type": "Tiles", "length": 10, "kinds": [], "bytes": 8.0, "turn": 1e-8}
LINE = ["train.py", 41, "self.file = ..."]
WORKERS = {"settings": {"num_workers": 2}, "batch_size": 10}
WRONG: dict[str, tuple[dict[str, Any], str, str]] = {  # answers, remedy, a line of its code
    "paired": (
        {"integrity": {"pairs": ["dataset.a", "dataset.b", "0", "1", "2"]}},
        "Sort both lists", "self.masks = [masks",
    ),
    "stale-epoch": (
        {"integrity": {"stale": True}}, "Keep the epoch in memory", "self.epoch.fill_(epoch)",
    ),
    "same-in-workers": (
        {"repeated": {"distinct": 2, "workers_equal": True}}, "Draw from torch's", "default_rng(",
    ),
    "handles": (
        {"inside": WORKERS | {"handles": ["dataset.store, an HDF5 file"], "handle_lines": [LINE]}},
        "Open it in each worker", "self.store = h5py.File(self.path)",
    ),
    "handles of SQLite": (
        {"inside": WORKERS | {"handles": ["dataset.base, an SQLite connection"]}},
        "Open it in each worker", "self.base = sqlite3.connect(self.path)",
    ),
}  # fmt: skip


def remedy(name: str, title: str, gain: float, *mends: str) -> dict[str, Any]:
    own, blocks = [100.0, 101.0, 102.0], [100.0 / gain, 101.0 / gain, 102.1 / gain]
    return {
        "name": name, "title": title, "beside": own, "blocks": blocks,
        "workers": 0, "lines": f"code of {name}", "claim": "", "cost": "", "caution": "",
        "once_seconds": 0.0, "needs": {}, "mends": list(mends),
    }  # fmt: skip


STORED = remedy("stored", "Store the samples decoded", 19.7, "decoding")


def diagnosis(*remedies: dict[str, Any], **answers: Any) -> Diagnosis:
    causes = {"total": 1e-3, "causes": {"decoding": 9e-4}}
    tried = {"own": [1000.0], "samples": 10, "batch": 10, "remedies": list(remedies)}
    return diagnose("x", Heard({"look": LOOK, "causes": causes, "tried": tried} | answers))


def said(one: Diagnosis) -> str:
    console = Console(width=100, file=io.StringIO(), highlight=False)
    print_diagnosis(one, None, console)
    return console.file.getvalue()  # type: ignore[attr-defined,no-any-return]


@pytest.mark.parametrize("name", WRONG)
def test_what_is_wrong_is_told_before_any_time(name: str) -> None:
    answers, mended, code = WRONG[name]
    one = diagnosis(STORED, **answers)
    assert one.findings[0].kind == "wrong" and one.findings[0].name == name.partition(" ")[0]
    assert mended in one.verdict and "store the samples" not in one.verdict
    for told in (said(one), page(one)):
        assert told.index(code) < told.index("Where a sample")
        assert told.count(RIGHT_FIRST) == 1
        assert "✓" not in told and "code of stored" not in told
        assert "Measured to help" not in told and "Store the samples decoded" in told
    assert not any(each.recommended for each in one.remedies)


def test_of_right_samples_times_are_told() -> None:
    told = said(one := diagnosis(STORED))
    assert "Measured to help: store the samples decoded (19.7x)." in one.findings[0].remedy
    assert "✓" in told and "code of stored" in told and RIGHT_FIRST not in told


def test_the_code_of_what_was_found_is_shown() -> None:
    inside = {"unsorted": "os.listdir(root)"}
    told = said(diagnosis(inside=inside))
    assert "   self.paths = sorted(os.listdir(root))" in told.splitlines()


def test_what_helps_and_mends_another_cause_is_named_as_also() -> None:
    resized = remedy("resized", "Resize with OpenCV", 2.1, "resizing")
    (found,) = diagnosis(STORED, resized).findings
    assert found.remedy == (
        "Measured to help: store the samples decoded (19.7x). Also: resize with OpenCV (2.1x)."
    )
    (found,) = diagnosis(resized).findings
    assert found.remedy.startswith("To try: Decode once")
    assert found.remedy.endswith("Also measured to help: resize with OpenCV (2.1x).")


@pytest.mark.parametrize(
    ("title", "within"),
    [
        ("Store the samples decoded", "store the samples decoded"),
        ("Pictures, each of them", "pictures, each of them"),
        ("A file is open", "a file is open"),
        ("OpenCV with one thread", "OpenCV with one thread"),
        ("LMDB in place of files", "LMDB in place of files"),
        ("Group readings.patientId once", "group readings.patientId once"),
        ("readings.patientId grouped", "readings.patientId grouped"),
        ("4 workers", "4 workers"),
    ],
)
def test_names_keep_their_letters_within_a_sentence(title: str, within: str) -> None:
    assert lower(title) == within
    one = diagnosis(remedy("one", title, 3.0), causes={})
    assert one.verdict == f"Nothing is wrong; it can still be faster: {within}."


@pytest.mark.parametrize(("gain", "first"), [(5.8, "converting"), (1.2, "reading")])
def test_what_reads_number_by_number_is_the_conversion(gain: float, first: str) -> None:
    """As h5py does for `torch.tensor(dataset)`: an array of it is read at once."""
    causes = {"total": 1e-3, "causes": {"converting": 4.6e-4, "reading": 4.9e-4}}
    told = diagnosis(remedy("arrays-first", "Make one array", gain, "converting"), causes=causes)
    assert told.findings[0].name == first
