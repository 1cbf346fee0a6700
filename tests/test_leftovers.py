"""After a command that was killed and its next run, there is what there is after one run.

A command is killed where it waits for the disk (its n-th `fsync` says so and never ends), or where
it reads a sample. What counts is everything that it can write to: its results and what is beside
them, the study's cache, the temporary folder and shared memory.
"""

from __future__ import annotations

import functools
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import psutil
import pytest

from datasets_impl.corpus import Corpus
from tests import leftovers
from tests.test_compare_command import RULES, results

ROOT = Path(__file__).resolve().parents[1]
# Python imports this when it starts.
HANGING = """
import os, time
fsync, calls = os.fsync, 0
def hanging(descriptor):
    global calls
    calls += 1
    if str(calls) == os.environ.get("HANG_AT"):
        open(os.environ["HANGS"], "w").close()
        time.sleep(1e6)
    return fsync(descriptor)
os.fsync = hanging
"""
BUILD = "from datasets_impl.corpus import *; ensure_corpus(CorpusSpec(200, 32))"
CONVERT = (
    "from datasets_impl.formats import plan; plan.CHUNK = 4;"
    "from datasets_impl.formats import ensure_stored; ensure_stored('photos', 'jpeg', '{}')"
)
AILING = """
import os, tempfile, time
import torch, torch.multiprocessing
from torch.utils.data import Dataset

class Ailing(Dataset):
    def __len__(self):
        return 64
    def __getitem__(self, index):
        if os.environ.get("HANG_AT") == "sample":
            self.queue = torch.multiprocessing.get_context("spawn").Queue()
            self.folder = tempfile.mkdtemp()
            open(os.environ["HANGS"], "w").close()
            time.sleep(1e6)
        return torch.zeros(3) + index
"""


def python(*arguments: str) -> list[str]:
    return [sys.executable, *arguments]


DOCTOR = python("-m", "datasets_impl.doctor", "target.py:Ailing", "--budget", "10", "--out", "page")
COMMANDS: dict[str, tuple[list[str], list[str]]] = {  # and where each is killed
    "corpus": (python("-c", BUILD), ["1", "100", "203"]),
    "convert-pack": (python("-c", CONVERT.format("pack")), ["2", "4"]),
    "convert-restart": (python("-c", CONVERT.format("restart")), ["2"]),
    "doctor": (DOCTOR, ["sample"]),
    "render_report": (python("scripts/render_report.py", "--results", "first",
                             "--claims", "claims.toml", "--out", "out"), ["5"]),
    "compare": (python("-m", "scripts.compare", "first", "second",
                       "--claims", "claims.toml", "--out", "out"), ["3"]),
    "update_readme": (python("-m", "scripts.update_readme"), ["1"]),
}  # fmt: skip
CASES = [(name, place) for name, (_, places) in COMMANDS.items() for place in places]


@pytest.fixture(scope="module")
def home(corpus: Corpus, tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    """Makes a folder with all that the commands read, and a copy of the scripts."""

    def make(name: str) -> Path:
        made = tmp_path_factory.mktemp(name)
        shutil.copytree(corpus.root, made / "photos")
        shutil.copytree(ROOT / "scripts", made / "scripts", ignore=shutil.ignore_patterns("*.pyc"))
        shutil.copytree(ROOT / "results" / "report", made / "results" / "report")
        for file in ("README.md", "CITATION.cff"):
            shutil.copy(ROOT / file, made)
        (made / "claims.toml").write_text(RULES)
        (made / "target.py").write_text(AILING)
        (made / "hanging").mkdir()
        (made / "hanging" / "sitecustomize.py").write_text(HANGING)
        for seed, folder in enumerate(("first", "second")):
            results(made / folder, seed)
        (made / "temporary").mkdir()
        return made

    return make


@pytest.fixture(scope="module")
def once(home: Callable[[str], Path]) -> Callable[[str], set[str]]:
    """What there is after one undisturbed run of a command."""

    @functools.cache
    def after(name: str) -> set[str]:
        made = home("once")
        _run(name, made)
        return _tree(made)

    return after


@pytest.mark.slow
@pytest.mark.parametrize(("name", "place"), CASES, ids=[f"{name}-{place}" for name, place in CASES])
def test_nothing_more_is_left_after_a_kill_and_the_next_run(
    name: str, place: str, home: Callable[[str], Path], once: Callable[[str], set[str]]
) -> None:
    killed = home("killed")
    _kill(name, killed, place)
    _run(name, killed)
    assert _tree(killed) == once(name)


def _environment(home: Path, **more: str) -> dict[str, str]:
    places = {"TMPDIR": home / "temporary", "DATASET_STUDY_CACHE": home / "cache"}
    return {
        **os.environ,
        **{name: str(path) for name, path in places.items()},
        "PYTHONPATH": str(home / "hanging"),
        "PYTHONDONTWRITEBYTECODE": "1",
        **more,
    }


def _run(name: str, home: Path) -> None:
    """To its end; nothing is left in the temporary folder and in shared memory."""
    before, since = leftovers.present(), time.time()
    done = subprocess.run(
        COMMANDS[name][0], cwd=home, env=_environment(home), capture_output=True, text=True
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert not list((home / "temporary").iterdir())
    assert not leftovers.left(before, since)


def _kill(name: str, home: Path, place: str) -> None:
    """Start it and kill it, with every process that it started, where it hangs at `place`."""
    hangs = home / "hangs"
    command = subprocess.Popen(
        COMMANDS[name][0],
        cwd=home,
        env=_environment(home, HANG_AT=place, HANGS=str(hangs)),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    while not hangs.exists():
        assert command.poll() is None, f"{name} ended before it came to {place}"
        time.sleep(0.02)
    process = psutil.Process(command.pid)
    process.suspend()  # or it would see its children die
    started = process.children(recursive=True)
    for each in started:
        each.send_signal(signal.SIGKILL)
    command.kill()
    command.wait()
    psutil.wait_procs(started)
    hangs.unlink()


def _tree(home: Path) -> set[str]:
    return {str(path.relative_to(home)) for path in home.rglob("*")}
