"""The doctor's side of the probes: whatever the user's code does in theirs, it goes on.

Probes run in a process of their own (see `child`). When one hangs or takes the process with it, a
new process goes on with the next. Samples that hang or end the process while they are looked at are
named, and avoided from then on.
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from datasets_impl.doctor.attribution import DOCTOR, is_own

LOADING = 60.0  # seconds that importing and making the dataset may take
GRACE = 3.0  # seconds that a probe gets beyond its time, to end by itself
OVER = 1.25  # times the budget, after which nothing more is begun
POLL = 0.05
CONFIRMING = 5.0  # seconds
LOOK = "look"  # the probe that tells of every sample that it begins to read
MOST_STUCK = 2  # samples that may hang


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
    late: list[str] = field(default_factory=list)  # probes that there was no time for
    stuck: list[list[Any]] = field(default_factory=list)  # [index, why] of samples to be avoided
    user_error: str = ""  # a sentence for somebody who named the wrong target
    partial: dict[str, Any] = field(default_factory=dict)  # of the probe that looks at samples
    spent: float = 0.0  # seconds in probes

    @property
    def settled(self) -> set[str]:
        return {*self.answers, *self.failures, *self.late}

    @property
    def avoid(self) -> list[int]:
        """Indices that hang or end the process, and those that raised."""
        broken: list[int] = self.answers.get(LOOK, {}).get("broken", [])
        return [*broken, *(index for index, _ in self.stuck)]


def examine(
    target: str,
    kwargs: dict[str, Any],
    asked: Sequence[Ask],
    started: Callable[[str], object] = lambda _: None,
) -> Heard:
    """Answers of all probes; `started` is told each one's name."""
    heard, missing = Heard(), list(asked)
    allowed = OVER * sum(ask.seconds for ask in asked)
    while missing:
        _run(target, kwargs, missing, allowed, heard, started)
        if heard.user_error or "" in heard.failures:
            break
        missing = [
            ask
            for ask in missing
            if ask.probe not in heard.settled and not (ask.needs and ask.needs in heard.failures)
        ]
    if LOOK in heard.answers:
        heard.answers[LOOK]["stuck"] = heard.stuck
    _confirm(target, kwargs, heard)
    return heard


def _confirm(target: str, kwargs: dict[str, Any], heard: Heard) -> None:
    """That workers draw equal numbers counts only in a process that has read no sample before:
    a generator that a dataset makes at its first read would else be the trainer's."""
    answer = heard.answers.get("repeated", {})
    if not answer.get("workers_equal"):
        return
    again = Heard(answers={LOOK: heard.answers[LOOK]})
    ask = Ask("drawn", CONFIRMING, options={"index": answer["varied"]})
    _run(target, kwargs, [ask], CONFIRMING * OVER, again, lambda _: None)
    answer["workers_equal"] = bool(again.answers.get("drawn"))


def _run(
    target: str,
    kwargs: dict[str, Any],
    asked: Sequence[Ask],
    allowed: float,
    heard: Heard,
    started: Callable[[str], object],
) -> None:
    """One process, until it ends or a probe of it is late. Each settles a probe, or a sample."""
    with tempfile.TemporaryDirectory(prefix="doctor-", ignore_cleanup_errors=True) as folder:
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
                    "folder": folder,
                    "left": allowed - heard.spent,
                    "avoid": heard.avoid,
                    "cost": heard.answers.get(LOOK, {}).get("cost", 0.0),
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
    own = str(Path(DOCTOR).parents[1])
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
    running, lines = "", 0
    begun, limit = time.monotonic(), LOADING
    while True:
        ended = child.poll() is not None
        for record in _complete_lines(answers)[lines:]:
            lines += 1
            probe = record["probe"]
            if "limit" in record:  # it begins, or begins with another sample
                begun, limit = time.monotonic(), record["limit"]
                heard.partial = record.get("partial", {})
                if probe != running:
                    started(probe)
                running = probe
                continue
            if running:
                heard.spent += time.monotonic() - begun
                begun = time.monotonic()
            if "answer" in record:
                heard.answers[probe] = record["answer"]
            elif "late" in record:
                heard.late.append(probe)
            elif "user_error" in record:
                heard.user_error = record["user_error"]
            else:
                heard.failures[probe] = record["error"]
        if ended:
            if running not in heard.settled and len(heard.settled) < len(asked):
                _fail(heard, running, _death(child.returncode, said))
            return
        if time.monotonic() - begun > limit:
            if running not in heard.settled:
                heard.spent += time.monotonic() - begun
                _fail(heard, running, f"it took longer than {limit:.0f} s{_where(stacks)}")
            return
        time.sleep(POLL)


def _fail(heard: Heard, probe: str, why: str) -> None:
    """Of the probe that looks at samples, what it saw counts, and others than the one it died of
    are tried."""
    if heard.user_error:
        return
    seen = heard.partial
    if probe != LOOK or not seen:
        heard.failures[probe] = why
        return
    heard.stuck.append([seen["reading"], why])
    if not seen["iterable"] and len(heard.stuck) < min(MOST_STUCK, seen["length"] or MOST_STUCK):
        return
    if seen["seen"]:
        heard.answers[LOOK] = seen
    else:
        heard.failures[LOOK] = why


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
        place = line.strip().removeprefix("File ")
        file = place.partition('"')[2].partition('"')[0]
        if file and is_own(file) and not file.startswith(DOCTOR):
            return f"; it stood at {place}"
    return ""


def _death(code: int, said: Path) -> str:
    if code < 0:
        return f"its process was ended by {signal.Signals(-code).name}"
    last = said.read_text(errors="replace").strip().splitlines()[-1:] or ["it said nothing"]
    return f"its process ended with code {code}: {last[0]}"
