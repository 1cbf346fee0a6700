"""What the Makefile passes on, with a stand-in for the environment's Python."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import pytest
from conftest import ROOT

from datasets_impl.factors import APART
from scripts import install
from tests.folders import snapshot

SHOWS = '#!/bin/sh\nfor word in "$@"; do printf "%s\\n" "$word"; done\n'
ODD = """~/my 'best' "photos" $x $(touch gone) `touch gone` ; touch gone # & * \\ %s"""

# What `make test PYTHON=…` was given is in the environment of its tests, too.
OF_MAKE = ("MAKEFLAGS", "MFLAGS", "MAKEOVERRIDES", "ARGS", "PYTHON", "TORCH", "IMAGES", "ROUNDS")

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


def make(home: Path, *given: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """As from a shell, also where `make` itself runs the tests."""
    plain = {name: text for name, text in os.environ.items() if name not in OF_MAKE}
    return subprocess.run(
        ["make", "--no-print-directory", *given],
        cwd=home,
        env=plain | environment,
        capture_output=True,
        text=True,
    )


def words(home: Path, *given: str, **environment: str) -> list[str]:
    """The words that reach Python."""
    done = make(home, *given, **environment)
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


@pytest.mark.parametrize("target", ["study", "standard", "full", *APART, "repeat"])
def test_pictures_and_rounds_arrive_as_they_were_given(home: Path, target: str) -> None:
    passed = words(home, target, f"IMAGES={ODD}", "ROUNDS=8 9")
    assert passed[2:4] == [f"--images={ODD}", "--rounds=8 9"]
    assert words(home, target, IMAGES=ODD)[2] == f"--images={ODD}", "from the environment too"


@pytest.mark.parametrize("target", ["study", "standard", *APART])
def test_a_cluster_measures_where_one_is_given(home: Path, target: str) -> None:
    assert words(home, target, f"ON={ODD}", "ROUNDS=8")[1:4] == [
        "scripts.study_on", f"--on={ODD}", "--rounds=8",
    ]  # fmt: skip
    assert words(home, target, "ON=")[1] == "scripts.study"


def test_the_base_of_a_comparison_arrives_as_it_was_given(home: Path) -> None:
    passed = words(home, "compare", f"BASE={ODD}", "ROUNDS=8")
    assert passed[1:] == ["scripts.compare_revisions", f"--base={ODD}", "--rounds=8"]
    assert words(home, "compare")[2:] == ["--base="]


def test_the_doctor_gets_its_target_as_it_was_given(home: Path) -> None:
    passed = words(home, "doctor", f"TARGET={ODD}", 'ARGS=--kwargs \'{"root": "$x y"}\' --budget 9')
    assert passed[2:] == [ODD, "--kwargs", '{"root": "$x y"}', "--budget", "9"]


@pytest.mark.parametrize(
    ("kept", "given", "environment"),
    [
        ("3.11", ["PYTHON=./python"], ".venv-py3.14"),
        ("3.14", ["PYTHON=./python"], ".venv"),
        ("3.11", ["TORCH=2.9.1"], ".venv-torch2.9.1"),
        ("3.11", ["PYTHON=./python", "TORCH=2.9.1"], ".venv-py3.14-torch2.9.1"),
    ],
)
def test_another_python_or_torch_has_an_environment_of_its_own(
    home: Path, kept: str, given: list[str], environment: str
) -> None:
    def stand_in(path: Path, version: str) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        shown = f'[ "$1" = -c ] && echo {version} || {{ echo $0; printf \'%s\\n\' "$@"; }}'
        path.write_text(f"#!/bin/sh\n{shown}\n")
        path.chmod(0o755)

    stand_in(home / "python", "3.14")
    stand_in(home / ".venv/bin/python", kept)
    stand_in(home / environment / "bin/python", "3.14" if environment != ".venv" else kept)
    (home / environment / ".ready").touch()
    found = words(home, "study", *given)
    assert found[0] == f"{environment}/bin/python"
    assert ("--beside" in found) == (environment != ".venv")
    assert words(home, "study")[0] == ".venv/bin/python"


@pytest.mark.parametrize(
    "given",
    ["TORCH=new", "TORCH=2.9 1", "TORCH='2.9'", "TORCH=$(shell touch made)", "PYTHON=./none"],
)
def test_what_names_no_python_and_no_torch_is_refused(home: Path, given: str) -> None:
    done = make(home, "study", given)
    assert done.returncode == 2 and "***" in done.stderr
    assert [path.name for path in home.glob(".venv*")] == [".venv"]


@pytest.mark.parametrize("target", ["", "standard", *APART, "repeat"])
def test_hosts_measure_with_the_environment_that_they_have(home: Path, target: str) -> None:
    given = [*filter(None, [target]), "ON=tcp://127.0.0.1:1", "TORCH=2.9.1"]
    done = make(home, *given)
    assert done.returncode == 2 and "leave PYTHON and TORCH out" in done.stderr
    assert len(done.stderr.splitlines()) == 1 and not done.stdout
    assert [path.name for path in home.glob(".venv*")] == [".venv"]
    assert words(home, "help", *given[-2:]), "other targets take no ON"


def test_cleaning_keeps_what_was_measured_and_what_this_did_not_make(home: Path) -> None:
    for name in ("out/standard/results/lab/machine.json", "out/standard/session/SESSION.txt",
                 ".venv-py3.13/bin/python", ".venv-py3.14t/.ready", ".venv-torch2.9.1/.ready",
                 ".asv/env/x", "build/lib/x"):  # fmt: skip
        (home / name).parent.mkdir(parents=True, exist_ok=True)
        (home / name).touch()
    kept = {"out", ".venv-py3.13", "Makefile", "requirements.txt", "requirements-dev.txt",
            "pyproject.toml"}  # fmt: skip
    before = snapshot(home / "out")
    done = make(home, "clean")
    assert done.returncode == 0 and "out/ stays" in done.stdout
    assert {path.name for path in home.iterdir()} == kept and snapshot(home / "out") == before
    shutil.rmtree(home / "out")
    assert "out/" not in make(home, "clean").stdout


def test_what_has_no_wheel_is_left_out_with_the_reason() -> None:
    asked: list[list[str]] = []

    def pip(wanted: Sequence[str]) -> str:
        asked.append(list(wanted))
        return "No matching distribution found for lmdb" if "lmdb==3.0" in wanted else ""

    pinned = [
        "torch==2.14.1",
        "torchvision==0.29.1",
        "torchcodec==0.17",
        "lmdb==3.0",
        "moto[s3]==5",
    ]
    older = install.chosen(pinned, "2.9.1")
    assert older == ["torch==2.9.1", "torchvision", "lmdb==3.0", "moto[s3]==5"]
    found = install.install(older, pip)
    assert found == {"lmdb": "No matching distribution found for lmdb"}
    assert asked[1:] == [["torch==2.9.1", "torchvision"], ["lmdb==3.0"], ["moto[s3]==5"]]
    assert install.chosen(pinned, "") == pinned and install.install(pinned[:3], pip) == {}


def test_the_pinned_requirements_are_read_whole() -> None:
    found = [install.name(line) for line in install.requirements(ROOT / "requirements-dev.txt")]
    assert {*install.NEEDED, "pytest", "moto"} <= set(found)


def test_an_installation_says_what_it_does_and_what_went_wrong(
    capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(install, "SPEAKS", 0)
    told = "Collecting torch==2.14.1 (from -r requirements.txt)"
    script = f"import sys, time; print({told!r}, flush=True); time.sleep(2.5); {{end}}"
    ends = {"print('ERROR: No matching distribution'); sys.exit(1)": "No matching distribution",
            "sys.exit(1)": "pip failed", "print('done')": ""}  # fmt: skip
    for end, failed in ends.items():
        command = [sys.executable, "-c", script.format(end=end)]
        assert install.run(command, "Installing torch") == failed
        said = capfd.readouterr().err.splitlines()
        assert any(line.endswith(" s, collecting torch==2.14.1") for line in said), said
        assert said[-1].startswith(f"Installing torch: {'failed' if failed else 'done'} after ")
    packages = "Installing collected packages: numpy, torch"
    assert install.doing([told, packages]) == ", unpacking 2 packages"
