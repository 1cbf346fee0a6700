"""Provenance: the code that was measured, and what the machine and its packages are."""

from __future__ import annotations

import importlib.metadata
import os
import sys
from pathlib import Path
from typing import Any

import pytest

from datasets_impl.errors import StudyError
from scripts.root import ROOT
from scripts.session import interpreter, provenance, state


@pytest.fixture
def clone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A repository of one commit in place of the project."""
    root = tmp_path / "clone"
    (root / "benchmarks").mkdir(parents=True)
    (root / "benchmarks" / "gr\u00f6\u00dfe.py").write_text("x = 1")
    monkeypatch.setattr(provenance, "ROOT", root)
    for name in ("name", "email"):
        monkeypatch.setenv(f"GIT_AUTHOR_{name.upper()}", "a@b")
        monkeypatch.setenv(f"GIT_COMMITTER_{name.upper()}", "a@b")
    for command in (["init"], ["add", "."], ["commit", "-m", "first"]):
        provenance.git(*command)
    return root


def test_code_of_any_name_is_hashed(clone: Path) -> None:
    before = provenance.code_state()
    (clone / "benchmarks" / "gr\u00f6\u00dfe.py").write_text("x = 2")
    assert provenance.code_state()["hash"] != before["hash"]


def test_the_commit_is_that_of_the_project_though_a_hook_names_another(
    clone: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = provenance.code_state()
    monkeypatch.setenv("GIT_DIR", str(ROOT / ".git"))
    monkeypatch.setenv("GIT_WORK_TREE", str(ROOT))
    assert provenance.code_state() == before


@pytest.mark.parametrize(
    "setting",
    [
        ("status.showUntrackedFiles", "no"),
        ("core.excludesFile", "ignored"),
        ("core.fsmonitor", "false; touch called; true"),
        ("color.ui", "always"),
        ("status.branch", "true"),
    ],
)
def test_what_a_user_has_set_changes_nothing_of_what_is_told(
    setting: tuple[str, str], clone: Path
) -> None:
    before = provenance.code_state()
    (clone / "ignored").write_text("new.py\n")
    provenance.git("config", *setting)
    assert provenance.code_state() == before and not before["dirty"]
    new = clone / "benchmarks" / "new.py"
    new.write_text("x = 1")
    found = provenance.code_state()
    assert found["dirty"] and found["hash"] != before["hash"]
    assert not (clone / "called").exists()


@pytest.mark.parametrize("flag", ["--assume-unchanged", "--skip-worktree"])
def test_a_change_that_git_is_told_not_to_see_is_seen(flag: str, clone: Path) -> None:
    name = "benchmarks/gr\u00f6\u00dfe.py"
    provenance.git("update-index", flag, name)
    assert not provenance.code_state()["dirty"]
    (clone / name).write_text("x = 2")
    assert provenance.code_state()["dirty"]


def test_a_name_that_is_no_utf_8_is_hashed(clone: Path) -> None:
    before = provenance.code_state()
    (clone / os.fsdecode(b"benchmarks/gr\xf6.py")).write_text("x = 1")
    assert provenance.code_state()["hash"] != before["hash"]


def test_asv_asks_the_repository_of_the_project(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GIT_DIR", "/elsewhere")
    assert "GIT_DIR" not in state.environment("quick", None)


def test_a_copy_in_somebody_elses_repository_has_no_commit(
    clone: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(provenance, "ROOT", clone / "benchmarks")
    with pytest.raises(StudyError, match="is no git clone but a folder of the repository"):
        provenance.code_state()


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


def test_whether_the_lock_is_on_is_asked_where_the_suite_is_imported(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The build alone does not say it."""
    asked: list[Any] = []

    def answer(command: Any, *given: Any, **more: Any) -> str:
        asked.append(command)
        return f"{len(asked) == 1}\n"

    monkeypatch.setattr(interpreter, "answer", answer)
    if not interpreter.free_threaded():
        assert interpreter.gil() and not asked
    monkeypatch.setattr(interpreter.sysconfig, "get_config_var", lambda name: 1)
    assert interpreter.python().endswith("t")
    assert (provenance._machine_facts()["gil"], provenance._machine_facts()["gil"]) == (True, False)


@pytest.mark.slow
def test_the_suite_answers_it() -> None:
    command = [sys.executable, "-c", interpreter.ASK]
    on = getattr(sys, "_is_gil_enabled", lambda: True)()
    assert interpreter.answer(command, os.environ, what="").strip() in {"True", str(on)}
