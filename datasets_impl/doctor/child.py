"""Probes in a process of their own: whatever the user's code does, the doctor goes on.

Run as `python -m datasets_impl.doctor.child REQUEST ANSWERS`. The probes of a request run one after
the other and each answer is written down at once, as a line of JSON. When one hangs or takes the
process with it, a new process goes on with the next. What the user's code prints is thrown away.
"""

from __future__ import annotations

import contextlib
import faulthandler
import json
import os
import signal
import subprocess
import sys
import tempfile
import time
import traceback
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

LOADING = 60.0  # seconds that importing and making the dataset may take
GRACE = 3.0  # seconds that a probe gets beyond its time, to end by itself
POLL = 0.05
PACKAGE = str(Path(__file__).resolve().parents[1])


@dataclass(frozen=True)
class Ask:
    """A probe by name, the seconds it should take, and what else it is told.

    It is left out when the probe that it `needs` has failed: where one sample cannot be read at
    all, waiting for others tells nothing.
    """

    probe: str
    seconds: float
    needs: str = ""
    options: dict[str, Any] = field(default_factory=dict)


@dataclass
class Heard:
    """Answers by probe; what failed, as a sentence by probe; "" is the target itself."""

    answers: dict[str, Any] = field(default_factory=dict)
    failures: dict[str, str] = field(default_factory=dict)
    user_error: str = ""  # a sentence for somebody who named the wrong target


def examine(
    target: str,
    kwargs: dict[str, Any],
    asked: Sequence[Ask],
    started: Callable[[str], object] = lambda _: None,
) -> Heard:
    """Answers of all probes; `started` is told each one's name."""
    heard, missing = Heard(), list(asked)
    while missing:
        _run(target, kwargs, missing, heard, started)
        if heard.user_error or "" in heard.failures:
            break
        settled = heard.answers.keys() | heard.failures.keys()
        missing = [
            ask
            for ask in missing
            if ask.probe not in settled and not (ask.needs and ask.needs in heard.failures)
        ]
    return heard


def _run(
    target: str,
    kwargs: dict[str, Any],
    asked: Sequence[Ask],
    heard: Heard,
    started: Callable[[str], object],
) -> None:
    """One process, until it ends or a probe of it is late. At least one probe is settled."""
    with tempfile.TemporaryDirectory(prefix="doctor-") as folder:
        request, answers, stacks, said = (
            Path(folder) / name for name in ("request", "answers", "stacks", "said")
        )
        answers.touch()
        request.write_text(
            json.dumps(
                {
                    "target": target,
                    "kwargs": kwargs,
                    "asked": [[ask.probe, ask.seconds, ask.options] for ask in asked],
                    "stacks": str(stacks),
                }
            )
        )
        command = [sys.executable, "-m", "datasets_impl.doctor.child", str(request), str(answers)]
        with said.open("w") as errors:
            child = subprocess.Popen(
                command,
                stdout=subprocess.DEVNULL,
                stderr=errors,
                start_new_session=True,
                # Temporary files of the user's code, and of ours, go with the folder.
                env={**os.environ, "TMPDIR": folder, "PYTHONPATH": _python_path()},
            )
        try:
            _follow(child, asked, answers, stacks, said, heard, started)
        finally:
            _end_group(child.pid)
            child.wait()


def _python_path() -> str:
    """This package is found from wherever the user's code changes to."""
    own = str(Path(PACKAGE).parent)
    return os.pathsep.join([own, *filter(None, [os.environ.get("PYTHONPATH")])])


def _follow(
    child: subprocess.Popen[bytes],
    asked: Sequence[Ask],
    answers: Path,
    stacks: Path,
    said: Path,
    heard: Heard,
    started: Callable[[str], object],
) -> None:
    seconds = {ask.probe: ask.seconds for ask in asked}
    running, deadline, lines = "", time.monotonic() + LOADING, 0
    while True:
        ended = child.poll() is not None
        for record in _complete_lines(answers)[lines:]:
            lines += 1
            probe = record["probe"]
            if "started" in record:
                running = probe
                deadline = time.monotonic() + seconds[probe] + GRACE
                started(probe)
            elif "answer" in record:
                heard.answers[probe] = record["answer"]
            elif "user_error" in record:
                heard.user_error = record["user_error"]
            else:
                heard.failures[probe] = record["error"]
        settled = running in heard.answers or running in heard.failures
        if ended:
            if not settled and not heard.user_error and len(heard.answers) < len(asked):
                heard.failures[running] = _death(child.returncode, said)
            return
        if time.monotonic() > deadline:
            if not settled:
                limit = seconds.get(running, LOADING) + (GRACE if running else 0)
                heard.failures[running] = f"it took longer than {limit:.0f} s{_where(stacks)}"
            return
        time.sleep(POLL)


def _complete_lines(path: Path) -> list[dict[str, Any]]:
    text = path.read_text(encoding="utf-8")
    return [json.loads(line) for line in text[: text.rfind("\n") + 1].splitlines()]


def _end_group(pid: int) -> None:
    """The probe's process and the workers it left behind."""
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(pid, signal.SIGKILL)


def _where(stacks: Path) -> str:
    """The innermost line of the dump that is the user's: not a library's, not the doctor's."""
    try:
        lines = stacks.read_text().splitlines()
    except OSError:
        return ""
    for line in lines:
        place = line.strip()
        if place.startswith("File ") and not any(
            part in place for part in ("site-packages", "/lib/python", "<frozen", PACKAGE)
        ):
            return f"; it stood at {place.removeprefix('File ')}"
    return ""


def _death(code: int, said: Path) -> str:
    if code < 0:
        return f"its process was ended by {signal.Signals(-code).name}"
    last = said.read_text(errors="replace").strip().splitlines()[-1:] or ["it said nothing"]
    return f"its process ended with code {code}: {last[0]}"


def main(arguments: list[str]) -> int:
    request = json.loads(Path(arguments[0]).read_text())
    with (
        Path(arguments[1]).open("a", encoding="utf-8", buffering=1) as answers,
        Path(request["stacks"]).open("w") as stacks,
    ):

        def tell(record: dict[str, Any]) -> None:
            answers.write(json.dumps(record) + "\n")

        faulthandler.dump_traceback_later(LOADING - 1, file=stacks)
        try:
            _answer_all(request, tell, stacks)
        except BaseException as error:
            from datasets_impl.errors import StudyError

            known = isinstance(error, StudyError)
            tell({"probe": "", "user_error" if known else "error": _sentence(error)})
        faulthandler.cancel_dump_traceback_later()
    sys.stdout.flush()
    os._exit(0)  # without waiting for threads and workers of the user's


def _answer_all(
    request: dict[str, Any], tell: Callable[[dict[str, Any]], None], stacks: Any
) -> None:
    import torch

    from datasets_impl.doctor.probes import PROBES
    from datasets_impl.doctor.target import load

    # As in a worker; and a second thread that a neighbour keeps from running makes the first wait.
    torch.set_num_threads(1)
    subject = load(request["target"], request["kwargs"])
    for name, seconds, options in request["asked"]:
        stacks.seek(0)
        stacks.truncate()
        tell({"probe": name, "started": True})
        faulthandler.dump_traceback_later(seconds + GRACE / 2, file=stacks)
        try:
            tell({"probe": name, "answer": PROBES[name](subject, seconds, **options)})
        except Exception as error:
            tell({"probe": name, "error": _sentence(error)})


def _sentence(error: BaseException) -> str:
    """What was raised, and the innermost line of the user's."""
    from datasets_impl.errors import StudyError

    if isinstance(error, StudyError):
        return str(error)
    own = [
        frame for frame in traceback.extract_tb(error.__traceback__)
        if PACKAGE not in frame.filename and "site-packages" not in frame.filename
    ]  # fmt: skip
    place = f" ({own[-1].filename}:{own[-1].lineno})" if own else ""
    said = " ".join(str(error).split())
    return f"{type(error).__name__}: {said[:300]}{place}"


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
