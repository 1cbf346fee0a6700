"""Every process that trains tells of its own loops, however it was started and ends."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from conftest import ROOT

TRAINS = """
import multiprocessing, os, sys
from pathlib import Path
from datasets_impl.doctor import watch

def train(name):
    for _ in watch([0] * 40, out=Path(name)):
        sum(range(5000))

if __name__ == "__main__":
    train("own.json")
    how = sys.argv[1]
    if how == "daemon":
        if not (child := os.fork()):
            train("child.json")
            sys.exit()
        os.waitpid(child, 0)
    elif how == "worker":
        if not (child := os.fork()):
            sys.exit()
        os.waitpid(child, 0)
    else:
        child = multiprocessing.get_context(how).Process(target=train, args=("child.json",))
        child.start()
        child.join()
"""


@pytest.mark.parametrize("how", ["fork", "spawn", "daemon", "worker"])
def test_each_process_that_trains_tells_its_own_loops_once(how: str, tmp_path: Path) -> None:
    program = tmp_path / "train.py"
    program.write_text(TRAINS)
    done = subprocess.run(
        [sys.executable, program, how],
        cwd=tmp_path, env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    told = [name for name in ("own", "child") for _ in range(done.stderr.count(f"{name}.json"))]
    assert told == ["own"] + ["child"] * (how != "worker"), done.stderr
    assert (tmp_path / "child.json").exists() == (how != "worker")
    assert not (tmp_path / "own-2.json").exists()
