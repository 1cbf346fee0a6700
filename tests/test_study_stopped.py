"""A study that is stopped after its second round goes on, and leaves nothing; with asv itself."""

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
from scripts.session.publishing import is_pages
from scripts.session.state import is_session
from tests import leftovers, stand_in

ROUNDS, WHOLE = 4, 2  # how many are asked for, and how many are whole when it is stopped
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

    def in_next_round(self, pid: int) -> bool:
        """Two rounds are whole, and this process has measured the first cell of the third."""
        logs = self.out.glob(f"session/attempt-{pid}/*.jsonl")
        with suppress(FileNotFoundError):  # as a round ends, its log goes with its folder
            return any(f'"round": {WHOLE + 1}' in log.read_text() for log in logs)
        return False


@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_a_study_stopped_after_two_rounds_of_four_goes_on(tmp_path: Path) -> None:
    """Stopped in each way in turn, it comes to the results of a study that nobody disturbed.

    What those are is said below: a second study of asv itself would say no more.
    """
    before, since = leftovers.present(), time.time()
    stopped = Study(tmp_path / "stopped")
    for number, group in STOPS:
        process = stopped.start()
        while not stopped.in_next_round(process.pid):
            assert process.poll() is None, stopped.said.read_text()
            time.sleep(0.01)
        (os.killpg if group else os.kill)(process.pid, number)
        code = process.wait()
        said = stopped.said.read_text()
        assert code == (-number if number == signal.SIGKILL else 130), said
        assert ("the same command again to go on" in said) == (number != signal.SIGKILL)
        assert stopped.state()["done"] == WHOLE
        results = stopped.out / "results"  # made by the lock of a study that had no time to go
        left = {path.name for path in results.iterdir()} if results.exists() else set()
        assert left <= ({f".{HELD}.lock"} if number == signal.SIGKILL else set())
        psutil.wait_procs(stopped.processes())  # none lives on; at most it takes a moment
        if number != signal.SIGKILL:
            assert not list(temporary_parent().glob(f"{PREFIX}{process.pid}-*"))
    process = stopped.start()
    assert process.wait() == 0, stopped.said.read_text()
    assert f"Going on after round {WHOLE}" in stopped.said.read_text()
    check_results(stopped)
    check_files(stopped)
    asv_said = (stopped.out / "session" / "asv.log").read_text()
    assert asv_said.count("Discovering benchmarks") == 1, "each round imports the suite once more"
    assert leftovers.until(lambda: not stopped.processes()), "at most it takes a moment"
    assert not leftovers.left(before, since)


def check_results(study: Study) -> None:
    """Each cell was measured once in each round, and each round logs the same."""
    (path,) = study.out.glob("results/lab/????????-*.json")
    results = Results.load(str(path), machine_name="lab")
    (name,) = results.get_all_result_keys()
    params = results.get_result_params(name)
    counts = [len(samples or []) for samples in results.get_result_samples(name, params)]
    assert counts == [ROUNDS] * 2, (study.out / "session" / "asv.log").read_text()
    lines = path.with_suffix(".observations.jsonl").read_text().splitlines()
    log = [(line["round"], line["factors"]) for line in map(json.loads, lines)]
    facts = json.loads(path.with_suffix(".provenance.jsonl").read_text())
    rounds = [entry["round"] for entry in facts["rounds"]]
    assert rounds == list(range(1, ROUNDS + 1))
    once = [factors for number, factors in log if number == 1]
    assert len(once) == 2
    assert log == [(number, factors) for number in rounds for factors in once]


def check_files(study: Study) -> None:
    """Whatever is left is the session's, asv's pages, the report, or of the results."""
    assert {path.name for path in study.out.iterdir()} == {"session", "asv", "report", "results"}
    session = {path.name for path in (study.out / "session").iterdir()}
    files = {"SESSION.txt", "session.json", "corpora.json", "asv.conf.json", "asv.log"}
    assert session == {f"rounds-{ROUNDS}", *files}
    assert is_session(study.out / "session") and is_pages(study.out / "asv")
    (result,) = study.out.glob("results/lab/????????-*.json")
    kinds = {result.with_suffix(f".{kind}.jsonl").name for kind in ("provenance", "observations")}
    left = {str(path.relative_to(study.out)) for path in study.out.glob("results/**/*.*")}
    named = {"machine.json", result.name, *kinds}
    assert left == {"results/benchmarks.json", *(f"results/lab/{name}" for name in named)}
