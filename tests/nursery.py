"""Processes for the doctor that are forked from one that has imported PyTorch already.

A new interpreter takes longer over that import than over most of the datasets in these tests.
`test_doctor_sandbox` shows that a forked process is to the user's code as a new one.
Run as a program this is the process that forks.
"""

from __future__ import annotations

import ctypes
import importlib
import json
import multiprocessing
import os
import runpy
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import IO, Any

CHILD = "datasets_impl.doctor.process.child"
IMPORTED = (  # by the child itself, before it imports what the user names
    "torch",
    "datasets_impl.doctor.probes.loaders",
    "datasets_impl.doctor.process.examine",
    "datasets_impl.doctor.process.plan",
    "datasets_impl.doctor.process.table",
)
PR_SET_CHILD_SUBREAPER = 36  # prctl(2)


class Forked:
    """A process as `subprocess.Popen` has one."""

    def __init__(self, pid: int) -> None:
        self.pid = pid
        self.returncode: int | None = None

    def poll(self) -> int | None:
        return self._ended(os.WNOHANG)

    def wait(self) -> int | None:
        return self._ended(0)

    def _ended(self, how: int) -> int | None:
        if self.returncode is None:
            try:
                pid, status = os.waitpid(self.pid, how)
            except ChildProcessError:  # psutil has waited for it: it was ended
                pid, status = self.pid, signal.SIGKILL
            self.returncode = os.waitstatus_to_exitcode(status) if pid else None
        return self.returncode


class Nursery:
    """Starts what `examine.begun` starts, as children of this process."""

    def __init__(self) -> None:
        self.process: subprocess.Popen[str] | None = None
        self.workers = ""  # how they start where the user does not say; "" for the platform's way

    def begun(self, request: Path, said: IO[str], variables: dict[str, str]) -> Any:
        if self.process is None:
            self.process = subprocess.Popen(
                [sys.executable, __file__], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                text=True, env={**os.environ, "PYTHONPATH": variables["PYTHONPATH"]},
            )  # fmt: skip
        stdin, stdout = self.process.stdin, self.process.stdout
        assert stdin and stdout
        order = {"doctor": os.getpid(), "cwd": str(Path.cwd()), "variables": variables,
                 "request": str(request), "said": said.name, "workers": self.workers}  # fmt: skip
        ctypes.CDLL(None).prctl(PR_SET_CHILD_SUBREAPER, 1)
        try:
            print(json.dumps(order), file=stdin, flush=True)
            return Forked(int(stdout.readline()))
        finally:
            ctypes.CDLL(None).prctl(PR_SET_CHILD_SUBREAPER, 0)

    def end(self) -> None:
        if self.process is not None:
            # The end of the pipe is not enough: what a test has forked, and left, holds it open.
            self.process.communicate("\n")


def serve() -> None:
    for name in IMPORTED:
        importlib.import_module(name)
    for line in iter(sys.stdin.readline, "\n"):
        if not line:
            return
        between = os.fork()
        if between:
            os.waitpid(between, 0)
        elif os.fork():
            os._exit(0)  # so that the doctor, who waits for it, becomes the parent
        else:
            become(**json.loads(line))


def become(
    doctor: int, cwd: str, variables: dict[str, str], request: str, said: str, workers: str
) -> None:
    """What `python -m` and `subprocess.Popen` give a new process."""
    while os.getppid() != doctor:
        time.sleep(1e-3)
    os.setsid()
    os.chdir(cwd)
    os.environ.clear()
    os.environ.update(variables)
    os.write(1, f"{os.getpid()}\n".encode())
    nothing, errors = os.open(os.devnull, os.O_RDWR), os.open(said, os.O_WRONLY | os.O_APPEND)
    for number, file in enumerate((nothing, nothing, errors)):
        os.dup2(file, number)
    os.closerange(nothing, errors + 1)
    tempfile.tempdir = None
    if workers:
        multiprocessing.set_start_method(workers, force=True)
    sys.modules["torch"].default_generator.seed()  # the standard library's sees to itself
    if "numpy.random" in sys.modules:  # NumPy imports it when it is first asked for
        sys.modules["numpy.random"].seed()
    sys.argv, sys.path[0] = [CHILD, request], cwd
    runpy.run_module(CHILD, run_name="__main__", alter_sys=True)


if __name__ == "__main__":
    serve()
