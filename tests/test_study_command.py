"""The study's command: bad input, and signals."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

from filelock import FileLock

from scripts.child import child
from scripts.root import ROOT


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
