"""Nothing of a user's code is left: no file, process or shared memory, however it ends."""

from __future__ import annotations

import contextlib
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from datasets_impl.doctor.__main__ import main, questions
from datasets_impl.doctor.probes.reading import FOLDER
from datasets_impl.doctor.process.examine import Ask, examine
from datasets_impl.doctor.process.sandbox import sweep_dead
from datasets_impl.system.owners import PREFIX, here
from tests import doctor_strange
from tests.doctor_strange import Litters
from tests.leftovers import until

pytestmark = pytest.mark.slow
ROOT = Path(__file__).parents[1]
TARGET = f"{doctor_strange.__file__}:{Litters.__name__}"
FEW = ("items", "causes", "repeated", "ceiling", "batches", "growth", "tried")


@pytest.fixture
def ward(ward: Path, tmp_path: Path) -> Path:
    """One in which no other dataset has written anything."""
    (tmp_path / "rows.npy").symlink_to(ward / "rows.npy")
    return tmp_path


@pytest.fixture
def scratch(monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """The folder for temporary files, with a short name as they have outside of tests."""
    folder = Path(tempfile.mkdtemp(dir="/tmp"))
    monkeypatch.setattr(tempfile, "tempdir", str(folder))
    yield folder
    shutil.rmtree(folder)


def _gone(path: str) -> bool:
    if not path.startswith("/proc/"):
        return not Path(path).exists()
    try:
        return psutil.Process(int(Path(path).name)).status() == psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return True


def _left(ward: Path, *kinds: str) -> list[str]:
    noted = json.loads((ward / "left.json").read_text())
    return [path for kind in kinds or noted for path in noted[kind] if not _gone(path)]


@pytest.mark.usefixtures("forked")
@pytest.mark.parametrize("hangs", [False, True])
def test_nothing_is_left_at_the_end(hangs: bool, ward: Path, scratch: Path) -> None:
    if hangs:
        (ward / "hang").touch()
    heard = examine(TARGET, {"folder": str(ward)}, questions(10.0, FEW))
    assert ("look" in heard.failures) is hangs, heard
    assert not _left(ward)
    assert not list(scratch.iterdir())


@pytest.mark.usefixtures("forked")
@pytest.mark.parametrize("how", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP])
def test_nothing_stays_when_the_doctor_is_stopped(
    how: int, ward: Path, scratch: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """At work on a dataset that hangs. One that is killed has tests of its own, below."""
    (ward / "hang").touch()
    was_at_work, ended = list[list[str]](), threading.Event()

    def stop() -> None:
        if until(lambda: ended.is_set() or (ward / "left.json").exists()) and not ended.is_set():
            was_at_work.append(_left(ward))
            os.kill(os.getpid(), how)

    stopping = threading.Thread(target=stop)
    stopping.start()
    try:
        assert main([TARGET, "--kwargs", json.dumps({"folder": str(ward)})]) == 130
    finally:
        ended.set()
        stopping.join()
    assert all(was_at_work)
    assert not _left(ward) and not list(scratch.iterdir())
    said = capsys.readouterr().err
    assert "interrupted" in said and "Traceback" not in said and "go on" not in said


def begun(ward: Path, scratch: Path) -> subprocess.Popen[bytes]:
    """A doctor that says into a file, whose dataset will hang."""
    (ward / "hang").touch()
    (ward / "left.json").unlink(missing_ok=True)
    with (ward / "said").open("w") as said:
        return subprocess.Popen(
            [sys.executable, "-m", "datasets_impl.doctor", TARGET,
             "--kwargs", json.dumps({"folder": str(ward)})],
            cwd=ROOT, env={**os.environ, "TMPDIR": str(scratch), "PYTHONPATH": str(ROOT)},
            stderr=said,
        )  # fmt: skip


def test_what_a_killed_doctor_left_goes_with_the_next(ward: Path, scratch: Path) -> None:
    """All its processes at once, as the kernel does where memory runs out."""
    doctor = begun(ward, scratch)
    assert until((ward / "left.json").exists), (ward / "said").read_text()
    processes = [psutil.Process(doctor.pid), *psutil.Process(doctor.pid).children(recursive=True)]
    for process in processes:
        process.suspend()
    others = [one for one in processes if one.name() == "sleep"]
    for process in processes:
        if process not in others:
            process.kill()
    doctor.wait()
    assert any("sem." in path for path in _left(ward, "ours")) and list(scratch.iterdir())
    sweep_dead()
    assert not _left(ward, "ours") and not list(scratch.iterdir())
    for process in others:
        with contextlib.suppress(psutil.NoSuchProcess):
            process.kill()
    for path in _left(ward):
        if path.startswith("/dev"):
            Path(path).unlink()


@pytest.mark.parametrize(
    ("name", "ends"),
    [
        ("photos", False),
        (f"{PREFIX}photos", False),
        (f"{PREFIX}{{}}-{here()}-photos", True),
        (f"{PREFIX}{{}}-{'0' * 8}-photos", False),
    ],
)
def test_a_folder_of_somebody_elses_stays_whatever_a_variable_says(
    name: str, ends: bool, tmp_path: Path
) -> None:
    """The third has the name of a folder of a doctor's that is gone, and not its note; the last
    that of one which nothing here can look for."""
    with subprocess.Popen(["true"]) as gone:
        pass
    folder = tmp_path / name.format(gone.pid)
    folder.mkdir()
    (folder / "one.jpg").write_bytes(b"one")
    with subprocess.Popen(["sleep", "600"], env={**os.environ, FOLDER: str(folder)}) as other:
        sweep_dead()
        ended = other.poll() is not None
        other.kill()
    assert (folder / "one.jpg").read_bytes() == b"one"
    assert ended is ends


def test_processes_that_lost_their_mark_are_ended_though_the_folder_is_gone(
    tmp_path: Path,
) -> None:
    """Another doctor that began meanwhile may have swept the folder first."""
    with subprocess.Popen(["sleep", "600"], env={}, start_new_session=True) as unmarked:
        subprocess.run(
            [sys.executable, "-m", "datasets_impl.doctor.process.watchman"],
            input=f"{unmarked.pid} {tmp_path / PREFIX}1-gone\n", text=True, cwd=ROOT, check=True,
        )  # fmt: skip
        code = unmarked.poll()
        unmarked.kill()
    assert code == -signal.SIGKILL


SEEN = """
import atexit, gc, json, multiprocessing, os, random, resource, signal, sys, tempfile, threading
from pathlib import Path
import numpy, torch

def seen(folder):
    own = {"DATASET_STUDY_DOCTOR", "TMPDIR", "PYTEST_CURRENT_TEST"}
    process = multiprocessing.current_process()
    limits = [name for name in dir(resource) if name.startswith("RLIMIT")]
    tasks = [Path(f"/proc/self/{name}") for name in ("cwd", "fd/0", "fd/1", "fd/2")]
    facts = {
        "modules": sorted(sys.modules), "path": sys.path, "arguments": sys.argv[0],
        "main": sys.modules["__main__"].__spec__.name, "flags": str(sys.flags),
        "environment": {k: v for k, v in sorted(os.environ.items()) if k not in own},
        "signals": [str(signal.getsignal(n)) for n in sorted(signal.valid_signals())],
        "blocked": sorted(signal.pthread_sigmask(signal.SIG_BLOCK, [])),
        "leads": [os.getpid() == os.getsid(0) == os.getpgrp(), os.getppid(), os.umask(0o22)],
        "limits": [resource.getrlimit(getattr(resource, name)) for name in limits],
        "tasks": [task.readlink().name for task in tasks], "files": os.listdir("/proc/self/fd"),
        "threads": sorted(one.name for one in threading.enumerate()),
        "process": [process.name, process.daemon, multiprocessing.parent_process()],
        "method": torch.multiprocessing.get_start_method(),
        "temporary": tempfile.gettempdir() == os.environ["TMPDIR"],
        "torch threads": torch.get_num_threads(), "at exit": atexit._ncallbacks(),
        "collector": [gc.isenabled(), gc.get_threshold(), gc.get_freeze_count()],
        "cores": sorted(os.sched_getaffinity(0)), "nice": os.nice(0),
    }
    drawn = [random.random(), numpy.random.random(), torch.initial_seed()]
    Path(folder, "facts").open("a").write(json.dumps([facts, drawn]) + "\\n")
    return torch.zeros(10, 3)
"""


def test_the_users_code_cannot_tell_a_forked_process_from_a_new_one(
    tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    """What other tests of the doctor rely on, which use forked ones."""
    (tmp_path / "own.py").write_text(SEEN)
    for kind in ("new", "forked", "forked"):
        if kind == "forked":
            request.getfixturevalue("forked")
        heard = examine(f"{tmp_path}/own.py:seen", {"folder": str(tmp_path)}, [Ask("inside", 1.0)])
        assert not heard.failures, heard
    lines = [json.loads(one) for one in (tmp_path / "facts").read_text().splitlines()]
    (new, *_), *forked = lines
    for facts, _ in forked:
        assert facts == new
    numbers = [number for _, drawn in lines for number in drawn]
    assert len(set(numbers)) == len(numbers)


@contextlib.contextmanager
def busy() -> Iterator[None]:
    """Neither core has time: what ends by chance of being fast does not end."""
    loops = [subprocess.Popen([sys.executable, "-c", "while True: pass"]) for _ in range(2)]
    time.sleep(0.1)
    try:
        yield
    finally:
        for one in loops:
            one.kill()
            one.wait()


KILLS, LATEST = 2, 4.0  # times, and seconds after the dataset was made


def test_nothing_stays_of_a_doctor_that_is_killed_at_any_moment(ward: Path, scratch: Path) -> None:
    """Also before its dataset is made (the first), and while code in C lets nothing else run."""
    moments, killed = random.Random(0), 0
    for number in range(KILLS):
        doctor = begun(ward, scratch)
        # Not just any file: Python tries a folder for temporary files with one that goes at once.
        assert until(lambda: bool(list(scratch.glob(f"{PREFIX}*")))), (ward / "said").read_text()
        if number:
            assert until((ward / "left.json").exists)
            time.sleep(moments.uniform(0, LATEST))
        with busy() if number else contextlib.nullcontext():
            doctor.kill()
            killed += doctor.wait() == -signal.SIGKILL
            assert until(lambda: not list(scratch.iterdir())), (number, list(scratch.iterdir()))
            if number:
                assert until(lambda: not _left(ward)), (number, _left(ward))
            assert until(lambda: not _with_folder_in(scratch)), (number, _with_folder_in(scratch))
        said = (ward / "said").read_text()
        assert "Traceback" not in said and "go on" not in said
    assert killed == KILLS


def _with_folder_in(scratch: Path) -> list[str]:
    """Processes that were started for a doctor that works there."""
    found = []
    for process in psutil.process_iter():
        with contextlib.suppress(psutil.Error, OSError):
            if str(process.environ().get(FOLDER, "")).startswith(str(scratch)):
                found.append(f"{process.pid} {process.cmdline()}")
    return found
