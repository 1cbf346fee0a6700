"""Programs in an interpreter of their own, and what one that refuses says."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
Done = subprocess.CompletedProcess[str]


def python(*arguments: object, at: Path = ROOT, **variables: object) -> Done:
    """`python ARGUMENTS` in the folder `at`, with further variables in its environment."""
    return subprocess.run(
        [sys.executable, *map(str, arguments)],
        cwd=at,
        env={**os.environ, **{name: str(value) for name, value in variables.items()}},
        capture_output=True,
        text=True,
        timeout=1200,  # it only ends what hangs
    )


def refused(done: Done, *words: str) -> None:
    """It ended with 2 and one sentence, in which these words are."""
    assert done.returncode == 2, done.stderr
    assert done.stderr.startswith("error: ") and done.stderr.count("\n") == 1, done.stderr
    assert "Traceback" not in done.stdout
    assert all(word in done.stderr for word in words), done.stderr


def sentence(code: int, capsys: pytest.CaptureFixture[str], *words: str) -> str:
    """The one sentence of a command that refused in this process, in which these words are."""
    error = capsys.readouterr().err
    assert code == 2, error
    assert error.startswith("error: ") and error.count("\n") == 1 and error.endswith(".\n"), error
    assert all(word in error for word in words), error
    return error
