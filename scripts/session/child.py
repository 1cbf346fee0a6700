"""Run a child process so that it never outlives its parent, and stop it cleanly."""

from __future__ import annotations

import signal
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

from datasets_impl.errors import BAD_INPUT, StudyError
from datasets_impl.system.termination import end_with_parent
from scripts.root import ROOT

GRACE_SECONDS = 20


def _prepare() -> None:
    """Make the child interruptible, and interrupt it when its parent dies, even by SIGKILL.

    A shell's background jobs ignore SIGINT, and children inherit that. The second part needs Linux.
    """
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    end_with_parent(signal.SIGINT)


@contextmanager
def child(
    command: Sequence[str], environment: Mapping[str, str], output: Path | None
) -> Iterator[subprocess.Popen[bytes]]:
    """Start `command` in the project's folder; on the way out it is interrupted, then killed."""
    sink = output.open("ab") if output else None
    process = subprocess.Popen(
        command,
        cwd=ROOT,
        env=dict(environment),
        stdin=subprocess.DEVNULL,
        stdout=sink,
        stderr=subprocess.STDOUT if sink else None,
        preexec_fn=_prepare,
    )
    try:
        yield process
    finally:
        if process.poll() is None:
            # asv stops its server and the benchmark in it when interrupted, not when terminated.
            process.send_signal(signal.SIGINT)
            try:
                process.wait(GRACE_SECONDS)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
        if sink:
            sink.close()


def run_child(
    command: Sequence[str],
    environment: Mapping[str, str],
    what: str,
    inherit_output: bool = False,
    output: Path | None = None,
) -> None:
    """Run `command` to its end.

    Raises:
        StudyError: it ended with an error; a child that has already printed one sentence (exit
            code 2) is not repeated.
    """
    with child(command, environment, None if inherit_output else output) as process:
        code = process.wait()
    if code == BAD_INPUT and inherit_output:
        raise SystemExit(BAD_INPUT)
    if code:
        raise _failed(what, code, f"the end of {output}" if output else "what is printed above")


def answer(command: Sequence[str], environment: Mapping[str, str], what: str) -> str:
    """What `command` prints.

    Raises:
        StudyError: see `run_child`.
    """
    done = subprocess.run(
        command, cwd=ROOT, env=dict(environment), stdout=subprocess.PIPE, text=True
    )
    if done.returncode == BAD_INPUT:
        raise SystemExit(BAD_INPUT)
    if done.returncode:
        raise _failed(what, done.returncode, "what is printed above")
    return done.stdout


def _failed(what: str, code: int, why: str) -> StudyError:
    return StudyError(
        f"{what} failed with exit code {code}; {why} says why: mend that, and run it again."
    )
