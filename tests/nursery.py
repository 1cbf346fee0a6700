"""The doctor's processes and programs, forked from one process that has imported PyTorch already.

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
import pickle
import runpy
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import IO, Any

ROOT = Path(__file__).resolve().parents[1]
CHILD = "datasets_impl.doctor.process.child"
IMPORTED = (  # by the child itself, before it imports what the user names
    "torch",
    "datasets_impl.doctor.probes.loaders",
    "datasets_impl.doctor.process.examine",
    "datasets_impl.doctor.process.plan",
    "datasets_impl.doctor.process.table",
)
PR_SET_CHILD_SUBREAPER = 36  # prctl(2)
CALL = """
import pickle, sys
with open(sys.argv[1], "rb") as given, open(sys.argv[2], "wb") as found:
    function, arguments = pickle.load(given)
    pickle.dump(function(*arguments), found)
"""


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
    """Starts what `examine.begun` starts, and programs, as children of this process."""

    def __init__(self) -> None:
        self.process: subprocess.Popen[str] | None = None
        self.workers = ""  # how they start where the user does not say; "" for the platform's way

    def begun(
        self, request: Path, said: IO[str], variables: dict[str, str], program: str = CHILD
    ) -> Any:
        return self._fork(
            words=[program, str(request)], cwd=str(Path.cwd()), variables=variables,
            out=os.devnull, err=said.name, workers=self.workers,
        )  # fmt: skip

    def program(self, home: Path, code: str, *words: object, **variables: object) -> Any:
        """`python program.py WORDS` in the folder `home`; what it prints is in `out` there, and
        what it says in `err`."""
        home.mkdir(exist_ok=True)
        (home / "program.py").write_text(code)
        for name in ("out", "err"):
            (home / name).touch()
        paths = os.pathsep.join([str(ROOT), str(ROOT / "tests")])
        given = {**os.environ, "PYTHONPATH": paths, **variables}
        environment = {name: str(value) for name, value in given.items()}
        command = [str(home / "program.py"), *map(str, words)]
        if sys.platform != "linux":
            with (home / "out").open("w") as out, (home / "err").open("w") as err:
                return subprocess.Popen(
                    [sys.executable, *command], cwd=home, env=environment, stdin=subprocess.DEVNULL,
                    stdout=out, stderr=err, start_new_session=True,
                )  # fmt: skip
        return self._fork(
            words=command, cwd=str(home), variables=environment, out=str(home / "out"),
            err=str(home / "err"), workers="",
        )  # fmt: skip

    def call(self, home: Path, function: Callable[..., Any], *arguments: Any) -> Any:
        """What it returns in a process that is sent a pickle, as by spawn, and knows nothing else
        of this one."""
        (home / "given").write_bytes(pickle.dumps((function, arguments)))
        code = self.program(home, CALL, home / "given", home / "found").wait()
        assert code == 0, (home / "err").read_text()
        return pickle.loads((home / "found").read_bytes())

    def _fork(self, **order: Any) -> Forked:
        if self.process is None:
            self.process = subprocess.Popen(
                [sys.executable, __file__], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                text=True, env={**os.environ, "PYTHONPATH": str(ROOT)},
            )  # fmt: skip
        stdin, stdout = self.process.stdin, self.process.stdout
        assert stdin and stdout
        order["parent"] = os.getpid()
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
            os._exit(0)  # so that whoever waits for it becomes the parent
        else:
            become(**json.loads(line))


def become(
    parent: int, cwd: str, variables: dict[str, str], words: list[str], out: str, err: str,
    workers: str,
) -> None:  # fmt: skip
    """What `python` and `subprocess.Popen` give a new process."""
    while os.getppid() != parent:
        time.sleep(1e-3)
    os.setsid()
    os.chdir(cwd)
    os.environ.clear()
    os.environ.update(variables)
    os.write(1, f"{os.getpid()}\n".encode())
    streams = [os.open(os.devnull, os.O_RDONLY)]
    streams += [os.open(name, os.O_WRONLY | os.O_APPEND) for name in (out, err)]
    for number, file in enumerate(streams):
        os.dup2(file, number)
    os.closerange(streams[0], streams[-1] + 1)
    tempfile.tempdir = None
    sys.dont_write_bytecode = bool(variables.get("PYTHONDONTWRITEBYTECODE"))
    if workers:
        multiprocessing.set_start_method(workers, force=True)
    sys.modules["torch"].default_generator.seed()  # the standard library's sees to itself
    if "numpy.random" in sys.modules:  # NumPy imports it when it is first asked for
        sys.modules["numpy.random"].seed()
    # In place of this file's folder and of the one that this process was given.
    given = dict.fromkeys(variables["PYTHONPATH"].split(os.pathsep))  # once each, as `site` has it
    sys.argv, sys.path[:2] = words, [cwd, *given]
    if words[0] == CHILD:
        runpy.run_module(CHILD, run_name="__main__", alter_sys=True)
    else:
        runpy.run_path(words[0], run_name="__main__")


if __name__ == "__main__":
    serve()
