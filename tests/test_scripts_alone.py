"""Imports run one way, and results are judged without what made them: torch, a profile, a page."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from scripts.root import ROOT
from tests.commands import python, refused
from tests.synthetic_results import Bench, write_results

SLEEPS = "import time\nprint('here', flush=True)\ntime.sleep(600)\n"


COMMANDS = [
    ["-m", "scripts.validate"], ["-m", "scripts.compare"], ["-m", "scripts.study"],
    ["-m", "scripts.compare_revisions"], ["-m", "scripts.publish"], ["-m", "scripts.study_on"],
    ["-m", "scripts.update_readme"], ["-m", "scripts.check_attribution"],
    ["-m", "scripts.check_claims"], ["scripts/render_report.py"],
    ["-m", "datasets_impl.doctor"], ["-m", "datasets_impl.convert"],
]  # fmt: skip
each_command = pytest.mark.parametrize("command", COMMANDS, ids=lambda command: command[-1])


@each_command
def test_a_command_says_in_one_sentence_how_to_install_what_is_missing(command: list[str]) -> None:
    """Without `site` none of the packages is found."""
    done = python("-S", *command, "--help")
    own = command[-1].startswith("datasets_impl")
    refused(done, "needs the package '", "pip install '<this folder>" if own else "run `make ")


@pytest.mark.parametrize("text", ["int('x')", "raise OSError(28, 'No space left on device')"])
@each_command
def test_a_package_that_fails_while_a_command_is_imported_is_named(
    command: list[str], text: str, tmp_path: Path
) -> None:
    """Whatever it reads then: its settings, the environment, shared memory for a lock."""
    for name in ("numpy", "pydantic", "rich", "psutil"):
        (tmp_path / f"{name}.py").write_text(f"def _read():\n    {text}\n\n_read()\n")
    done = python(*command, "--help", PYTHONPATH=f"{tmp_path}{os.pathsep}{ROOT}")
    why = "No space left" if "28" in text else "ValueError: invalid literal"
    refused(done, "cannot import '", why, "mend what that names")


def test_what_fails_in_our_own_code_is_shown_whole() -> None:
    program = (
        "from datasets_impl.streams import told_while_imported\ntold_while_imported('x', 'y')\n"
    )
    for bug in ("int('x')", "import json\njson.loads('x')"):
        done = python("-c", program + bug)
        assert done.returncode == 1 and "Traceback" in done.stderr, done.stderr


@pytest.mark.slow
@pytest.mark.parametrize("date", ["x", "1700000000"])
def test_a_date_that_is_none_and_settings_of_matplotlib(date: str, tmp_path: Path) -> None:
    write_results(
        tmp_path / "results",
        [Bench("item.ByImplementation.track_item", {"px": [64], "impl": ["naive"]}, lambda f: 1.0)],
    )
    (tmp_path / "matplotlibrc").write_bytes(b"# caf\xe9\nfont.size: 33\n")
    given = [f"--results={tmp_path / 'results'}", f"--out={tmp_path / 'out'}"]
    done = python("scripts/render_report.py", *given, SOURCE_DATE_EPOCH=date, MATPLOTLIBRC=tmp_path)
    if date == "x":
        refused(done, "mend SOURCE_DATE_EPOCH, which is 'x'")
    else:
        assert done.returncode == 0 and not done.stderr, done.stderr


@each_command
def test_ctrl_c_while_a_command_is_imported_is_one_sentence(
    command: list[str], tmp_path: Path
) -> None:
    """That takes seconds. What it imports first waits here, so that it is interrupted there."""
    for name in ("numpy", "pydantic", "rich", "psutil"):
        (tmp_path / f"{name}.py").write_text(SLEEPS)
    path = f"{tmp_path}{os.pathsep}{ROOT}"
    with subprocess.Popen(
        [sys.executable, *command], cwd=ROOT, env={**os.environ, "PYTHONPATH": path},
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    ) as begun:  # fmt: skip
        assert begun.stdout and begun.stdout.readline() == "here\n"
        begun.send_signal(signal.SIGINT)
        _, said = begun.communicate()
    assert said.startswith("interrupted") and said.count("\n") == 1
    assert begun.returncode in (130, -signal.SIGINT)


@pytest.mark.slow
@pytest.mark.parametrize("command", ["convert", "doctor"])
def test_a_module_in_the_current_folder_stands_in_for_none(
    command: str, folder: Path, tmp_path: Path
) -> None:
    """Nor in the workers of a conversion."""
    for name in ("json", "rich", "random", "queue", "argparse", "numpy"):
        (tmp_path / f"{name}.py").write_text("raise RuntimeError('of the user')\n")
    words = [str(folder), str(tmp_path / "set")] if command == "convert" else ["--help"]
    done = subprocess.run(
        [sys.executable, "-m", f"datasets_impl.{command}", *words],
        cwd=tmp_path, env={**os.environ, "PYTHONPATH": str(ROOT)}, capture_output=True, text=True,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr


@pytest.mark.slow
def test_the_contracts_of_imports_are_kept() -> None:
    done = python(
        "-c", "from importlinter.cli import lint_imports; exit(lint_imports(no_cache=True))"
    )
    assert done.returncode == 0, done.stdout


@pytest.mark.slow
def test_judging_needs_neither_torch_nor_a_figure_and_no_script_a_profile_or_a_window() -> None:
    """Every module of the room, and not one of the words that are put to its numbers.

    The profile is unknown, and so is the window system, which Matplotlib must not be asked for.
    """
    code = (
        "import pkgutil, sys, scripts.judging as room\n"
        "for found in pkgutil.iter_modules(room.__path__):\n"
        "    __import__(f'scripts.judging.{found.name}')\n"
        "heavy = {'torch', 'matplotlib', 'jinja2', 'scripts.report', 'benchmarks'}\n"
        "assert 'scripts.judging.judge' in sys.modules\n"
        "assert not heavy & sys.modules.keys(), heavy & sys.modules.keys()\n"
        "import scripts.render_report, scripts.compare\n"
        "assert 'scripts.report.figures.style' in sys.modules\n"
        "assert 'benchmarks' not in sys.modules"
    )
    done = python("-c", code, DATASET_STUDY_PROFILE="nonsense", MPLBACKEND="nonsense")
    assert done.returncode == 0, done.stderr
