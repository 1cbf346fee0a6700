"""What the rights of folders, or the umask, forbid a command: one sentence, and nothing is left."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from scripts.root import RESULTS
from tests.commands import ROOT, refused

pytestmark = pytest.mark.slow
LACKING = "-dac_override,-dac_read_search"  # by which root is asked for no rights
ORDINARY = ["setpriv", f"--bounding-set={LACKING}", f"--inh-caps={LACKING}"]


def ordinary(
    command: str, *arguments: object, mask: int = 0o022
) -> subprocess.CompletedProcess[str]:
    """A command whom rights bind, also where the tests run as root."""
    if os.geteuid() == 0 and not shutil.which("setpriv"):
        pytest.skip("root is bound by no rights, and setpriv is not installed")
    before = ORDINARY if os.geteuid() == 0 else []
    return subprocess.run(
        [*before, sys.executable, "-m", command, *map(str, arguments)],
        cwd=ROOT, capture_output=True, text=True, umask=mask, timeout=1200,
    )  # fmt: skip


@pytest.fixture
def place(tmp_path: Path) -> Iterator[Path]:
    """A folder whose rights a test takes away."""
    (made := tmp_path / "place").mkdir()
    yield made
    made.chmod(0o755)


def listed(folder: Path) -> list[Path]:
    folder.chmod(0o755)
    return sorted(folder.rglob("*"))


@pytest.mark.parametrize("mode", [0o311, 0o444, 0o755])
def test_a_place_that_may_not_be_listed_or_entered(mode: int, folder: Path, place: Path) -> None:
    place.chmod(mode)
    done = ordinary("datasets_impl.convert", folder, place / "set", "--workers=1")
    if mode == 0o755:
        assert done.returncode == 0 and listed(place)[0] == place / "set", done.stderr
    else:
        refused(done, str(place), f"mend the rights of {place}.")
        assert not listed(place)


@pytest.mark.parametrize("mode", [0o311, 0o444])
def test_pictures_that_may_not_be_listed_or_entered(mode: int, folder: Path, place: Path) -> None:
    shutil.copytree(folder, place, dirs_exist_ok=True)
    before = listed(place)
    place.chmod(mode)
    done = ordinary("datasets_impl.convert", place, target := place.with_name("set"))
    refused(done, str(place), "read" if mode == 0o311 else f"mend the rights of {place}.")
    assert listed(place) == before and not target.exists()


@pytest.mark.parametrize("mode", [0o311, 0o444, 0o755])
def test_results_that_may_not_be_listed_or_entered(mode: int, place: Path) -> None:
    shutil.copytree(RESULTS, place, dirs_exist_ok=True, ignore=shutil.ignore_patterns("report"))
    before = listed(place)
    place.chmod(mode)
    done = ordinary("scripts.validate", place)
    if mode == 0o755:
        assert done.returncode in (0, 1) and not done.stderr
    else:
        refused(done, f"mend the rights of {place}.")
    assert listed(place) == before


@pytest.mark.parametrize("mode", [0o311, 0o444])
@pytest.mark.parametrize("option", ["--out", "--results"])
def test_a_study_is_refused_before_it_measures(mode: int, option: str, place: Path) -> None:
    out = place.with_name("out")
    place.chmod(mode)
    given = [f"--out={out}", f"{option}={place}", "--bench=no such benchmark"]
    refused(ordinary("scripts.study", *given), f"mend the rights of {place}.")
    assert not listed(place) and not out.exists()


@pytest.mark.parametrize("mask", [0o777, 0o200, 0o077])
def test_a_umask_that_takes_the_owners_rights(mask: int, folder: Path, place: Path) -> None:
    done = ordinary("datasets_impl.convert", folder, place / "set", "--workers=1", mask=mask)
    if mask == 0o077:
        assert done.returncode == 0, done.stderr
    else:
        refused(done, f"umask is {mask:04o}", "`umask 022`")
        assert not listed(place)
