"""What an environment of another Python lacks, and why, is in a run's provenance and its log."""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from asv_runner.benchmarks.mark import SkipNotImplemented

from benchmarks.common import _Benchmark
from datasets_impl.errors import MissingPackage, Unsupported
from datasets_impl.observe.log import LOG_VARIABLE
from datasets_impl.system import left_out
from scripts import install
from scripts.session import provenance, state

NO_WHEEL = "No matching distribution found for opencv-python-headless==5.0.0.93"
NO_CODEC = "its pinned release is not built for torch 2.9.1"
WANTED = ["torch==2.14.1", "opencv-python-headless==5.0.0.93", "numpy==2.4.6", "nothere==1"]


@pytest.fixture
def asked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[list[str]]:
    """An environment in which some could not be had; what pip was asked for."""
    found: list[list[str]] = []

    def pip(wanted: Sequence[str], what: str = "") -> str:
        found.append(list(wanted))
        bad = [one for one in wanted if one.startswith(("opencv", "nothere"))]
        return NO_WHEEL.replace(WANTED[1], bad[0]) if bad else ""

    monkeypatch.setattr(sys, "prefix", str(tmp_path))
    monkeypatch.setattr(install, "pip", pip)
    absent = lambda name: name in ("opencv-python-headless", "torchcodec", "nothere")  # noqa: E731
    monkeypatch.setattr(left_out, "_absent", absent)
    assert install._beside(WANTED, "2.9.1") == ""
    return found


def test_nothing_is_compiled_to_get_what_has_no_wheel(asked: list[list[str]]) -> None:
    assert len(asked) == 1 + len(WANTED)
    assert all(words[:2] == ["--only-binary", ":all:"] for words in asked), asked


@pytest.mark.usefixtures("asked")
def test_what_was_left_out_and_why_is_in_the_provenance(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "corpora.json").write_text("[]")
    key = {"profile": "quick", "bench": None}
    session = {"code": {"commit": "0", "dirty": False, "hash": "x"}, "claims_hash": "y",
               "key": key, "rounds": 1}  # fmt: skip
    told = provenance.collect(session, state.environment("quick", None), tmp_path / "corpora.json")
    assert told["left_out"] == {
        "opencv-python-headless": NO_WHEEL,
        "nothere": "No matching distribution found for nothere==1",
        "torchcodec": NO_CODEC,
    }
    monkeypatch.setattr(left_out, "_absent", lambda name: name == "torchcodec")
    assert left_out.left_out() == {"torchcodec": NO_CODEC}, "the others were installed since"
    (tmp_path / left_out.FILE).unlink()
    assert left_out.left_out() == {}


def skipped(reason: Exception, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """What the log says of a cell that cannot be measured."""

    def measure(cell: Any) -> Any:
        raise reason

    log = tmp_path / "log"
    monkeypatch.setenv(LOG_VARIABLE, str(log))
    benchmark: Any = _Benchmark()
    benchmark.param_names = []
    with pytest.raises(SkipNotImplemented):
        benchmark._attempt({}, (), measure)
    return str(json.loads(log.read_text())["skipped"])


@pytest.mark.usefixtures("asked")
@pytest.mark.parametrize(
    ("reason", "said"),
    [
        (
            MissingPackage.of("The decoder 'torchcodec'", "torchcodec", "loaders", ", or pil"),
            "The decoder 'torchcodec' needs the package 'torchcodec'; it was left out of this "
            f"environment: {NO_CODEC}",
        ),
        (
            Unsupported("the package cv2 is not installed"),
            f"the package cv2 is not installed; it was left out of this environment: {NO_WHEEL}",
        ),
    ],
)
def test_it_is_why_a_cell_is_skipped(
    reason: Exception, said: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert skipped(reason, tmp_path, monkeypatch) == said


@pytest.mark.usefixtures("asked")
@pytest.mark.parametrize(
    "reason",
    [
        # One that nobody tried to install; the other is named only as a way out.
        MissingPackage.of("The format 'lmdb'", "lmdb", "stores", ", or choose torchcodec"),
        MissingPackage.of("The decoder 'torchcodec-2'", "torchcodec-2", "loaders"),
        Unsupported("less than 3 MB free on the RAM disk /dev/shm"),
    ],
)
def test_other_reasons_are_left_as_they_are(
    reason: Exception, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert skipped(reason, tmp_path, monkeypatch) == str(reason)
