"""Imports run one way, and results are judged without what made them: torch, a profile, a page."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from scripts.root import ROOT


def python(code: str, **variables: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", code],
        cwd=ROOT,
        env={**os.environ, **variables},
        capture_output=True,
        text=True,
    )


@pytest.mark.slow
def test_the_contracts_of_imports_are_kept() -> None:
    done = python("from importlinter.cli import lint_imports; exit(lint_imports(no_cache=True))")
    assert done.returncode == 0, done.stdout


@pytest.mark.slow
def test_judging_needs_neither_torch_nor_a_figure() -> None:
    """Every module of the room, and not one of the words that are put to its numbers."""
    code = (
        "import pkgutil, sys, scripts.judging as room\n"
        "for found in pkgutil.iter_modules(room.__path__):\n"
        "    __import__(f'scripts.judging.{found.name}')\n"
        "heavy = {'torch', 'matplotlib', 'jinja2', 'scripts.report', 'benchmarks'}\n"
        "assert 'scripts.judging.judge' in sys.modules\n"
        "assert not heavy & sys.modules.keys(), heavy & sys.modules.keys()"
    )
    done = python(code)
    assert done.returncode == 0, done.stderr


@pytest.mark.slow
def test_an_unknown_profile_stops_no_script() -> None:
    code = (
        "import sys, scripts.judging.judge, scripts.render_report, scripts.compare\n"
        "assert 'benchmarks' not in sys.modules"
    )
    done = python(code, DATASET_STUDY_PROFILE="nonsense")
    assert done.returncode == 0, done.stderr


def test_a_window_system_that_matplotlib_does_not_know_is_not_asked_for() -> None:
    done = python("import scripts.report.figures.style", MPLBACKEND="nonsense")
    assert done.returncode == 0, done.stderr
