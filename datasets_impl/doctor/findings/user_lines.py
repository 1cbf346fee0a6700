"""The lines of the user's that a sample's time is spent under, and what each costs."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from datasets_impl.doctor.findings.finding import Probes
from datasets_impl.doctor.findings.time_account import account, unseen
from datasets_impl.doctor.probes.thresholds import LOOPED

NAMED, LONGEST = 3, 40  # lines under a finding, and characters of one
LOOPING = "looping in Python"
LEAST_OF_SAMPLE = 0.05  # share of a sample's time, for a line to be named
MOST_TIMES = 100.0  # beyond this a share says no more how much faster a sample could be


@dataclass(frozen=True)
class UserLine:
    """Seconds of a sample by cause, without those of other lines that this one leads to."""

    file: str
    line: int
    function: str
    code: str
    causes: dict[str, float]
    times: float  # that it is begun for a sample

    @property
    def seconds(self) -> float:
        return sum(self.causes.values())

    @property
    def cause(self) -> str:
        """What takes most of its time."""
        return max(self.causes, key=lambda one: self.causes[one])


def user_lines(seen: Probes) -> list[UserLine]:
    """The most costly first."""
    found = [
        UserLine(**{**one, "causes": dict(one["causes"])})
        for one in seen.get("causes", {}).get("lines", [])
    ]
    total = account(seen).total
    for kind, held_for, call in unseen(seen):
        for one in found:
            if (one.file, one.line) == (call["file"], call["line"]):
                part = min(one.causes.get(held_for, 0.0), call["share"] * total)
                one.causes[held_for] = one.causes.get(held_for, 0.0) - part
                one.causes[kind] = one.causes.get(kind, 0.0) + part
    return found


def kind_of(line: UserLine) -> str:
    """The kind of work of a line, in words."""
    if line.cause != "python":
        return line.cause
    return LOOPING if line.times >= LOOPED else "your own operations"


def looping(seen: Probes) -> tuple[float, float]:
    """Seconds of a sample that go by in the user's own code: in lines that are begun often, and in
    the others."""
    often, seldom = 0.0, 0.0
    for one in user_lines(seen):
        own = one.causes.get("python", 0.0)
        often, seldom = (often + own, seldom) if one.times >= LOOPED else (often, seldom + own)
    return often, seldom


def loops(seen: Probes) -> bool:
    """Whether most of the time of the user's own code goes by in lines that are begun often."""
    often, seldom = looping(seen)
    return often > seldom


def at_most(share: float) -> float:
    """How many times as fast a sample could be without what takes this share of its time."""
    return min(MOST_TIMES, 1 / max(1e-9, 1 - share))


def short(code: str) -> str:
    return code if len(code) <= LONGEST else f"{code[:LONGEST]}…"


def shown(lines: list[list[Any]]) -> list[str]:
    """Lines that a probe names, as [file, number, text]: `train.py:41  self.file = File(path)`."""
    return [f"{Path(file).name}:{number}  {short(text)}" for file, number, text in lines[:NAMED]]


def loader_places(seen: Probes) -> list[str]:
    """Where the user's loader is made, if that is known for sure."""
    return shown(seen.get("starting", {}).get("loader_lines", []))


def leading_to(seen: Probes, *causes: str) -> list[str]:
    """The lines that lead to these causes, with what that takes of a sample: `train.py:41
    json.load(file): 1.60 ms, 71 %`."""
    total = account(seen).total
    spent = [(sum(one.causes.get(cause, 0.0) for cause in causes), one) for one in user_lines(seen)]
    spent = [each for each in spent if each[0] > LEAST_OF_SAMPLE * total]
    return [
        f"{_at(one.file, one.line, one.code)} {1e3 * seconds:.2f} ms, {seconds / total:.0%}"
        for seconds, one in sorted(spent, key=lambda each: -each[0])[:NAMED]
    ]


def place_of(call: dict[str, Any]) -> str:
    """The line of a call that was watched, as `leading_to` writes it, with its share of time."""
    return f"{_at(call['file'], call['line'], call['code'])} {call['share']:.0%}"


def _at(file: str, line: int, code: str) -> str:
    """With one colon before what it takes, though the code ends with one."""
    return f"{Path(file).name}:{line}  {short(code).removesuffix(':')}:"
