"""A study that is interrupted, resumed, published; asv itself is played by a small stand-in."""

from __future__ import annotations

import errno
import importlib.metadata
import io
import json
import os
import re
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from filelock import FileLock
from rich.console import Console

from datasets_impl.errors import StudyError
from datasets_impl.observe.log import LOG_VARIABLE, ROUND_VARIABLE
from scripts import asv_session, provenance
from scripts.asv_session import CORPORA, ENVIRONMENT_NAME, Session
from scripts.child import child
from scripts.evidence import load_evidence
from scripts.root import ROOT
from tests.synthetic_results import COMMIT, Bench, edit_json, write_results

IMPL = ["naive", "preloaded"]
NAME = "item.ByImplementation.track_item"


class FakeAsv:
    """Plays `asv run`: appends one sample for each cell and one line to the log.

    `trouble(round)` may interrupt it half-way, when the log and a result are already written.
    """

    def __init__(self) -> None:
        self.commands: list[list[str]] = []
        self.rounds: list[str] = []
        self.trouble: Callable[[int], int] = lambda number: 0

    @contextmanager
    def child(
        self, command: Sequence[str], environment: Mapping[str, str], output: Path | None
    ) -> Iterator[SimpleNamespace]:
        self.commands.append(list(command))
        self.rounds.append(environment[ROUND_VARIABLE])
        config = json.loads(Path(command[command.index("--config") + 1]).read_text())
        attempt = Path(config["results_dir"])
        earlier: dict[str, list[float]] = {impl: [] for impl in IMPL}
        if list(attempt.glob("*/*-*.json")):
            cells = load_evidence([attempt]).cells
            earlier = dict(zip(cells["impl"], cells["samples"], strict=True))
        number = len(earlier["naive"]) + 1
        self._save(attempt, command, {i: [*earlier[i], float(number)] for i in IMPL})
        with Path(environment[LOG_VARIABLE]).open("a") as log:
            for impl in IMPL:
                log.write(json.dumps(self.observed(number, impl)) + "\n")
        code = self.trouble(number)
        yield SimpleNamespace(poll=lambda: code, returncode=code)

    def _save(self, attempt: Path, command: Sequence[str], samples: dict[str, list[float]]) -> None:
        path = write_results(
            attempt,
            [Bench(NAME, {"impl": IMPL}, lambda factors: samples[factors["impl"]])],
            machine=command[command.index("--machine") + 1],
            commit=command[command.index("--set-commit-hash") + 1],
        )
        # asv names an existing environment by the path of its interpreter.
        local = "existing-py" + sys.executable.replace("/", "_")
        edit_json(path, lambda data: data.update(env_name=f"existing:{sys.executable}"))
        path.rename(path.with_name(f"{path.name[:8]}-{local}.json"))

    def observed(self, number: int, impl: str) -> dict[str, Any]:
        return {
            "benchmark": "item.ByImplementation",
            "factors": {"impl": impl},
            "round": number,
            "note": f"OSError: {ROOT}/benchmarks/item.py and {Path.home()}/pictures/a.jpg",
        }


@pytest.fixture
def asv(monkeypatch: pytest.MonkeyPatch) -> FakeAsv:
    fake = FakeAsv()
    monkeypatch.setattr(asv_session, "child", fake.child)
    monkeypatch.setattr(asv_session, "run_child", lambda *args, **kwargs: None)
    plan = {
        "rounds": 3,
        "benchmarks": {
            "item.ByStage": {"cells": len(IMPL), "every": 1},
            "memory.Slow": {"cells": 1, "every": 2},
            "exact.Shapes": {"cells": 1, "every": 0},
        },
    }
    monkeypatch.setattr(asv_session, "suite_plan", lambda environment: plan)
    code = {"commit": COMMIT, "dirty": False, "hash": "0123"}
    monkeypatch.setattr(provenance, "code_state", lambda: code)
    return fake


def opened(tmp_path: Path, **changes: Any) -> Session:
    (tmp_path / CORPORA).write_text("[]")
    profile = changes.get("profile", "quick")
    settings = {"profile": profile, "rounds": None, "bench": None, "machine": "lab"}
    environment = asv_session.environment(profile, None)
    return Session.open(tmp_path / "session", **{**settings, **changes}, environment=environment)


def run(session: Session) -> str:
    screen = io.StringIO()
    session.run(Console(file=screen))
    return screen.getvalue()


def logged(session: Session) -> list[tuple[int, str]]:
    lines = [json.loads(line) for line in session.log.read_text().splitlines()]
    return [(line["round"], line["factors"]["impl"]) for line in lines]


def samples(folder: Path) -> dict[str, list[float]]:
    cells = load_evidence([folder]).cells
    return dict(zip(cells["impl"], cells["samples"], strict=True))


WHOLE = [(number, impl) for number in (1, 2, 3) for impl in IMPL]
BLOCKS = {impl: [1.0, 2.0, 3.0] for impl in IMPL}


def interrupted_in(number: int) -> Callable[[int], int]:
    def trouble(current: int) -> int:
        if current == number:
            raise KeyboardInterrupt
        return 0

    return trouble


# ---------------------------------------------------------------------------- rounds


def test_a_session_runs_its_rounds(asv: FakeAsv, tmp_path: Path) -> None:
    session = opened(tmp_path)
    run(session)
    assert session.state["done"] == session.state["planned"] == 3
    assert samples(tmp_path / "session" / "results") == BLOCKS
    assert logged(session) == WHOLE
    assert [entry["round"] for entry in session.state["rounds"]] == [1, 2, 3]
    first, *later = asv.commands
    assert "--append-samples" not in first
    assert all("--append-samples" in command for command in later)


def test_slow_benchmarks_run_every_other_round_and_exact_ones_once(
    asv: FakeAsv, tmp_path: Path
) -> None:
    run(opened(tmp_path))
    expressions = [command[command.index("--bench") + 1] for command in asv.commands]
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
    assert samples(tmp_path / "session" / "results") == BLOCKS
    assert logged(session) == WHOLE  # nothing of the killed round is left in the log


def test_a_round_in_which_asv_fails_is_not_counted(asv: FakeAsv, tmp_path: Path) -> None:
    asv.trouble = lambda number: 1 if number == 2 else 0
    with pytest.raises(StudyError, match="exit code 1 in round 2") as error:
        run(opened(tmp_path))
    assert "asv.log" in str(error.value)
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
    with pytest.raises(StudyError, match="saved no result in round 1"):
        run(opened(tmp_path))


# ---------------------------------------------------------------------------- the same session?


def half_done(asv: FakeAsv, tmp_path: Path) -> None:
    asv.trouble = interrupted_in(2)
    with pytest.raises(KeyboardInterrupt):
        run(opened(tmp_path))
    asv.trouble = lambda number: 0


@pytest.mark.parametrize(
    "change", [{"profile": "standard"}, {"bench": "item"}, {"machine": "other"}]
)
def test_another_question_starts_anew(asv: FakeAsv, tmp_path: Path, change: dict[str, str]) -> None:
    half_done(asv, tmp_path)
    assert opened(tmp_path).state["done"] == 1
    session = opened(tmp_path, **change)
    assert session.state["done"] == 0
    assert not session.log.exists() and not list((tmp_path / "session/results").iterdir())


def test_changed_code_starts_anew(
    asv: FakeAsv, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    half_done(asv, tmp_path)
    changed = {"commit": COMMIT, "dirty": True, "hash": "4567"}
    monkeypatch.setattr(provenance, "code_state", lambda: changed)
    assert opened(tmp_path).state["done"] == 0


def test_a_commit_that_changes_nothing_measured_goes_on_under_the_first_commit(
    asv: FakeAsv, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    half_done(asv, tmp_path)
    later = {"commit": "f" * 40, "dirty": False, "hash": "0123"}
    monkeypatch.setattr(provenance, "code_state", lambda: later)
    session = opened(tmp_path)
    run(session)
    session.publish(tmp_path / "published")
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
    assert samples(tmp_path / "session" / "results") == BLOCKS


@pytest.mark.parametrize("rounds", [None, 2, 3])
def test_a_published_session_is_not_continued(
    asv: FakeAsv, tmp_path: Path, rounds: int | None
) -> None:
    """It has as many rounds as are asked for, or more: the question is asked anew."""
    session = opened(tmp_path)
    run(session)
    session.publish(tmp_path / "published")
    session = opened(tmp_path, rounds=rounds)
    assert session.state["done"] == 0 and not session.adding
    assert not session.state["published"] and not session.log.exists()


def test_changed_pictures_start_anew(asv: FakeAsv, tmp_path: Path) -> None:
    """The folder is the same, the pictures in it are not; blocks must not mix them."""
    half_done(asv, tmp_path)
    opened(tmp_path)
    (tmp_path / CORPORA).write_text('[{"content_hash": "other"}]')
    settings: dict[str, Any] = {"rounds": None, "bench": None, "machine": "lab"}
    environment = asv_session.environment("quick", None)
    folder = tmp_path / "session"
    session = Session.open(folder, profile="quick", **settings, environment=environment)
    assert session.state["done"] == 0


def test_another_version_of_a_library_starts_anew(
    asv: FakeAsv, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    half_done(asv, tmp_path)
    monkeypatch.setattr(provenance, "versions", lambda: {"torch": "99"})
    assert opened(tmp_path).state["done"] == 0


# ---------------------------------------------------------------------------- more rounds


def test_more_rounds_are_added_to_what_is_published(asv: FakeAsv, tmp_path: Path) -> None:
    target = published(tmp_path)
    session = opened(tmp_path, rounds=5)
    assert session.adding and session.state["done"] == 3
    assert "Adding to the 3 rounds that are published" in run(session)
    assert len(asv.commands) == 3 + 2, "only the rounds that are missing are measured"
    for command in asv.commands[3:]:
        assert "--append-samples" in command
    assert samples(target) == BLOCKS, "nothing is published before it is whole"
    session.publish(target)
    assert samples(target) == {impl: [1.0, 2.0, 3.0, 4.0, 5.0] for impl in IMPL}
    (machine,) = load_evidence([target]).machines
    assert [entry["round"] for entry in machine.provenance["rounds"]] == [1, 2, 3, 4, 5]
    assert len(machine.observations) == 5 * len(IMPL)
    assert opened(tmp_path, rounds=6).adding and opened(tmp_path, rounds=6).state["done"] == 5


def test_added_rounds_that_are_interrupted_go_on_and_leave_the_published_ones(
    asv: FakeAsv, tmp_path: Path
) -> None:
    target = published(tmp_path)
    before = {path: path.read_bytes() for path in target.rglob("*") if path.is_file()}
    asv.trouble = interrupted_in(5)
    with pytest.raises(KeyboardInterrupt):
        run(opened(tmp_path, rounds=5))
    asv.trouble = lambda number: 0
    session = opened(tmp_path, rounds=5)
    assert session.state["done"] == 4
    assert {path: path.read_bytes() for path in target.rglob("*") if path.is_file()} == before
    run(session)
    session.publish(target)
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
    with session.log.open("a") as log:
        log.write(json.dumps({"benchmark": "a", "voided": "other programs"}) + "\n")
        log.write(json.dumps({"benchmark": "a", "value": 1.0}) + "\n")
    assert session._observed() == 1


# ---------------------------------------------------------------------------- publishing


def published(tmp_path: Path) -> Path:
    session = opened(tmp_path)
    run(session)
    session.publish(tmp_path / "published")
    return tmp_path / "published"


def test_what_is_published_can_be_judged(asv: FakeAsv, tmp_path: Path) -> None:
    target = published(tmp_path)
    assert samples(target) == BLOCKS
    (machine,) = load_evidence([target]).machines
    assert machine.provenance["profile"] == "quick"
    assert machine.provenance["commit"] == machine.commit == COMMIT
    assert machine.provenance["partial"] is False
    assert len(machine.provenance["rounds"]) == 3
    assert len(machine.observations) == len(WHOLE)


def test_no_published_file_holds_a_local_path(asv: FakeAsv, tmp_path: Path) -> None:
    target = published(tmp_path)
    files = [path for path in target.rglob("*") if path.is_file()]
    assert len(files) == 5  # benchmarks, machine, result, provenance, observations
    local = {str(ROOT), str(Path.home()), str(tmp_path), str(Path(sys.executable).parent)}
    for path in files:
        text = path.read_text()
        for folder in local:
            assert f"{folder}/" not in text and f'{folder}"' not in text, path
        assert str(ROOT).replace("/", "_") not in text + path.name
    (machine,) = load_evidence([target]).machines
    assert machine.observations[0]["note"] == (
        "OSError: <project>/benchmarks/item.py and <home>/pictures/a.jpg"
    )


def test_the_environment_has_a_neutral_name(asv: FakeAsv, tmp_path: Path) -> None:
    target = published(tmp_path)
    (result,) = target.glob("lab/*-*.json")
    assert result.name == f"{COMMIT[:8]}-{ENVIRONMENT_NAME}.json"
    assert json.loads(result.read_text())["env_name"] == ENVIRONMENT_NAME


def test_an_unfinished_session_is_not_published(asv: FakeAsv, tmp_path: Path) -> None:
    half_done(asv, tmp_path)
    with pytest.raises(StudyError, match="not finished"):
        opened(tmp_path).publish(tmp_path / "published")
    assert not (tmp_path / "published").exists()


def test_a_full_disk_leaves_the_earlier_result_whole_and_the_session_ready(
    asv: FakeAsv, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    target = published(tmp_path)
    before = {path: path.read_bytes() for path in target.rglob("*") if path.is_file()}
    session = opened(tmp_path)
    run(session)

    def full(path: Path, content: str | bytes) -> None:
        if target in path.parents:
            raise OSError(errno.ENOSPC, "No space left on device")
        real(path, content)

    real = asv_session.atomic_write
    with monkeypatch.context() as patch:
        patch.setattr(asv_session, "atomic_write", full)
        with pytest.raises(StudyError, match="disk is full"):
            session.publish(target)
    assert {path: path.read_bytes() for path in target.rglob("*") if path.is_file()} == before
    again = opened(tmp_path)
    assert again.state["done"] == 3
    again.publish(target)
    assert again.state["published"] and samples(target) == BLOCKS


def test_the_result_file_is_written_last(
    asv: FakeAsv, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    written: list[str] = []
    real = asv_session.atomic_write

    def noting(path: Path, content: str | bytes) -> None:
        written.append(path.name)
        real(path, content)

    session = opened(tmp_path)
    run(session)
    monkeypatch.setattr(asv_session, "atomic_write", noting)
    session.publish(tmp_path / "published")
    names = [name for name in written if name != "session.json"]
    assert names[-1] == f"{COMMIT[:8]}-{ENVIRONMENT_NAME}.json"
    assert len(names) == 5


# ---------------------------------------------------------------------------- provenance


def test_optional_packages_are_named_only_where_installed(monkeypatch: pytest.MonkeyPatch) -> None:
    installed = {"torch": "2.0", "s3fs": "2024.6"}

    def version(name: str) -> str:
        if name not in installed:
            raise importlib.metadata.PackageNotFoundError(name)
        return installed[name]

    monkeypatch.setattr(importlib.metadata, "version", version)
    found = provenance.versions()
    assert (found["torch"], found["s3fs"]) == ("2.0", "2024.6")
    assert found["torchvision"] == "not installed"
    assert not {"moto", "fsspec"} & set(found)


def test_the_governor_is_read_from_every_cpu(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    for cpu, governor in enumerate(("powersave", "performance", "powersave")):
        home = tmp_path / f"cpu{cpu}" / "cpufreq"
        home.mkdir(parents=True)
        (home / "scaling_governor").write_text(f"{governor}\n")
    (tmp_path / "cpu3" / "cpufreq" / "scaling_governor").mkdir(parents=True)  # cannot be read
    (tmp_path / "cpuidle").mkdir()
    monkeypatch.setattr(provenance, "CPUS", tmp_path)
    assert provenance._governor() == "performance, powersave"
    monkeypatch.setattr(provenance, "CPUS", tmp_path / "absent")
    assert provenance._governor() == ""


def test_an_unreadable_frequency_is_no_error(monkeypatch: pytest.MonkeyPatch) -> None:
    def unreadable() -> None:
        raise FileNotFoundError

    monkeypatch.setattr(provenance.psutil, "cpu_freq", unreadable)
    facts = provenance._machine_facts()
    assert facts["max_mhz"] is None and facts["mhz"] is None


# ---------------------------------------------------------------------------- the command


def study(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "scripts.study", *arguments],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=120,
    )


def refused(done: subprocess.CompletedProcess[str], *words: str) -> None:
    assert done.returncode == 2
    assert done.stderr.startswith("error: ") and done.stderr.count("\n") == 1, done.stderr
    assert "Traceback" not in done.stderr + done.stdout
    for word in words:
        assert word in done.stderr


def test_an_unknown_profile_is_refused(tmp_path: Path) -> None:
    out = tmp_path / "out"
    refused(study("--profile", "nonsense", "--out", str(out)), "nonsense", "quick", "full")
    assert not out.exists()


def test_a_single_round_is_refused(tmp_path: Path) -> None:
    out = tmp_path / "out"
    refused(study("--rounds", "1", "--out", str(out)), "--rounds")
    assert not out.exists()


def test_a_second_study_in_the_same_folder_is_refused(tmp_path: Path) -> None:
    with FileLock(tmp_path / ".lock"):
        refused(study("--out", str(tmp_path)), "Another study is running", str(tmp_path))
    assert not (tmp_path / "session").exists() and not (tmp_path / "results").exists()


def test_a_folder_that_cannot_be_made_is_one_sentence(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    answer = subprocess.run(
        [sys.executable, "-m", "scripts.study", "--out", str(tmp_path / "file" / "out")],
        cwd=ROOT,
        capture_output=True,
        text=True,
    )
    assert answer.returncode == 2
    assert answer.stderr.startswith("error: ") and answer.stderr.count("\n") == 1


def test_a_child_of_a_background_job_can_be_interrupted() -> None:
    """A shell's background jobs ignore SIGINT; a child that inherited it would outlive its asv."""
    previous = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        with child(["sleep", "60"], os.environ, None) as run:
            assert run.poll() is None
        assert run.returncode == -signal.SIGINT
    finally:
        signal.signal(signal.SIGINT, previous)
