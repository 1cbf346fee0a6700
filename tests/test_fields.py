"""A field of a provenance or a log that holds what it cannot is named, by all who read it."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from datasets_impl.errors import StudyError
from scripts import validate
from scripts.judging.runs import every_run, find_runs
from scripts.render_report import main as render
from tests.synthetic_results import items, observation, steady, write_results

ROUND = {"started": "2026-01-01T00:00:00", "load": [0.1, 0.2, 0.3]}
CORPUS = {
    "label": "own", "content": "photographs", "resolution": 64, "count": 8, "quality": "98",
    "bytes_per_pixel": 0.5, "content_hash": "0", "skipped": [], "folder": None,
}  # fmt: skip
FACTS: dict[str, Any] = {
    "commit": "0" * 40, "profile": "quick", "dirty": False, "partial": False, "bench": None,
    "rounds": [ROUND], "corpora": [CORPUS], "versions": {"torch": "2.14.1"},
    "machine": {"cpu": "a CPU", "ram_gb": 8.1, "threads": 2, "gil": None}, "settings": {"A": "1"},
}  # fmt: skip
RECORD = observation(64, "naive") | {"value": 1.0, "round": 1, "foreign_cores": 0.1, "mhz": None}


def written(folder: Path, facts: dict[str, Any], **record: Any) -> Path:
    write_results(folder, [items(steady)], observations=[RECORD, RECORD | record], provenance=facts)
    return folder


def read(folder: Path) -> None:
    for run in every_run([folder]):
        assert run.beside.provenance and run.beside.observations


@pytest.mark.parametrize(
    ("changed", "named"),
    [
        ({"rounds": 3}, "rounds"),
        ({"rounds": [{"started": None}]}, "rounds[0].load"),
        ({"rounds": [ROUND, ROUND | {"load": []}]}, "rounds[1].load"),
        ({"rounds": [ROUND | {"load": "high"}]}, "rounds[0].load"),
        ({"versions": {"torch": 5}}, "versions"),
        ({"corpora": None}, "corpora"),
        ({"corpora": [None]}, "corpora"),
        ({"corpora": [{}]}, "corpora[0].label"),
        ({"corpora": [CORPUS | {"skipped": [5]}]}, "corpora[0].skipped"),
        ({"corpora": [CORPUS | {"content_hash": [1]}]}, "corpora[0].content_hash"),
        ({"corpora": [CORPUS | {"resolution": "x"}]}, "corpora[0].resolution"),
        ({"machine": [1]}, "machine"),
        ({"machine": {"python": [3]}}, "machine"),
        ({"machine": {"ram_gb": "x"}}, "machine.ram_gb"),
        ({"settings": 3}, "settings"),
        ({"claims_hash": [1]}, "claims_hash"),
        ({"profile": None}, "profile"),
        ({"dirty": "no"}, "dirty"),
    ],
)
def test_a_field_of_the_provenance(tmp_path: Path, changed: dict[str, Any], named: str) -> None:
    read(written(tmp_path / "whole", FACTS))
    with pytest.raises(StudyError) as error:
        read(written(tmp_path / "other", FACTS | changed))
    assert f"provenance.jsonl is damaged (`{named}` " in str(error.value)


@pytest.mark.parametrize(
    ("changed", "named"),
    [
        ({"benchmark": 5}, "benchmark"),
        ({"factors": {"px": [1]}}, "factors"),
        ({"factors": None}, "factors"),
        ({"value": "x"}, "value"),
        ({"value": None}, "value"),
        ({"round": 1.5}, "round"),
        ({"round": "first"}, "round"),
        ({"round": 1e400}, "round"),
        ({"foreign_cores": None}, "foreign_cores"),
        ({"bytes_read": "x"}, "bytes_read"),
        ({"also": {"cpu": [1]}}, "also"),
    ],
)
def test_a_field_of_the_log(tmp_path: Path, changed: dict[str, Any], named: str) -> None:
    with pytest.raises(StudyError) as error:
        read(written(tmp_path, FACTS, **json.loads(json.dumps(changed))))
    said = str(error.value)
    assert "observations.jsonl is damaged" in said and (f"`{named}`" in said or "round" in changed)


def test_what_was_voided_needs_no_value(tmp_path: Path) -> None:
    read(written(tmp_path, FACTS, value=None, voided="loaded"))


def test_validation_refuses_what_the_report_refuses(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    odd = written(tmp_path / "odd", FACTS | {"versions": {"torch": 5}})
    two = written(tmp_path / "two", FACTS)
    shutil.copytree(two / "lab", two / "lab copy")
    with pytest.raises(StudyError, match="hold results of one machine"):
        find_runs([two])
    for folder, said in ((odd, "`versions`"), (two, "hold results of one machine")):
        out = tmp_path / "out"
        assert render(["--results", str(folder), "--out", str(out)]) == 2
        told = capsys.readouterr().err
        assert validate.main([str(folder), "--out", str(out)]) == 2
        assert capsys.readouterr().err == told and said in told and not out.exists()
