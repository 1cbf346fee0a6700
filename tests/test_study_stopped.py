"""A study that is stopped in its second round goes on, and leaves nothing; with asv itself."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path
from typing import Any

import psutil
import pytest
import torchvision as torchvision  # makes a folder of PyTorch's own, as the study's import does
from asv.results import Results

from datasets_impl.media.workspaces import temporary_parent
from datasets_impl.system.owners import PREFIX
from scripts.root import ROOT
from scripts.session.measuring import HELD
from tests import leftovers, stand_in

ROUNDS = 2
STOPS = [  # the signal; whether the whole process group gets it, as from a terminal or an init
    (signal.SIGINT, True),
    (signal.SIGTERM, True),
    (signal.SIGKILL, False),
    (signal.SIGKILL, True),
]


class Study:
    """A small study whose samples come from a worker process, in a folder of its own."""

    def __init__(self, home: Path) -> None:
        home.mkdir()
        self.out = home / "out"
        self.environment = {
            **os.environ,
            "HOME": str(home),
            **stand_in.without_torchvision(home, ROOT),
            "DATASET_STUDY_CACHE": str(home / "cache"),
        }
        self.said = home / "said.txt"

    def start(self) -> subprocess.Popen[bytes]:
        command = [sys.executable, "-m", "scripts.study", "--bench", r"^controls\.Transport\."]
        command += ["--rounds", str(ROUNDS), "--out", str(self.out), "--machine", "lab"]
        with self.said.open("wb") as said:
            return subprocess.Popen(
                command,
                cwd=ROOT,
                env=self.environment,
                stdin=subprocess.DEVNULL,
                stdout=said,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )

    def state(self) -> dict[str, Any]:
        path = self.out / "session" / "session.json"
        return dict(json.loads(path.read_text())) if path.exists() else {}

    def processes(self) -> list[psutil.Process]:
        """All that this study started and that still run, wherever they hang in the tree."""
        found = []
        for process in psutil.process_iter():
            try:
                if process.environ().get("HOME") == self.environment["HOME"]:
                    found.append(process)
            except (psutil.Error, OSError):
                continue
        return found

    def in_second_round(self, pid: int) -> bool:
        """One round is whole, and this process has measured the first cell of the second."""
        logs = self.out.glob(f"session/attempt-{pid}/*.jsonl")
        with suppress(FileNotFoundError):  # as a round ends, its log goes with its folder
            return any('"round": 2' in log.read_text() for log in logs)
        return False


def tree(study: Study) -> set[str]:
    names = {str(path.relative_to(study.out)) for path in study.out.rglob("*")}
    return {name for name in names if not name.startswith("report/")}  # figures of what is clear


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_a_study_stopped_after_one_round_of_two_goes_on(tmp_path: Path) -> None:
    """Stopped in each way in turn, it comes to the results of a study that nobody disturbed."""
    before, since = leftovers.present(), time.time()
    stopped, undisturbed = Study(tmp_path / "stopped"), Study(tmp_path / "undisturbed")
    beside = undisturbed.start()
    for number, group in STOPS:
        process = stopped.start()
        while not stopped.in_second_round(process.pid):
            assert process.poll() is None, stopped.said.read_text()
            time.sleep(0.01)
        (os.killpg if group else os.kill)(process.pid, number)
        code = process.wait()
        said = stopped.said.read_text()
        assert code == (-number if number == signal.SIGKILL else 130), said
        assert ("the same command again to go on" in said) == (number != signal.SIGKILL)
        assert stopped.state()["done"] == 1
        results = stopped.out / "results"  # made by the lock of a study that had no time to go
        left = {path.name for path in results.iterdir()} if results.exists() else set()
        assert left <= ({f".{HELD}.lock"} if number == signal.SIGKILL else set())
        psutil.wait_procs(stopped.processes())  # none lives on; at most it takes a moment
        if number != signal.SIGKILL:
            assert not list(temporary_parent().glob(f"{PREFIX}{process.pid}-*"))
    process = stopped.start()
    assert process.wait() == 0, stopped.said.read_text()
    assert "Going on after round 1" in stopped.said.read_text()
    assert beside.wait() == 0, undisturbed.said.read_text()
    assert shape(stopped) == shape(undisturbed)
    for study in (stopped, undisturbed):
        assert not study.processes()
    assert not leftovers.left(before, since)


def shape(study: Study) -> Any:
    """What was measured, once in each round; what a round logs; and every file that is left."""
    (path,) = study.out.glob("results/lab/????????-*.json")
    results = Results.load(str(path), machine_name="lab")
    (name,) = results.get_all_result_keys()
    params = results.get_result_params(name)
    counts = [len(samples or []) for samples in results.get_result_samples(name, params)]
    assert set(counts) == {ROUNDS}, (study.out / "session" / "asv.log").read_text()
    lines = path.with_suffix(".observations.jsonl").read_text().splitlines()
    log = [(line["round"], line["factors"]) for line in map(json.loads, lines)]
    facts = json.loads(path.with_suffix(".provenance.jsonl").read_text())
    rounds = [entry["round"] for entry in facts["rounds"]]
    assert rounds == list(range(1, ROUNDS + 1))
    once = [factors for number, factors in log if number == 1]
    assert log == [(number, factors) for number in rounds for factors in once]
    return name, params, once, tree(study)
