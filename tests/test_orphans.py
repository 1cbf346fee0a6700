"""What a killed study left running is ended, and nobody else's processes."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import pytest

from datasets_impl.system.owners import PREFIX, own_prefix
from scripts.session.orphans import end_orphans, end_processes_of
from tests.leftovers import ended, of_ended

WAITS = "import sys, time; print('up', flush=True); time.sleep(1e6)"
STUBBORN = f"import signal; signal.signal(signal.SIGTERM, signal.SIG_IGN); {WAITS}"


@pytest.fixture
def started() -> Iterator[Callable[..., subprocess.Popen[str]]]:
    """Starts Python with a given place for temporary files, and waits until it is up."""
    all_of_them = []

    def start(temporary: str, code: str = WAITS) -> subprocess.Popen[str]:
        process = subprocess.Popen(
            [sys.executable, "-c", code],
            env={**os.environ, "TMPDIR": temporary},
            stdout=subprocess.PIPE,
            text=True,
        )
        all_of_them.append(process)
        assert process.stdout and process.stdout.readline() == "up\n"
        return process

    yield start
    for process in all_of_them:
        process.kill()
        process.communicate()


def test_only_those_of_a_dead_study_are_ended(
    started: Callable[..., subprocess.Popen[str]], tmp_path: Path
) -> None:
    left = started(f"{tmp_path}/{of_ended()}abc")
    others = [
        started(f"{tmp_path}/{own_prefix()}abc"),
        started(f"{tmp_path}/{PREFIX}{ended()}-00000000-elsewhere"),
        started(f"{tmp_path}/{PREFIX}notes-abc"),
        started(str(tmp_path)),
    ]
    assert end_orphans() >= 1
    assert not psutil.pid_exists(left.pid)  # psutil has waited for it
    assert [process.poll() for process in others] == [None] * 4


def test_those_of_a_folder_are_ended_even_if_they_do_not_want_to(
    started: Callable[..., subprocess.Popen[str]],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("scripts.session.orphans.GRACE_SECONDS", 0.1)
    mine, other = started(str(tmp_path / "a"), STUBBORN), started(str(tmp_path / "ab"))
    assert end_processes_of(tmp_path / "a") == 1
    assert not psutil.pid_exists(mine.pid) and other.poll() is None
