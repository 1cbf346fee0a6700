"""After a command that was killed and its next run, there is what there is after one run.

A command is killed where it waits for the disk (its n-th `fsync` says so and never ends), or where
it reads a sample. What counts is everything that it can write to: its results and what is beside
them, the study's cache, the temporary folder and shared memory. It is forked from a process that
has imported what takes long, and none of the scripts, of which it has a copy; the doctor is not.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import psutil
import pytest

from datasets_impl.corpus import Corpus
from datasets_impl.media.workspaces import own_traces, temporary_parent
from datasets_impl.system.owners import PREFIX
from tests import leftovers
from tests.converting import CONTEXT
from tests.killed import run
from tests.test_compare_command import RULES, results
from tests.test_validate import judged

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


DOCTOR = (  # in less time than users may give it
    "import sys; from datasets_impl.doctor import __main__ as doctor; doctor.LEAST_BUDGET = 3;"
    "sys.exit(doctor.main(['target.py:Ailing', '--budget', '3', '--out', 'page']))"
)
COMMANDS: dict[str, tuple[list[str], list[str]]] = {  # and where each is killed, one run a place
    "corpus": (["-c", BUILD], ["1", "100", "203"]),
    "convert-pack": (["-c", CONVERT.format("pack")], ["2", "4"]),
    "convert-restart": (["-c", CONVERT.format("restart")], ["2"]),
    "convert-shards": (["-m", "datasets_impl.convert", "photos", "shards", "--workers", "2",
                        "--shard-images", "50"], ["1"]),
    "doctor": (["-c", DOCTOR], ["sample"]),
    "render_report": (["-m", "scripts.render_report", "--results", "first",
                       "--claims", "claims.toml", "--out", "out"], ["5"]),
    "compare": (["-m", "scripts.compare", "first", "second",
                 "--claims", "claims.toml", "--out", "out"], ["3"]),
    "update_readme": (["-m", "scripts.update_readme"], ["1"]),
    "validate": (["-m", "scripts.validate", "results", "--out", "sent"], ["2"]),
    "prepare": (["-m", "benchmarks.prepare", "--bench", "exact.RandomTransform",
                 "--manifests", "manifests.json", "--plan", "plan.json"], ["1", "20"]),
}  # fmt: skip


def started(name: str, home: Path, **more: str) -> Any:
    words, variables = COMMANDS[name][0], _environment(home, **more)
    if name == "doctor":
        with home.with_suffix(".said").open("w") as said:
            return subprocess.Popen(
                [sys.executable, *words], cwd=home, env=variables, stdout=said, stderr=said,
                start_new_session=True,
            )  # fmt: skip
    process = CONTEXT.Process(target=run, args=(words, home, variables))
    process.start()
    return process


def code_of(process: Any) -> int | None:
    """How it ended, once it has."""
    if isinstance(process, subprocess.Popen):
        return process.wait()
    process.join()
    found: int | None = process.exitcode
    return found


@pytest.fixture(scope="module")
def home(
    corpus: Corpus, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Callable[[str], Path]]:
    """Makes a folder with all that the commands read, and a copy of the scripts."""
    homes: list[Path] = []

    def make(name: str) -> Path:
        made = tmp_path_factory.mktemp(name)
        shutil.copytree(corpus.root, made / "photos")
        shutil.copytree(ROOT / "scripts", made / "scripts", ignore=shutil.ignore_patterns("*.pyc"))
        shutil.copytree(ROOT / "results" / "report", made / "results" / "report")
        for file in ("README.md", "CITATION.cff", "requirements.txt"):
            shutil.copy(ROOT / file, made)
        (made / "claims.toml").write_text(RULES)
        (made / "target.py").write_text(AILING)
        (made / "hanging").mkdir()
        (made / "hanging" / "sitecustomize.py").write_text(HANGING)
        for seed, folder in enumerate(("first", "second")):
            results(made / folder, seed)
        judged(made / "results")
        _temporary(made).mkdir()
        homes.append(made)
        return made

    yield make
    for made in homes:
        _temporary(made).rmdir()


def test_what_commands_leave_is_looked_for_where_they_make_it(home: Callable[[str], Path]) -> None:
    made = home("place")
    code = "from datasets_impl.media.workspaces import temporary_parent as p; print(p(), end='')"
    done = subprocess.run(
        [sys.executable, "-c", code], env=_environment(made), cwd=ROOT, capture_output=True,
        text=True,
    )  # fmt: skip
    assert done.stdout == str(_temporary(made)), done.stderr
    assert temporary_parent() == Path(tempfile.gettempdir()), "of which `leftovers` tells"
    with own_traces():
        assert any(path.name.startswith(PREFIX) for path in leftovers.present())


@pytest.mark.slow
@pytest.mark.parametrize("name", COMMANDS)
def test_nothing_more_is_left_after_a_kill_and_the_next_run(
    name: str, home: Callable[[str], Path]
) -> None:
    """The next run is killed too, at the next place; of the last one's end all must be gone."""
    undisturbed, killed = home("once"), home("killed")
    _run(name, undisturbed)
    for place in COMMANDS[name][1]:
        _kill(name, killed, place)
    _run(name, killed)
    assert _tree(killed) == _tree(undisturbed)


def _temporary(home: Path) -> Path:
    """Its folder for temporary files: were the name longer, `temporary_parent` would be another."""
    return Path(tempfile.gettempdir()) / home.name


def _environment(home: Path, **more: str) -> dict[str, str]:
    places = {"TMPDIR": _temporary(home), "DATASET_STUDY_CACHE": home / "cache"}
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
    code = code_of(started(name, home))
    assert code == 0, home.with_suffix(".said").read_text()
    assert not list(_temporary(home).iterdir())
    assert not leftovers.left(before, since)


def _kill(name: str, home: Path, place: str) -> None:
    """Start it and kill it, with every process that it started, where it hangs at `place`."""
    hangs = home / "hangs"
    command = started(name, home, HANG_AT=place, HANGS=str(hangs))
    process = psutil.Process(command.pid)
    while not hangs.exists():
        alive = process.is_running() and process.status() != psutil.STATUS_ZOMBIE
        assert alive, home.with_suffix(".said").read_text()
        time.sleep(0.02)
    process.suspend()  # or it would see its children die
    children = process.children(recursive=True)
    for each in children:
        with suppress(psutil.NoSuchProcess):  # it was about to end
            each.kill()
    command.kill()
    code_of(command)
    psutil.wait_procs(children)
    hangs.unlink()


def _tree(home: Path) -> set[str]:
    return {str(path.relative_to(home)) for path in home.rglob("*")}
