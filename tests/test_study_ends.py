"""The end of a study: published, told and finished; what a stop or a failure there leaves."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from datasets_impl.errors import StudyError
from scripts import study as command
from scripts.session import measuring, publishing
from tests.sessions import BLOCKS, PLAN, FakeAsv, samples


@pytest.fixture
def study(asv: FakeAsv, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Callable[[], int]:
    """Runs the command over a stand-in for asv, into `tmp_path`; nothing is built."""

    def prepare(given: list[str], *rest: Any, **options: Any) -> None:
        for word in given:
            name, _, path = word.partition("=")
            if name in ("--manifests", "--plan"):
                Path(path).write_text(json.dumps(PLAN if name == "--plan" else []))

    def pages(given: list[str], *rest: Any, **options: Any) -> None:
        config = json.loads(Path(given[given.index("--config") + 1]).read_text())
        made = Path(config["html_dir"])
        made.mkdir()
        (made / "index.json").write_text(json.dumps({"project": config["project"]}))

    monkeypatch.setattr(command, "run_child", prepare)
    monkeypatch.setattr(publishing, "run_child", pages)
    monkeypatch.setattr(measuring, "end_orphans", lambda: 0)  # of other tests on this machine
    monkeypatch.setattr(sys, "argv", ["study", "--out", str(tmp_path), "--machine", "lab"])
    return command.main


def page(tmp_path: Path) -> str:
    return (tmp_path / "report" / "index.html").read_text()


def test_a_study_comes_to_its_end(study: Callable[[], int], tmp_path: Path) -> None:
    assert study() == 0
    assert samples(tmp_path / "results") == BLOCKS
    assert "../asv/index.html" in page(tmp_path)
    assert json.loads((tmp_path / "session" / "session.json").read_text())["published"]
    names = {path.name for path in tmp_path.iterdir()}
    assert names == {"session", "results", "asv", "report"}


@pytest.mark.parametrize("where", ["make_pages", "load_study", "render"])
def test_stopped_at_its_end_it_goes_on_there(
    asv: FakeAsv,
    study: Callable[[], int],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    where: str,
) -> None:
    def stopped(*given: Any, **options: Any) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(publishing if where == "make_pages" else command, where, stopped)
        assert study() == 130
    assert study() == 0
    assert len(asv.commands) == 3, "nothing is measured a second time"
    assert samples(tmp_path / "results") == BLOCKS


def test_a_report_does_without_pages_that_asv_cannot_make(
    study: Callable[[], int],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    def failed(*given: Any, **options: Any) -> None:
        raise StudyError("Publishing asv's own pages failed.")

    monkeypatch.setattr(publishing, "run_child", failed)
    assert study() == 0
    assert "The report does without them" in capsys.readouterr().err
    assert "../asv/index.html" not in page(tmp_path) and not (tmp_path / "asv").exists()
