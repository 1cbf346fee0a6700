"""Results of other profiles, machines or owners are not published into, and stay as they are."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from datasets_impl.errors import StudyError
from datasets_impl.factors import APART
from scripts.root import RESULTS
from scripts.session import asv_files, provenance, publishing
from scripts.session.rounds import Session
from tests.folders import snapshot
from tests.sessions import (
    FakeAsv,
    opened,
    publish,
    published,
    run,
)


def refused(tmp_path: Path, text: str, **changes: object) -> None:
    """Publishing again is refused with `text`, and changes nothing."""
    target = tmp_path / "published"

    before = snapshot(target)
    settings: dict[str, Any] = {"machine": "lab", "profile": "quick"}
    with pytest.raises(StudyError, match=text):
        publishing.check_results(target, **settings | changes)
    assert snapshot(target) == before


def test_results_of_another_profile_or_a_part_are_not_mixed_in(
    asv: FakeAsv, tmp_path: Path
) -> None:
    published(tmp_path)
    refused(tmp_path, "profile quick", profile="standard")
    refused(tmp_path, "profile quick", profile="standard", machine="other")
    refused(tmp_path, "whole profile", bench="item")
    refused(tmp_path, "profile quick", profile="loaders")
    publishing.check_results(tmp_path / "published", "other", "quick", bench="item")
    publishing.check_results(tmp_path / "published", "lab", "quick", bench="item", repeat=True)


@pytest.mark.parametrize("kept", [None, "photos"])
def test_results_of_other_pictures_are_not_replaced(
    asv: FakeAsv, tmp_path: Path, kept: str | None
) -> None:
    """Another folder of work, and the same one for results: nothing else would tell them apart."""
    session = opened(tmp_path, pictures=json.dumps([{"folder": kept}]))
    session.state["key"]["images"] = kept and f"/my/{kept}"
    run(session)
    publish(session, tmp_path / "published")
    refused(tmp_path, "holds results of other pictures", images="/my/pets")
    refused(tmp_path, "holds results of other pictures", images="/my/pets", repeat=True)
    publishing.check_results(tmp_path / "published", "lab", "quick", images=kept and f"/the/{kept}")
    publishing.check_results(tmp_path / "published", "other", "quick", images="/my/pets")


def test_results_of_other_benchmarks_are_not_replaced(asv: FakeAsv, tmp_path: Path) -> None:
    session = opened(tmp_path, bench="item")
    run(session)
    publish(session, tmp_path / "published")
    refused(tmp_path, "holds results of item, which those of --bench epoch", bench="epoch")
    for bench in ("item", None):
        publishing.check_results(tmp_path / "published", "lab", "quick", bench=bench)


def test_results_of_another_machine_of_the_same_name_are_kept(
    asv: FakeAsv, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    published(tmp_path)
    monkeypatch.setattr(provenance, "processor", lambda: {"cpu": "Other 1", "threads": 64})
    refused(tmp_path, "results of another machine")


@pytest.mark.parametrize("name", ["benchmarks.json", "lab"])
def test_what_somebody_else_keeps_there_is_left(asv: FakeAsv, tmp_path: Path, name: str) -> None:
    """Results of another asv suite, or notes in a folder that has the machine's name."""
    target = tmp_path / "published"
    mine = target / "benchmarks.json" if name == "benchmarks.json" else target / "lab" / "notes"
    mine.parent.mkdir(parents=True)
    mine.write_text(json.dumps({"time_suite.Other.time_x": {}, "version": 2}))
    refused(tmp_path, "left as it is")


def test_what_somebody_adds_to_asvs_pages_is_not_deleted_with_them(
    asv: FakeAsv, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    session, pages = opened(tmp_path), tmp_path / "asv"
    project = asv_files.settings()["project"]

    def publish(*arguments: Any, **options: Any) -> None:
        (session.folder / "pages").mkdir()
        (session.folder / "pages" / "index.json").write_text(json.dumps({"project": project}))

    monkeypatch.setattr(publishing, "run_child", publish)
    monkeypatch.setattr(Session, "configure", lambda *arguments, **options: tmp_path)
    for _ in range(2):
        publishing.make_pages(session, tmp_path / "results", pages)
    (pages / "notes.txt").write_text("years of work")
    with pytest.raises(StudyError, match="holds something else than asv's own pages"):
        publishing.make_pages(session, tmp_path / "results", pages)
    assert (pages / "notes.txt").read_text() == "years of work"


def test_results_are_not_published_to_a_file(asv: FakeAsv, tmp_path: Path) -> None:
    (tmp_path / "published").write_text("mine")
    refused(tmp_path, "is a file")


def test_the_committed_results_are_taken_for_those_of_their_profile() -> None:
    for profile in ("standard", *APART):
        publishing.check_results(RESULTS, "another", profile)
    with pytest.raises(StudyError, match=r"profile (standard|loaders)"):
        publishing.check_results(RESULTS, "another", "quick")


@pytest.mark.parametrize("content", ["{", "[]", "{}", '{"project": 3}', "[" * 100_000, None])
def test_a_configuration_of_asv_that_cannot_be_used_is_one_sentence(
    content: str | None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = tmp_path / "asv.conf.json"
    monkeypatch.setattr(asv_files, "ASV_CONFIG", config)
    if content is not None:
        config.write_text(content)
    with pytest.raises(StudyError, match=r"asv.conf.json cannot be used .*; mend it, or restore"):
        asv_files.settings()
