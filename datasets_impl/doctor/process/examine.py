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
from pathlib import Path
from typing import IO, Any

from datasets_impl.doctor.probes.raised import GUARD
from datasets_impl.doctor.probes.reading import HANG, files_of
from datasets_impl.doctor.process.clearing import told_to_end
from datasets_impl.doctor.process.deaths import Sample, death, overran, where, worker_death
from datasets_impl.doctor.process.heard import LOOK, Ask, Heard, complete_lines
from datasets_impl.doctor.process.sandbox import environment, sandbox
from datasets_impl.doctor.process.stacks import places_of, written
from datasets_impl.doctor.process.workers import Workers
from datasets_impl.errors import StudyError

LOADING = 60.0  # seconds that importing and making the dataset may take
ENDING = 3.0  # seconds that these get then, to end as at a Ctrl-C, before they are killed
GRACE = 5.0  # seconds that a probe gets beyond its time, to end by itself
DUMPING = 1.0  # seconds, to write down where it stands
OVER, END = 1.2, 1.3  # times the budget, after which nothing more is begun, and all is ended
POLL = 0.05
CONFIRMING = 5.0  # seconds
RESTARTING = 12.0  # seconds, most of which workers take to import PyTorch
MOST_STUCK = 2  # samples that may hang
SLOWER = 20.0  # times a usual sample, before one that is still being read is taken to hang


def examine(
    target: str,
    kwargs: dict[str, Any],
    asked: Sequence[Ask],
    started: Callable[[str], object] = lambda _: None,
) -> Heard:
    """Answers of all probes; `started` is told each one's name.

    From the first probe on it takes `END` times the probes' seconds at most.
    """
    heard, missing = Heard(), list(asked)
    allowed = OVER * sum(ask.seconds for ask in asked)
    while missing and heard.left > 0:
        _run(target, kwargs, missing, allowed, heard, started)
        if heard.user_error or "" in heard.failures:
            break
        missing = [
            ask
            for ask in missing
            if ask.probe not in heard.settled and not (ask.needs and ask.needs in heard.failures)
        ]
        if heard.writes:  # made a second time, it may be ended half way
            break
    left = [ask.probe for ask in missing if ask.probe not in heard.settled]
    once = heard.writes if heard.left > 0 else ""
    heard.late += left
    if LOOK in heard.late and heard.looked:
        heard.late.remove(LOOK)
        heard.answers[LOOK] = heard.looked
    elif LOOK in heard.late:
        why = f"the dataset is made only once, as making it {once}" if once else "it was too late"
        heard.failures[LOOK] = _over_sample(*heard.stuck[0][:2]) if heard.stuck else why
    if LOOK in heard.answers:
        heard.answers[LOOK]["stuck"] = heard.stuck
    if once:
        heard.once = [probe for probe in left if probe != LOOK]
        heard.late = [probe for probe in heard.late if probe not in left]
    _confirm(target, kwargs, heard)
    _restart(target, kwargs, heard)
    return heard


def _confirm(target: str, kwargs: dict[str, Any], heard: Heard) -> None:
    """That workers or epochs draw equal numbers counts only in a process that has read no sample
    before: a generator that a dataset makes at its first read would else be the trainer's."""
    answer = heard.answers.get("repeated", {})
    equal = [one for one in ("workers_equal", "epochs_equal") if answer.get(one)]
    if not equal:
        return
    answer |= dict.fromkeys(equal, False)
    if heard.hung or heard.left <= 0:
        return
    ask = Ask("drawn", CONFIRMING, options={"index": answer["varied"]})
    drawn = _asked_anew(target, kwargs, heard, ask).get("drawn", {})
    answer |= {one: bool(drawn.get(one)) for one in equal}


def _restart(target: str, kwargs: dict[str, Any], heard: Heard) -> None:
    """Where forked workers hang over a lock, whether those that are not forked would go on."""
    sent = heard.answers.get("pickled", {"refused": True})
    if LOOK not in heard.answers or not heard.hung.get("lock"):
        return
    if sent["refused"] or heard.left < RESTARTING / 2:
        return
    ask = Ask("restarted", min(RESTARTING, heard.left))
    heard.answers |= _asked_anew(target, kwargs, heard, ask)


def _asked_anew(target: str, kwargs: dict[str, Any], heard: Heard, ask: Ask) -> dict[str, Any]:
    """The answer in a process of its own, by the probe's name; nothing without one."""
    if heard.writes:
        heard.once.append(ask.probe)
        return {}
    again = Heard(answers={LOOK: heard.answers[LOOK]}, until=heard.until)
    _run(target, kwargs, [ask], heard.left, again, lambda _: None)
    return {name: again.answers[name] for name in [ask.probe] if name in again.answers}


def _run(
    target: str, kwargs: dict[str, Any], asked: Sequence[Ask], allowed: float, heard: Heard,
    started: Callable[[str], object],
) -> None:  # fmt: skip
    """One process, until it ends or a probe of it is late. Each settles a probe, or a sample."""
    with sandbox() as place:
        files = {name: place.folder / name for name in ("answers", "stacks", "said")}
        files["answers"].touch()
        request = place.folder / "request"
        request.write_text(
            json.dumps(
                {
                    "target": target,
                    "kwargs": kwargs,
                    "asked": [[ask.probe, ask.seconds, ask.options] for ask in asked],
                    "folder": str(place.folder),
                    "allowed": allowed,
                    "until": heard.until,
                    "slack": slack(allowed),
                    "beyond": allowed * (1 - 1 / OVER),  # the budget
                    "workers_hang": bool(heard.hung),
                    "avoid": heard.avoid,
                    "cost": heard.cost,
                    "bytes": heard.answers.get(LOOK, {}).get("bytes", 0.0),
                    "answers": heard.answers,
                }
            )
        )
        with files["said"].open("w") as errors:
            child = begun(request, errors, {**os.environ, **environment(place.folder)})
        place.work(child.pid)
        try:
            _Followed(child, place.folder, allowed, heard, started).until_its_end()
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
        stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=said,
        start_new_session=True, env=variables,
    )  # fmt: skip


class _Followed:
    """What a process of probes says, and how long it takes over it."""

    def __init__(
        self, child: subprocess.Popen[bytes], folder: Path, allowed: float, heard: Heard,
        started: Callable[[str], object],
    ) -> None:  # fmt: skip
        self.child, self.folder, self.allowed = child, folder, allowed
        self.heard, self.started = heard, started
        self.probe, self.lines, self.told = "", 0, False
        self.begun, self.limit = time.monotonic(), LOADING
        self.sample = Sample(files_of(folder, child.pid)[0])
        self.workers = Workers(folder, child.pid)
        self.avoided, self.again = set(heard.avoid), set[str]()  # samples; probes to be asked again

    def until_its_end(self) -> None:
        while True:
            ended = self.child.poll() is not None
            for record in complete_lines(self.folder / "answers")[self.lines :]:
                self.lines += 1
                self._hear(record)
            self.sample.look()
            hang = self.workers.hang(self._patience)
            if ended or hang or self._is_over():
                if self.probe not in {*self.heard.settled, *self.again}:
                    self._fail(ended)
                return
            if not (self.probe or self.told) and time.monotonic() > self._ends:
                self.told = told_to_end(self.child.pid)
            time.sleep(POLL)

    def _hung(self) -> dict[str, Any]:
        return self.workers.hung(written(self.folder / "stacks"), self._patience)

    @property
    def _patience(self) -> float:
        """Seconds that a sample may take."""
        return max(GRACE, SLOWER * self.heard.cost)

    @property
    def _ends(self) -> float:
        """When a probe is over its time, and was able to write down where it stands."""
        return self.begun + self.limit + DUMPING

    def _is_over(self) -> bool:
        late = time.monotonic() > self._ends + (0.0 if self.probe else ENDING)
        return late or self.heard.left < -slack(self.allowed)

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
        elif "writes" in record:
            heard.writes = record["writes"]
        elif "answer" in record:
            heard.answers[probe] = record["answer"]
        elif "late" in record:
            heard.late.append(probe)
        elif "user_error" in record and not heard.answers:
            heard.user_error = record["user_error"]
        elif self._to_be_avoided(record.get("error", "")):
            self.again.add(probe)
        else:
            heard.failures[probe] = record.get("error") or record["user_error"].rstrip(".")

    def _to_be_avoided(self, error: str) -> bool:
        """Whether workers end over a sample, without which the probe is asked again."""
        died = worker_death(self.folder, error)
        if died is None or died[0] in self.avoided:
            return False
        if died[0] not in self.heard.avoid:
            self.heard.stuck.append([*died, []])
        return len(self.heard.stuck) <= MOST_STUCK

    def _fail(self, ended: bool) -> None:
        """A sample that is to blame is avoided from now on, and the probe asked again."""
        heard, sample = self.heard, self.sample.index
        if heard.user_error or (not self.probe and heard.until):
            return  # there was no time to make the dataset once more
        late = not ended or overran(self.folder / "stacks")
        if late and self.probe and (hung := self._hung()):
            heard.hung, heard.failures[self.probe] = hung, HANG
            return
        places = places_of(written(self.folder / "stacks")) if late else []
        if late:
            why = f"it took longer than {self.limit:.0f} s{where(self.folder / 'stacks')}"
            if not self.probe:
                why += f"; {GUARD}"
        else:
            why = death(self.child.returncode, self.folder / "said")
        if self.probe == LOOK and heard.partial:
            return _fail_looking(heard, why, places)
        if late and heard.partial:
            heard.answers[self.probe] = heard.partial
            return
        if sample is not None and (not late or self.sample.age > self._patience):
            heard.stuck.append([sample, why, places])
            if len(heard.stuck) <= MOST_STUCK:
                return
        heard.failures[self.probe] = why


def _fail_looking(heard: Heard, why: str, places: list[str]) -> None:
    """What was seen counts, and others than the sample it died of are tried."""
    seen = heard.partial
    heard.stuck.append([seen["reading"], why, places])
    if not seen["iterable"] and len(heard.stuck) < min(MOST_STUCK, seen["length"] or MOST_STUCK):
        return
    if seen["seen"]:
        heard.answers[LOOK] = seen
    else:
        heard.failures[LOOK] = _over_sample(seen["reading"], why)


def slack(allowed: float) -> float:
    """Seconds that what was begun may take beyond the time in which it is begun."""
    return allowed * (END - OVER) / OVER


def _over_sample(index: int, why: str) -> str:
    return f"while sample {index} was read, {why}"
