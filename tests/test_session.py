"""A study that is interrupted, resumed, given more rounds; asv is played by a stand-in."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from datasets_impl.errors import StudyError
from scripts.root import ROOT
from scripts.session import provenance, publishing, state
from scripts.session import rounds as asv_session
from tests.folders import snapshot
from tests.sessions import (
    BLOCKS,
    IMPL,
    WHOLE,
    FakeAsv,
    half_done,
    interrupted_in,
    logged,
    opened,
    publish,
    published,
    run,
    samples,
)
from tests.synthetic_results import COMMIT, load_evidence


def test_a_session_runs_its_rounds(asv: FakeAsv, tmp_path: Path) -> None:
    session = opened(tmp_path)
    run(session)
    assert session.state["done"] == session.state["planned"] == 3
    assert samples(session.results) == BLOCKS
    assert logged(session) == WHOLE
    assert [entry["round"] for entry in session.state["rounds"]] == [1, 2, 3]
    first, *later = asv.commands
    assert "--append-samples" not in first
    assert all("--append-samples" in command for command in later)


def test_slow_benchmarks_run_every_other_round_and_exact_ones_once(
    asv: FakeAsv, tmp_path: Path
) -> None:
    run(opened(tmp_path))
    expressions = [
        word.removeprefix("--bench=")
        for command in asv.commands
        for word in command
        if word.startswith("--bench=")
    ]
    names = ["item.ByStage.track_item", "memory.Slow.track_tree", "exact.Shapes.track_mixed_shapes"]
    due = [[bool(re.search(text, name)) for name in names] for text in expressions]
    assert due == [[True, True, True], [True, False, False], [True, True, False]]
    assert not any(re.search(text, "item.ByStageToo.track_item") for text in expressions)


def test_rounds_asked_for_replace_those_of_the_profile(asv: FakeAsv, tmp_path: Path) -> None:
    session = opened(tmp_path, rounds=2)
    run(session)
    assert session.state["done"] == 2 and len(asv.commands) == 2


@pytest.mark.parametrize("killed", [1, 2, 3])
def test_a_killed_round_is_measured_again_and_finished_ones_are_kept(
    asv: FakeAsv, tmp_path: Path, killed: int
) -> None:
    asv.trouble = interrupted_in(killed)
    with pytest.raises(KeyboardInterrupt):
        run(opened(tmp_path))
    assert len(asv.commands) == killed
    asv.trouble = lambda number: 0
    session = opened(tmp_path)
    assert session.state["done"] == killed - 1
    screen = run(session)
    assert ("Going on after round" in screen) == (killed > 1)
    assert len(asv.commands) == 3 + 1  # only the killed round was measured twice
    assert samples(session.results) == BLOCKS
    assert logged(session) == WHOLE  # nothing of the killed round is left in the log


@pytest.mark.parametrize("call", ["rename", "replace", "rmtree", "copyfile"])
@pytest.mark.parametrize("at", [1, 2, 3])
def test_a_kill_at_any_step_of_a_round_loses_and_doubles_nothing(
    asv: FakeAsv, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, call: str, at: int
) -> None:
    """Files are moved, removed and copied between rounds; a kill can come before each of it."""
    owner: Any = shutil if call in ("rmtree", "copyfile") else Path
    real, calls = getattr(owner, call), []

    def killed(*given: Any, **options: Any) -> Any:
        calls.append(given)
        if len(calls) == at + 2:  # in the second round, or near it
            raise KeyboardInterrupt
        return real(*given, **options)

    session = opened(tmp_path)
    with monkeypatch.context() as patch:
        patch.setattr(owner, call, killed)
        try:
            run(session)
        except KeyboardInterrupt:
            pass
        else:
            assert len(calls) < at + 2
    session = opened(tmp_path)
    run(session)
    assert samples(session.results) == BLOCKS and logged(session) == WHOLE
    assert [entry["round"] for entry in session.state["rounds"]] == [1, 2, 3]
    left = {path.name for path in (tmp_path / "session").iterdir() if path.is_dir()}
    assert left == {"rounds-3"}


def test_rounds_that_vanished_are_measured_again(asv: FakeAsv, tmp_path: Path) -> None:
    half_done(asv, tmp_path)
    shutil.rmtree(tmp_path / "session" / "rounds-1")
    session = opened(tmp_path)
    run(session)
    assert samples(session.results) == BLOCKS


def test_a_folder_of_somebody_else_is_not_made_a_session(asv: FakeAsv, tmp_path: Path) -> None:
    mine = tmp_path / "session" / "notes.txt"
    mine.parent.mkdir()
    mine.write_text("mine")
    with pytest.raises(StudyError, match="left as it is"):
        opened(tmp_path)
    assert mine.read_text() == "mine" and len(list(mine.parent.iterdir())) == 1


@pytest.mark.parametrize(
    "name",
    ["notes.txt", "rounds-notes/mine.txt", "rounds-1/mine.txt", "rounds-1/results/thesis.txt",
     "rounds-1/results/lab/thesis.json", "pages/thesis.txt", "pages/graphs/notes.txt",
     "env/thesis.txt", "asv.log/thesis.txt"],
)  # fmt: skip
def test_what_somebody_adds_to_a_session_is_not_deleted_with_it(
    asv: FakeAsv, tmp_path: Path, name: str
) -> None:
    session = opened(tmp_path)
    notes = session.folder / name
    notes.parent.mkdir(parents=True, exist_ok=True)
    notes.write_text("years of work")
    session._clear()
    if name.startswith("pages"):
        with pytest.raises(StudyError, match="holds something else than asv's own pages"):
            publishing.make_pages(session, tmp_path / "results", tmp_path / "asv")
    with pytest.raises(StudyError, match="holds something else than a session"):
        opened(tmp_path, profile="standard")
    assert notes.read_text() == "years of work"


def test_what_a_killed_asv_left_in_a_session_goes_with_it(asv: FakeAsv, tmp_path: Path) -> None:
    half_done(asv, tmp_path)
    session = opened(tmp_path)
    for name in ("attempt-7/results/lab/machine.json", "attempt-7/results/benchmarks.json",
                 "attempt-7/results/lab/01234567-existing-py_usr_bin_python.json",
                 "pages/asv_ui.js", "pages/index.json", "pages/study-pages.json",
                 "pages/graphs/branch-HEAD/cpu-a CPU/item.ByStage.track_item.json"):  # fmt: skip
        place = session.folder / name
        place.parent.mkdir(parents=True, exist_ok=True)
        place.touch()
    assert state.is_session(session.folder)
    session._clear()
    assert not (session.folder / "attempt-7").exists()
    assert opened(tmp_path, profile="standard").state["done"] == 0
    assert not (session.folder / "pages").exists()


def test_a_full_disk_ends_the_round_and_not_the_study(
    asv: FakeAsv, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Measurements that fail for want of room must not pass for failures of their own."""
    asv.trouble = lambda number: 2 if number == 2 else 0
    usage = shutil.disk_usage(tmp_path)

    def full(place: Path) -> Any:
        return usage._replace(free=0 if len(asv.commands) == 2 else 10**12)

    session = opened(tmp_path)
    with monkeypatch.context() as patch:
        patch.setattr(shutil, "disk_usage", full)
        with pytest.raises(StudyError, match="disk is full"):
            run(session)
    assert opened(tmp_path).state["done"] == 1


def test_a_round_in_which_asv_fails_is_not_counted(asv: FakeAsv, tmp_path: Path) -> None:
    asv.trouble = lambda number: 1 if number == 2 else 0
    with pytest.raises(StudyError, match="exit code 1 in round 2") as error:
        run(opened(tmp_path))
    assert "asv.log says, and run the same command again to go on." in str(error.value)
    assert opened(tmp_path).state["done"] == 1


def test_failed_benchmarks_do_not_stop_a_round(asv: FakeAsv, tmp_path: Path) -> None:
    asv.trouble = lambda number: 2  # what asv ends with when single benchmarks failed
    session = opened(tmp_path)
    run(session)
    assert session.state["done"] == 3


def test_a_round_that_saves_nothing_is_an_error(
    asv: FakeAsv, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(asv, "_save", lambda *args: None)
    with pytest.raises(StudyError, match=r"saved no result in round 1; mend .*asv\.log says"):
        run(opened(tmp_path))


@pytest.mark.parametrize(
    "change", [{"profile": "standard"}, {"bench": "item"}, {"machine": "other"}]
)
def test_another_question_starts_anew(asv: FakeAsv, tmp_path: Path, change: dict[str, str]) -> None:
    half_done(asv, tmp_path)
    assert opened(tmp_path).state["done"] == 1
    session = opened(tmp_path, **change)
    assert session.state["done"] == 0
    assert not session.log.exists() and not list((tmp_path / "session").glob("*-*"))
    (word,) = change
    told = {"bench": "benchmarks"}.get(word, word)
    assert f"1 rounds of the unfinished study are of other {told}" in run(session)


@pytest.mark.parametrize(
    ("told", "value"),
    [
        ("code_state", {"commit": COMMIT, "dirty": True, "hash": "4567"}),
        ("versions", {"torch": "99"}),
    ],
)
def test_changed_code_or_libraries_start_anew(
    asv: FakeAsv, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, told: str, value: Any
) -> None:
    half_done(asv, tmp_path)
    monkeypatch.setattr(provenance, told, lambda: value)
    assert opened(tmp_path).state["done"] == 0


def test_a_round_in_which_the_code_was_changed_does_not_count(
    asv: FakeAsv, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = provenance.code_state()

    def trouble(number: int) -> int:
        if number == 2:
            monkeypatch.setattr(provenance, "code_state", lambda: {**before, "hash": "4567"})
        return 0

    asv.trouble = trouble
    with pytest.raises(StudyError, match="changed while round 2 ran"):
        run(opened(tmp_path))
    monkeypatch.setattr(provenance, "code_state", lambda: before)
    asv.trouble = lambda number: 0
    session = opened(tmp_path)
    assert session.state["done"] == 1
    run(session)
    assert logged(session) == WHOLE


def test_the_package_of_this_folder_is_measured(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Wherever asv's processes start, and whatever else of this name is installed."""
    (tmp_path / "datasets_impl").mkdir()
    (tmp_path / "datasets_impl" / "__init__.py").touch()
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    done = subprocess.run(
        [sys.executable, "-c", "import datasets_impl; print(datasets_impl.__file__)"],
        cwd="/", env=state.environment("quick", None), capture_output=True, text=True,
    )  # fmt: skip
    assert Path(done.stdout.strip()).is_relative_to(ROOT), done.stderr


def test_a_commit_that_changes_nothing_measured_goes_on_under_the_first_commit(
    asv: FakeAsv, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    half_done(asv, tmp_path)
    later = {"commit": "f" * 40, "dirty": False, "hash": "0123"}
    monkeypatch.setattr(provenance, "code_state", lambda: later)
    session = opened(tmp_path)
    run(session)
    publish(session, tmp_path / "published")
    evidence = load_evidence([tmp_path / "published"])
    assert [machine.commit for machine in evidence.machines] == [COMMIT]
    assert samples(tmp_path / "published") == BLOCKS


@pytest.mark.parametrize("content", ["", "{", "[]", "null", '{"key": {}}'])
def test_a_damaged_state_starts_anew(asv: FakeAsv, tmp_path: Path, content: str) -> None:
    half_done(asv, tmp_path)
    (tmp_path / "session" / "session.json").write_text(content)
    session = opened(tmp_path)
    assert session.state["done"] == 0
    run(session)
    assert samples(session.results) == BLOCKS


@pytest.mark.parametrize("damage", [{"rounds": "a"}, {"code": None}, {"code": {}}])
def test_a_state_with_a_damaged_part_starts_anew(
    asv: FakeAsv, tmp_path: Path, damage: dict[str, Any]
) -> None:
    half_done(asv, tmp_path)
    path = tmp_path / "session" / "session.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"done": 1} | damage))
    session = opened(tmp_path)
    run(session)
    assert samples(session.results) == BLOCKS


@pytest.mark.parametrize("rounds", [None, 2, 3])
def test_a_published_session_is_not_continued(
    asv: FakeAsv, tmp_path: Path, rounds: int | None
) -> None:
    """It has as many rounds as are asked for, or more: the question is asked anew."""
    session = opened(tmp_path)
    run(session)
    publish(session, tmp_path / "published")
    session = opened(tmp_path, rounds=rounds)
    assert session.state["done"] == 0 and not session.adding
    assert not session.state["published"] and not session.log.exists()


def test_changed_pictures_start_anew(asv: FakeAsv, tmp_path: Path) -> None:
    """The folder is the same, the pictures in it are not; blocks must not mix them."""
    half_done(asv, tmp_path)
    session = opened(tmp_path, pictures='[{"content_hash": "other"}]')
    assert session.state["done"] == 0


def test_more_rounds_are_added_to_what_is_published(asv: FakeAsv, tmp_path: Path) -> None:
    target = published(tmp_path)
    session = opened(tmp_path, rounds=5)
    assert session.adding and session.state["done"] == 3
    assert "Adding to the 3 rounds that are published" in run(session)
    assert len(asv.commands) == 3 + 2, "only the rounds that are missing are measured"
    for command in asv.commands[3:]:
        assert "--append-samples" in command
    assert samples(target) == BLOCKS, "nothing is published before it is whole"
    publish(session, target)
    assert samples(target) == {impl: [1.0, 2.0, 3.0, 4.0, 5.0] for impl in IMPL}
    (machine,) = load_evidence([target]).machines
    assert [entry["round"] for entry in machine.provenance["rounds"]] == [1, 2, 3, 4, 5]
    assert len(machine.observations) == 5 * len(IMPL)
    assert opened(tmp_path, rounds=6).adding and opened(tmp_path, rounds=6).state["done"] == 5


def test_added_rounds_that_are_interrupted_go_on_and_leave_the_published_ones(
    asv: FakeAsv, tmp_path: Path
) -> None:
    target = published(tmp_path)
    before = snapshot(target)
    asv.trouble = interrupted_in(5)
    with pytest.raises(KeyboardInterrupt):
        run(opened(tmp_path, rounds=5))
    asv.trouble = lambda number: 0
    session = opened(tmp_path, rounds=5)
    assert session.state["done"] == 4
    assert snapshot(target) == before
    run(session)
    publish(session, target)
    assert samples(target) == {impl: [1.0, 2.0, 3.0, 4.0, 5.0] for impl in IMPL}
    assert logged(session) == [(number, impl) for number in (1, 2, 3, 4, 5) for impl in IMPL]


def test_added_rounds_that_fail_leave_the_published_ones(asv: FakeAsv, tmp_path: Path) -> None:
    target = published(tmp_path)
    asv.trouble = lambda number: 1
    with pytest.raises(StudyError, match="round 4"):
        run(opened(tmp_path, rounds=4))
    assert samples(target) == BLOCKS
    assert opened(tmp_path, rounds=4).state["done"] == 3


def test_a_published_session_of_another_question_gets_no_rounds(
    asv: FakeAsv, tmp_path: Path
) -> None:
    published(tmp_path)
    assert opened(tmp_path, rounds=5, machine="other").state["done"] == 0


def test_a_fresh_session_leaves_the_published_results(asv: FakeAsv, tmp_path: Path) -> None:
    target = published(tmp_path)
    opened(tmp_path)
    assert samples(target) == BLOCKS


def test_asv_is_told_the_round(asv: FakeAsv, tmp_path: Path) -> None:
    run(opened(tmp_path))
    assert asv.rounds == ["1", "2", "3"]


def test_voided_measurements_are_not_counted_as_progress(asv: FakeAsv, tmp_path: Path) -> None:
    session = opened(tmp_path)
    run(session)
    before = session.log.stat().st_size
    with session.log.open("a") as log:
        log.write(json.dumps({"benchmark": "a", "voided": "other programs"}) + "\n")
        log.write(json.dumps({"benchmark": "a", "value": 1.0}) + "\n")
    assert asv_session.observed(session.log, before) == 1
