"""The doctor's side of the probes: whatever the user's code does in theirs, it goes on.

Probes run in a process of their own (see `child`). When one hangs or takes the process with it, a
new process goes on with the next. Samples that hang or end the process while they are looked at are
named, and avoided from then on.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any

from datasets_impl.doctor.probes.own_code import DOCTOR
from datasets_impl.doctor.probes.raised import GUARD
from datasets_impl.doctor.process.deaths import NOTHING_READ, Sample, death, overran, where
from datasets_impl.doctor.process.printable import shown_in
from datasets_impl.doctor.process.sandbox import environment, sandbox
from datasets_impl.errors import StudyError

LOADING = 60.0  # seconds that importing and making the dataset may take
GRACE = 5.0  # seconds that a probe gets beyond its time, to end by itself
DUMPING = 1.0  # seconds, to write down where it stands
OVER = 1.25  # times the budget, after which nothing more is begun, and soon all is ended
AGAIN = 15.0  # seconds beyond it, to make the dataset anew after a sample that hangs
POLL = 0.05
CONFIRMING = 5.0  # seconds
LOOK = "look"  # the probe that tells of every sample that it begins to read
MOST_STUCK = 2  # samples that may hang
LONGEST_HEARD = 4000  # characters of a text: lines of code are long, and are not to be cut
SLOWER = 20.0  # times a usual sample, before one that is still being read is taken to hang


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
    looked: dict[str, Any] = field(default_factory=dict)  # the same, once a sample was seen
    until: float | None = None  # on the monotonic clock; from when on nothing more is begun

    @property
    def left(self) -> float:
        """Seconds; the first import and the making of the dataset take none of them."""
        return float("inf") if self.until is None else self.until - time.monotonic()

    @property
    def cost(self) -> float:
        """Seconds of a sample, 0 while that is not known."""
        return float(self.answers.get(LOOK, {}).get("cost", 0.0))

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
    """Answers of all probes; `started` is told each one's name.

    From the first probe on it takes `OVER` times the probes' seconds at most, and `AGAIN` more.
    """
    heard, missing = Heard(), list(asked)
    allowed = AGAIN + OVER * sum(ask.seconds for ask in asked)
    while missing and heard.left > 0:
        _run(target, kwargs, missing, allowed, heard, started)
        if heard.user_error or "" in heard.failures:
            break
        missing = [
            ask
            for ask in missing
            if ask.probe not in heard.settled and not (ask.needs and ask.needs in heard.failures)
        ]
    heard.late += [ask.probe for ask in missing if ask.probe not in heard.settled]
    if LOOK in heard.late and heard.looked:
        heard.late.remove(LOOK)
        heard.answers[LOOK] = heard.looked
    elif LOOK in heard.late:
        heard.failures[LOOK] = _over_sample(*heard.stuck[0]) if heard.stuck else "it was too late"
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
    with sandbox() as place:
        files = {name: place.folder / name for name in ("answers", "stacks", "said", "reading")}
        files["answers"].touch()
        files["reading"].write_bytes(NOTHING_READ)
        request = place.folder / "request"
        request.write_text(
            json.dumps(
                {
                    "target": target,
                    "kwargs": kwargs,
                    "asked": [[ask.probe, ask.seconds, ask.options] for ask in asked],
                    "folder": str(place.folder),
                    "doctor": os.getpid(),
                    "allowed": allowed,
                    "until": heard.until,
                    "avoid": heard.avoid,
                    "cost": heard.cost,
                    "bytes": heard.answers.get(LOOK, {}).get("bytes", 0.0),
                }
            )
        )
        with files["said"].open("w") as errors:
            own = {**environment(place.folder), "PYTHONPATH": _python_path()}
            child = begun(request, errors, {**os.environ, **own})
        place.session = child.pid
        try:
            _Followed(child, files, allowed, heard, started).until_its_end()
        except FileNotFoundError as error:
            raise StudyError(
                f"{place.folder}, where the doctor works, was deleted while the dataset was "
                "looked at; see whether the dataset deletes temporary files."
            ) from error
    child.wait()


def begun(request: Path, said: IO[str], variables: dict[str, str]) -> subprocess.Popen[bytes]:
    """The process that answers a request, in a session of its own and with these `variables`."""
    return subprocess.Popen(
        [sys.executable, "-m", "datasets_impl.doctor.process.child", str(request)],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=said,
        start_new_session=True,
        env=variables,
    )


def _python_path() -> str:
    """This package is found from wherever the user's code changes to."""
    own = str(Path(DOCTOR).parents[1])
    return os.pathsep.join([own, *filter(None, [os.environ.get("PYTHONPATH")])])


class _Followed:
    """What a process of probes says, and how long it takes over it."""

    def __init__(
        self,
        child: subprocess.Popen[bytes],
        files: dict[str, Path],
        allowed: float,
        heard: Heard,
        started: Callable[[str], object],
    ) -> None:
        self.child, self.files, self.allowed = child, files, allowed
        self.heard, self.started = heard, started
        self.probe, self.lines = "", 0
        self.begun, self.limit = time.monotonic(), LOADING
        self.sample = Sample(files["reading"])

    def until_its_end(self) -> None:
        while True:
            ended = self.child.poll() is not None
            for record in _complete_lines(self.files["answers"])[self.lines :]:
                self.lines += 1
                self._hear(record)
            self.sample.look()
            if ended or self._is_over():
                if self.probe not in self.heard.settled:
                    self._fail(ended)
                return
            time.sleep(POLL)

    def _is_over(self) -> bool:
        return time.monotonic() - self.begun > self.limit + DUMPING or self.heard.left < -GRACE

    def _hear(self, record: dict[str, Any]) -> None:
        heard, probe = self.heard, record["probe"]
        if "limit" in record:  # it begins, or begins with another sample
            self.begun, self.limit = time.monotonic(), record["limit"]
            heard.until = heard.until or self.begun + self.allowed
            heard.partial = record.get("partial", {})
            if heard.partial.get("seen"):
                heard.looked = heard.partial
            if probe != self.probe:
                self.started(probe)
            self.probe = probe
        elif "answer" in record:
            heard.answers[probe] = record["answer"]
        elif "late" in record:
            heard.late.append(probe)
        elif "user_error" in record and not heard.answers:
            heard.user_error = record["user_error"]
        else:
            heard.failures[probe] = record.get("error") or record["user_error"].rstrip(".")

    def _fail(self, ended: bool) -> None:
        """A sample that is to blame is avoided from now on, and the probe asked again."""
        heard, sample = self.heard, self.sample.index
        if heard.user_error or (not self.probe and heard.until):
            return  # there was no time to make the dataset once more
        late = not ended or overran(self.files["stacks"])
        if late:
            why = f"it took longer than {self.limit:.0f} s{where(self.files['stacks'])}"
            if not self.probe:
                why += f"; {GUARD}"
        else:
            why = death(self.child.returncode, self.files["said"])
        if self.probe == LOOK and heard.partial:
            return _fail_looking(heard, why)
        if sample is not None and (not late or self.sample.age > max(GRACE, SLOWER * heard.cost)):
            heard.stuck.append([sample, why])
            if len(heard.stuck) <= MOST_STUCK:
                return
        heard.failures[self.probe] = why


def _fail_looking(heard: Heard, why: str) -> None:
    """What was seen counts, and others than the sample it died of are tried."""
    seen = heard.partial
    heard.stuck.append([seen["reading"], why])
    if not seen["iterable"] and len(heard.stuck) < min(MOST_STUCK, seen["length"] or MOST_STUCK):
        return
    if seen["seen"]:
        heard.answers[LOOK] = seen
    else:
        heard.failures[LOOK] = _over_sample(seen["reading"], why)


def _over_sample(index: int, why: str) -> str:
    return f"while sample {index} was read, {why}"


def _complete_lines(path: Path) -> list[dict[str, Any]]:
    text = path.read_text(encoding="utf-8")
    return [
        shown_in(json.loads(line), LONGEST_HEARD)
        for line in text[: text.rfind("\n") + 1].splitlines()
    ]
