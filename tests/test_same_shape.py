"""A user's file of the shape of ours is his: it is known by more than a few of our words in it."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from benchmarks import prepare
from datasets_impl.contest import tuning
from datasets_impl.contest.peers import made
from datasets_impl.corpus import CorpusSpec, ensure_corpus
from datasets_impl.errors import StudyError
from datasets_impl.experiments import trainers
from datasets_impl.files.replacing import check_replaceable
from scripts import compare_revisions
from scripts.report.written import write_all
from scripts.session import asv_files, publishing

CHANGE = dict.fromkeys(compare_revisions.FIELDS, 1)
PROJECT = asv_files.settings()["project"]


def kept(path: Path, is_ours: Callable[[Path], bool]) -> bool:
    try:
        check_replaceable(path, is_ours)
    except StudyError:
        return True
    return False


@pytest.mark.parametrize(
    ("is_ours", "content"),
    [
        (prepare._is_plan, {"rounds": 3, "benchmarks": {"boxing": "gym"}}),
        (prepare._is_plan, {"rounds": 3, "benchmarks": "gym"}),
        (prepare._is_manifests, ["the content_hash of my thesis"]),
        (prepare._is_manifests, [{"content_hash": "of a wedding"}]),
        (prepare._is_manifests, {}),
        (prepare._is_manifests, ""),
        (compare_revisions._is_ours, [{**CHANGE, "my notes": "years of work"}]),
        (tuning._is_ours, {"key": "of my house"}),
        (trainers._is_ours, ["us", "them"]),
    ],
)
def test_json_of_a_user_is_left(
    is_ours: Callable[[Path], bool], content: Any, tmp_path: Path
) -> None:
    (tmp_path / "file.json").write_text(json.dumps(content))
    assert kept(tmp_path / "file.json", is_ours)


def test_json_of_ours_is_replaced(session_cache: Path, tmp_path: Path) -> None:
    manifest = ensure_corpus(CorpusSpec(12, 64), cache=session_cache).manifest
    entry = {"cells": 1, "every": 1}
    for is_ours, content in (
        (prepare._is_plan, {"rounds": 3, "benchmarks": {"item.ByStage": entry}}),
        (prepare._is_manifests, [manifest.model_dump(mode="json")]),
        (prepare._is_manifests, []),  # of benchmarks that need no pictures
        (compare_revisions._is_ours, [CHANGE]),
        (tuning._is_ours, {"key": [], "tried": {}}),
        (trainers._is_ours, {"key": [], "us": 1.0}),
    ):
        (tmp_path / "file.json").write_text(json.dumps(content))
        assert not kept(tmp_path / "file.json", is_ours)


@pytest.mark.parametrize("spelling", ["both.json", "folder/../both.json"])
def test_a_plan_and_manifests_are_not_written_to_one_file(
    spelling: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "folder").mkdir()
    arguments = ["--bench", "structures", "--plan", str(tmp_path / "both.json")]
    assert prepare.main([*arguments, "--manifests", f"{tmp_path}/{spelling}"]) == 2
    assert "name one file" in capsys.readouterr().err
    assert not (tmp_path / "both.json").exists()
    assert prepare.main([*arguments, "--manifests", str(tmp_path / "other.json")]) == 0
    assert json.loads((tmp_path / "other.json").read_text()) == []


def test_a_users_file_among_pages_of_before_they_were_listed_is_left(tmp_path: Path) -> None:
    (tmp_path / "graphs").mkdir()
    (tmp_path / "graphs" / "item.json").touch()
    (tmp_path / "index.json").write_text(json.dumps({"project": PROJECT}))
    assert not kept(tmp_path, publishing.is_pages)
    (tmp_path / "thesis.txt").touch()
    assert kept(tmp_path, publishing.is_pages)


def test_files_of_a_loader_that_no_list_names_are_left(tmp_path: Path) -> None:
    (tmp_path / made.NOTE).write_text("a" * 64)
    (tmp_path / "thesis.txt").touch()
    assert kept(tmp_path, made._is_ours)


def test_an_answer_is_not_kept_over_a_users_file(tmp_path: Path) -> None:
    """A cache may be in a folder of the user's."""
    path = tmp_path / "decode.json"
    path.write_text("years of work")
    with pytest.raises(StudyError, match="holds something else"):
        tuning.kept(path, [], lambda: pytest.fail("it was searched for"))
    assert path.read_text() == "years of work"
    path.unlink()
    for tried in ({"{}": 2.0}, {"{}": 3.0}):
        found = tuning.kept(path, list(tried.values()), lambda tried=tried: tried)  # type: ignore[misc]
        assert found == ({}, tried)


def test_figures_that_were_moved_and_linked_are_left(tmp_path: Path) -> None:
    out, archive = tmp_path / "out", tmp_path / "archive"
    write_all(out, {"index.html": "", "figures/a.svg": "old"}, "report")
    (out / "figures").rename(archive)
    (out / "figures").symlink_to(archive)
    write_all(out, {"index.html": "new"}, "report")
    assert (archive / "a.svg").read_text() == "old"
