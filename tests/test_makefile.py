"""What the Makefile passes on, with a stand-in for the environment's Python."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest
from conftest import ROOT

SHOWS = '#!/bin/sh\nfor word in "$@"; do printf "%s\\n" "$word"; done\n'
ODD = """~/my 'best' "photos" $x $(touch gone) `touch gone` ; touch gone # & * \\ %s"""

pytestmark = pytest.mark.skipif(not shutil.which("make"), reason="make is not installed")


@pytest.fixture
def home(tmp_path: Path) -> Path:
    shutil.copy(ROOT / "Makefile", tmp_path)
    for name in ("requirements.txt", "requirements-dev.txt", "pyproject.toml"):
        (tmp_path / name).touch()
    python = tmp_path / ".venv" / "bin" / "python"
    python.parent.mkdir(parents=True)
    python.write_text(SHOWS)
    python.chmod(0o755)
    (tmp_path / ".venv" / ".ready").touch()
    return tmp_path


def words(home: Path, *given: str, **environment: str) -> list[str]:
    """The words that reach Python."""
    plain = {name: text for name, text in os.environ.items() if name not in ("MAKEFLAGS", "ARGS")}
    done = subprocess.run(
        ["make", "--no-print-directory", *given],
        cwd=home,
        env=plain | environment,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    assert not (home / "gone").exists()
    return done.stdout.splitlines()


def test_nothing_is_passed_that_was_not_given(home: Path) -> None:
    assert words(home, "study") == ["-m", "scripts.study", "--profile", "quick"]
    assert words(home, "study", "IMAGES=", "ROUNDS=") == words(home, "study")


def test_a_second_run_is_asked_for(home: Path) -> None:
    assert words(home, "repeat")[2:] == ["--profile", "standard", "--repeat"]


def test_the_report_needs_no_word_on_what_there_is(home: Path) -> None:
    assert words(home, "report")[:4] == ["-m", "scripts.render_report", "--out", "results/report"]
    assert words(home, "report")[4:] == ["-m", "scripts.update_readme"]


@pytest.mark.parametrize("target", ["study", "standard", "full", "loaders", "repeat"])
def test_pictures_and_rounds_arrive_as_they_were_given(home: Path, target: str) -> None:
    passed = words(home, target, f"IMAGES={ODD}", "ROUNDS=8 9")
    assert passed[2:4] == [f"--images={ODD}", "--rounds=8 9"]
    assert words(home, target, IMAGES=ODD)[2] == f"--images={ODD}", "from the environment too"


def test_the_doctor_gets_its_target_as_it_was_given(home: Path) -> None:
    passed = words(home, "doctor", f"TARGET={ODD}", 'ARGS=--kwargs \'{"root": "$x y"}\' --budget 9')
    assert passed[2:] == [ODD, "--kwargs", '{"root": "$x y"}', "--budget", "9"]
